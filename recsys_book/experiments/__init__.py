"""The chapters' experiments: what is too long for a cell, one file a chapter."""
