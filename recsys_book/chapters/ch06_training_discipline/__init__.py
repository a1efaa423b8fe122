"""Chapter 06, training discipline: what is here stands in README.md."""
