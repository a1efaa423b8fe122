"""load(name): every real data set by the same path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recsys_book.data.frappe import Frappe, load_frappe
from recsys_book.data.kuairand_pure import KuaiRand, load_kuairand_pure
from recsys_book.data.ml_latest_small import MovieLens, load_ml_latest_small
from recsys_book.data.ncf_ml_1m import NCFSplit, load_ncf_ml_1m

#: What `load` knows.
DATASETS: dict[str, Callable[..., Any]] = {
    "ml-latest-small": load_ml_latest_small,
    "ncf-ml-1m": load_ncf_ml_1m,
    "kuairand-pure": load_kuairand_pure,
    "frappe": load_frappe,
}


def load(name: str, *, download: bool = True) -> NCFSplit | MovieLens | KuaiRand | Frappe:
    """Load a data set, from $RECSYS_BOOK_DATA, the cache, or the network, in this order.

    Args:
        name: one of `DATASETS`.
        download: False stays off the network.

    Raises:
        ValueError: an unknown name, or a file that is truncated or altered.
        DataUnavailable: no copy and no network.
    """
    if name not in DATASETS:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(sorted(DATASETS))}")
    return DATASETS[name](download=download)
