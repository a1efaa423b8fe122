"""Reading tables that somebody else wrote: packed files, separators, quotes, times."""
