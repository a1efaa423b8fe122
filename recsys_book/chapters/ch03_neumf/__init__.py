"""Chapter 03, NeuMF: what is here stands in README.md."""
