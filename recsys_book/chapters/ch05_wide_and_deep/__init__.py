"""Chapter 05, Wide & Deep: what is here stands in README.md."""
