"""Data: one container, one way in for real data sets, and the small worlds of chapter 01."""

from recsys_book.data.interactions import Interactions
from recsys_book.data.load import DATASETS, load

__all__ = ["DATASETS", "Interactions", "load"]
