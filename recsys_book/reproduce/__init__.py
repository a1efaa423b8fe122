"""The engine of recorded runs: what is too long for a live chapter, one file a table.

`python -m recsys_book.reproduce ch03/paper` repeats the run in `runs_paper.py` of chapter 03's room
and writes `records/paper.json` there, with the command, commit, date, machine, seeds, figures, and
a digest of the code that it ran. Chapters show the record and say whether that code has changed.
Where the package is installed without its repository, a run writes to the folder in
$RECSYS_BOOK_RESULTS.

A run is a module `runs_*.py` in a room. It has a `NAME`, `SEEDS`, and either a function
`figures()`, which is quick enough to be begun anew, or a class `Work` of `Pieces`. If it likes,
`report(figures)` prints them, `ready()` says what is missing before the work begins, `WORKERS` is a
number of processes, and `quick()` a first look.
"""

from recsys_book.reproduce.pieces import Pieces, piece, wait_for
from recsys_book.reproduce.record import read_record, read_table, table

__all__ = ["Pieces", "piece", "read_record", "read_table", "table", "wait_for"]
