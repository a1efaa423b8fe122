"""Baselines that every ranking table of the book contains."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys_book.checks import check_ids
from recsys_book.data.interactions import Interactions


class Popularity:
    """Rank by how often an item was chosen: the same list for everyone.

    "TopPopular" in Ferrari Dacrema et al., A Troubling Analysis of Reproducibility and Progress in
    Recommender Systems Research. TOIS 39 (2), 2021, https://doi.org/10.1145/3434185.

    Args:
        train: the interactions to count.
    """

    def __init__(self, train: Interactions) -> None:
        self.n_users, self.n_items = train.n_users, train.n_items
        self.counts = train.item_counts()  # [N]

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Counts `[B]` of items `[B]`; users `[B]` change nothing."""
        check_ids("users", users, self.n_users)
        check_ids("items", items, self.n_items)
        return self.counts.to(items.device)[items].double()

    def score(self, users: Tensor) -> Tensor:
        """Counts `[U, N]` of the whole catalogue, one equal row per user in users `[U]`."""
        check_ids("users", users, self.n_users)
        row = self.counts.to(users.device).to(torch.float64)
        return row.expand(len(users), -1)
