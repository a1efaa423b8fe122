"""Chapter 04, YouTube DNN: what is here stands in README.md."""
