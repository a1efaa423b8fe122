"""Models, one a file. Each opens with its paper and the equations that it implements; embedding
tables and MLPs are in `recsys_book.layers`."""
