"""Chapter 00, why deep learning: what is here stands in README.md."""
