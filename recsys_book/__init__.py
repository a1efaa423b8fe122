"""Code behind the book "Deep Learning Foundations of Recommender Systems".

One idea a file. Imports run downward only: chapters use plots, widgets, claims and reproduce; these
use train and evaluate; these use models, losses and sampling; these use layers and metrics; these
use data. Chapters import from the modules by name, so this file stays empty of shortcuts.
"""

__version__ = "0.1.0"

#: The one place where the repository's and the book's addresses are written for code to read.
#: A test holds every badge, set-up cell and configuration file against them.
REPOSITORY = "https://github.com/recsys-book/recsys-book"
BOOK = "https://recsys-book.github.io/recsys-book/"
