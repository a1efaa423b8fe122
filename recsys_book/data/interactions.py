"""Who met what: the one container that every model in the book is trained from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from recsys_book.checks import check_ids

#: Marks an empty place in a table of candidate items.
ABSENT = -1


@dataclass(frozen=True)
class Interactions:
    """M observed (user, item) pairs as aligned tensors.

    Attributes:
        user: `[M]` int64, ids 0..n_users−1.
        item: `[M]` int64, ids 0..n_items−1.
        n_users: how many users exist, seen here or not (U).
        n_items: size of the catalogue (N).
        time: optional `[M]` int64, seconds.
        rating: optional `[M]` float32.
        weight: optional `[M]` float32, how much an example counts.

    Raises:
        ValueError: an id out of range, or tensors of different lengths.
    """

    user: Tensor
    item: Tensor
    n_users: int
    n_items: int
    time: Tensor | None = None
    rating: Tensor | None = None
    weight: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("user", "item", "time", "rating", "weight"):
            column = getattr(self, name)
            if column is None:
                continue
            if column.dim() != 1 or len(column) != len(self.user):
                raise ValueError(
                    f"{name} has shape {tuple(column.shape)}; "
                    f"it must be one value for each of the {len(self.user)} interactions"
                )
        check_ids("user", self.user, self.n_users)
        check_ids("item", self.item, self.n_items)

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor | slice) -> Interactions:
        """The interactions at `rows` (a slice, a mask `[M]` or positions), same users and items."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {k: v[rows] if isinstance(v, Tensor) else v for k, v in columns.items()}
        return Interactions(**kept)

    def to(self, device: torch.device | str) -> Interactions:
        """The same interactions with every tensor on `device`."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in columns.items()}
        return Interactions(**moved)

    def item_counts(self) -> Tensor:
        """`[N]` int64: how often each item occurs, its popularity."""
        return torch.bincount(self.item, minlength=self.n_items)

    def user_counts(self) -> Tensor:
        """`[U]` int64: how many interactions each user has."""
        return torch.bincount(self.user, minlength=self.n_users)

    def keys(self) -> Tensor:
        """`[M]` int64: one number per pair, user · N + item, for set operations on pairs."""
        return self.user * self.n_items + self.item
