"""The NCF paper's split with equal care: every model draws 24 settings. See equal_care.py."""

from recsys_book.chapters.ch03_neumf import equal_care
from recsys_book.chapters.ch03_neumf.equal_care import ready, report  # noqa: F401

NAME = "ch03/care"
SEEDS = equal_care.SEEDS
Work = equal_care.EqualCare
