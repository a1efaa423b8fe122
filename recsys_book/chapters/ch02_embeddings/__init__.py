"""Chapter 02, embeddings: what is here stands in README.md."""
