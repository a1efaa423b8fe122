"""The engine of recorded runs: what is too long for a live chapter, one file a table.

`python -m recsys_book.reproduce ch03/paper` repeats the run in `runs_paper.py` of chapter 03's room
and writes `records/paper.json` there, with the command, commit, date, machine, seeds and figures.
Chapters show the record and say so. Where the package is installed without its repository, a run
writes to the folder in $RECSYS_BOOK_RESULTS.
"""

from recsys_book.reproduce.record import Run, read_record

__all__ = ["Run", "read_record"]
