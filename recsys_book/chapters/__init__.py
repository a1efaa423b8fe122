"""The rooms of the book, one a chapter. None imports another, but for the closing pages."""
