"""The closing pages: what is here stands in README.md."""
