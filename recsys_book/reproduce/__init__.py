"""Recorded runs: what is too long for a live chapter, one file a table.

`python -m recsys_book.reproduce NAME` repeats a run and writes recsys_book/records/NAME.json, with
the command, commit, date, machine, seeds and figures. Chapters show the record and say so. Where
the package is installed without its repository, a run writes to the folder in $RECSYS_BOOK_RESULTS.
"""

from recsys_book.reproduce.record import Run, read_record, results_folder

__all__ = ["Run", "read_record", "results_folder"]
