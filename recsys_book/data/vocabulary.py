"""From names to ids and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import check_ids


class Vocabulary:
    """The names behind ids 0..n−1, both ways.

    Args:
        names: `[n]`, all different; position is id.

    Raises:
        ValueError: a name that stands twice.
    """

    def __init__(self, names: Sequence) -> None:
        self._index = pd.Index(names)
        if not self._index.is_unique:
            twice = self._index[self._index.duplicated()][0]
            raise ValueError(f"names contains {twice!r} twice; every name has one id")

    def __len__(self) -> int:
        return len(self._index)

    @property
    def names(self) -> np.ndarray:
        """`[n]`: the name of each id."""
        return self._index.to_numpy()

    def ids(self, names: Sequence) -> Tensor:
        """`[B]` int64 ids of names `[B]`.

        Raises:
            ValueError: a name that is not here.
        """
        found = self._index.get_indexer(pd.Index(names))
        if (found < 0).any():
            unknown = names[int(np.flatnonzero(found < 0)[0])]
            raise ValueError(f"names contains {unknown!r}, which is none of the {len(self)} known")
        return torch.from_numpy(found.astype(np.int64))

    def name(self, ids: Tensor) -> np.ndarray:
        """Names of `ids`, of the same shape."""
        check_ids("ids", ids, len(self))
        return self.names[ids.cpu().numpy()]

    def take(self, ids: Tensor) -> Vocabulary:
        """The vocabulary in which entry j is the name that had id `ids[j]`."""
        return Vocabulary(self._index[ids.cpu().numpy()])
