"""Data: one container, one way in for real data sets."""

from recsys_book.data.frames import EncodedFields, encode_fields
from recsys_book.data.interactions import Interactions
from recsys_book.data.load import DATASETS, load
from recsys_book.data.splits import at_random, by_time, k_core, leave_any_out, leave_last_out
from recsys_book.data.vocabulary import Vocabulary

__all__ = [
    "DATASETS",
    "EncodedFields",
    "Interactions",
    "Vocabulary",
    "at_random",
    "by_time",
    "encode_fields",
    "k_core",
    "leave_any_out",
    "leave_last_out",
    "load",
]
