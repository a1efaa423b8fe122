"""Your own log: what is here stands in README.md."""
