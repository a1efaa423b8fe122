"""Chapter 01, MLP versus dot product: what is here stands in README.md."""
