"""Data: one container, one way in for real data sets, a simulated service whose truth is known."""

from recsys_book.data.frames import EncodedFields, encode_fields
from recsys_book.data.interactions import Interactions
from recsys_book.data.load import DATASETS, load
from recsys_book.data.simulate import simulate
from recsys_book.data.splits import at_random, by_time, k_core, leave_any_out, leave_last_out
from recsys_book.data.vocabulary import Vocabulary
from recsys_book.data.world import Context, World

__all__ = [
    "DATASETS",
    "Context",
    "EncodedFields",
    "Interactions",
    "Vocabulary",
    "World",
    "at_random",
    "by_time",
    "encode_fields",
    "k_core",
    "leave_any_out",
    "leave_last_out",
    "load",
    "simulate",
]
