"""Negative samplers: functions of tensors and a torch.Generator, no global randomness.

Implicit feedback holds no "no". A sampler invents them: items that the user has not been seen with,
taken as if declined.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_positive, check_whole
from recsys_book.data.interactions import Interactions


class UnseenItems:
    """Draws, for each user, uniformly from the items the user has not been seen with.

    No trial and error and no loop. Let s_0 < s_1 < … be a user's seen items. Below s_j there are
    s_j − j unseen ones, so the r-th unseen item (from 0) is r + the number of j with s_j − j <= r,
    which one binary search finds, for all users of a batch at once.

    Args:
        seen: the pairs never to be drawn (duplicates are fine).

    Raises:
        ValueError: a user who has seen the whole catalogue is asked for (no negative exists).
    """

    def __init__(self, seen: Interactions) -> None:
        self.n_users, self.n_items = seen.n_users, seen.n_items
        keys = torch.unique(seen.keys())  # sorted by user, then item
        user, item = keys // seen.n_items, keys % seen.n_items
        count = torch.bincount(user, minlength=seen.n_users)
        self.start = torch.cat([count.new_zeros(1), count.cumsum(0)])[:-1]  # [U]
        self.n_unseen = seen.n_items - count  # [U]
        place = torch.arange(len(user), device=user.device) - self.start[user]  # j within its user
        # Keys that rise with the user, and within a user with the unseen items passed so far.
        self.passed = user * (seen.n_items + 1) + (item - place)

    def sample(self, users: Tensor, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` items for each of users `[B]`.

        Returns:
            `[B, n]` int64, with replacement, each uniform over the user's unseen items.
        """
        check_ids("users", users, self.n_users)
        check_whole("n", n)
        n_unseen = self.n_unseen[users]  # [B]
        if len(users) and int(n_unseen.min()) == 0:
            full = int(users[n_unseen.argmin()])
            raise ValueError(
                f"users contains {full}, who has been seen with all {self.n_items} items; "
                "there is no negative to draw"
            )
        return self._unseen(users, _some_ranks(n_unseen[:, None].expand(-1, n), generator))

    def sample_distinct(
        self, users: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw `n` *different* items for each of users `[B]`.

        Drawn with replacement, and what has come up before drawn again until nothing has: those are
        the first n different values of an endless row of even draws, so every set of n is as likely
        as any other, and every order of it. It takes a few rounds where most of the items stay
        undrawn; where a quarter of them or more is wanted, a user's items are put in a random
        order, of which the first n are taken. Neither holds more than a few numbers a draw.

        Returns:
            `[B, n]` int64, without replacement, each set of n unseen items as likely as any other.

        Raises:
            ValueError: a user with fewer than n unseen items; the message says how many are left.
        """
        check_ids("users", users, self.n_users)
        check_whole("n", n)
        n_unseen = self.n_unseen[users]  # [B]
        if len(users) and int(n_unseen.min()) < n:
            short = n_unseen.argmin()
            raise ValueError(
                f"n is {n}; user {int(users[short])} has not been seen with {int(n_unseen[short])} "
                f"of the {self.n_items} items, and no more than those can be drawn without a repeat"
            )
        rank = torch.empty(len(users), n, dtype=torch.int64, device=users.device)
        crowded = n_unseen < 4 * n
        if crowded.any():
            rank[crowded] = _first_of_an_order(n_unseen[crowded], n, generator)
        if not crowded.all():
            rank[~crowded] = _drawn_until_distinct(n_unseen[~crowded], n, generator)
        return self._unseen(users, rank)

    def _unseen(self, users: Tensor, rank: Tensor) -> Tensor:
        """`[B, n]`: the rank-th unseen item (from 0) of users `[B]`, for ranks `[B, n]`."""
        query = users.long()[:, None] * (self.n_items + 1) + rank
        passed = torch.searchsorted(self.passed, query, right=True) - self.start[users][:, None]
        return rank + passed


def _some_ranks(n_unseen: Tensor, generator: torch.Generator | None) -> Tensor:
    """Whole numbers, each even over 0..n_unseen − 1, in the shape of `n_unseen`."""
    uniform = torch.rand(
        n_unseen.shape, generator=generator, dtype=torch.float64, device=n_unseen.device
    )
    return (uniform * n_unseen).long()


def _first_of_an_order(n_unseen: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`[B, n]`: the first n of 0..n_unseen − 1 in a random order, a row for each of `[B]`."""
    size = (len(n_unseen), int(n_unseen.max()))  # fewer than 4 n columns
    key = torch.rand(size, generator=generator, dtype=torch.float64, device=n_unseen.device)
    real = torch.arange(size[1], device=n_unseen.device) < n_unseen[:, None]
    return key.masked_fill(~real, 2.0).argsort(dim=1)[:, :n]


def _drawn_until_distinct(n_unseen: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`[B, n]`: different numbers of 0..n_unseen − 1, a row for each of `[B]`."""
    rank = _some_ranks(n_unseen[:, None].expand(-1, n), generator)
    rows = torch.arange(len(rank), device=rank.device)  # that may hold something twice
    while len(rows):
        value, place = rank[rows].sort(dim=1, stable=True)
        again = torch.zeros_like(value, dtype=torch.bool)
        again[:, 1:] = value[:, 1:] == value[:, :-1]  # of equals, the first keeps its place
        row, column = again.nonzero(as_tuple=True)
        rank[rows[row], place[row, column]] = _some_ranks(n_unseen[rows[row]], generator)
        rows = rows[again.any(dim=1)]
    return rank


def beside_negatives(
    users: Tensor, items: Tensor, unseen: UnseenItems, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Put `n` uniform negatives beside each of B observed pairs.

    The same examples as `with_negatives` gives, in a shape that lets a model fetch each user once
    for all its items.

    Returns:
        users `[B, 1]`, items `[B, 1 + n]` with the observed one first, labels `[B, 1 + n]`.
    """
    candidates = torch.cat([items[:, None], unseen.sample(users, n, generator)], dim=1)
    labels = torch.zeros(candidates.shape, device=users.device)
    labels[:, 0] = 1
    return users[:, None], candidates, labels


def with_negatives(
    users: Tensor, items: Tensor, unseen: UnseenItems, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn B observed pairs into B(1 + n) labelled examples, `n` uniform negatives each.

    Returns:
        users, items, labels, each `[B (1 + n)]`; labels are float, the B positives first.
    """
    negatives = unseen.sample(users, n, generator)  # [B, n]
    labels = torch.zeros(len(users) * (1 + n), device=users.device)
    labels[: len(users)] = 1
    return (
        torch.cat([users, users.repeat_interleave(n)]),
        torch.cat([items, negatives.flatten()]),
        labels,
    )


@dataclass(frozen=True)
class Proposal:
    """A fixed distribution over the catalogue to draw negatives from, the same for every user.

    Attributes:
        probability: `[N]` float64 q, the chance of each item in one draw.
        log_q: `[N]` float32, its logarithm; −inf where an item is never drawn.
    """

    probability: Tensor
    log_q: Tensor
    _upper: Tensor  # [N] running sums

    @classmethod
    def of(cls, weight: Tensor) -> Proposal:
        """Items in proportion to a weight.

        Args:
            weight: `[N]`, 0 or more, not all 0.

        Raises:
            ValueError: other weights.
        """
        if weight.dim() != 1 or weight.is_complex() or len(weight) == 0:
            raise ValueError(f"weight has shape {tuple(weight.shape)}; it must be [N]")
        check_finite("weight", weight)
        if float(weight.min()) < 0 or float(weight.max()) == 0:
            raise ValueError("weight must be 0 or more, and above 0 for one item at least")
        scaled = weight.double() / weight.double().max()  # so that no sum overflows
        q = scaled / scaled.sum()
        upper = q.cumsum(0)
        return cls(q, q.log().float(), upper / upper[-1])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`[n]` int64 items, drawn one by one with replacement: `q` is then exactly what it says
        (items drawn without replacement come up with other chances)."""
        check_whole("n", n)
        uniform = torch.rand(n, generator=generator, dtype=torch.float64, device=self._upper.device)
        return torch.searchsorted(self._upper, uniform, right=True)


def unigram(counts: Tensor, power: float = 1.0) -> Proposal:
    """Items in proportion to count^power: 1 as popular, 0 all alike (those that occur at all).

    Mikolov, Sutskever, Chen, Corrado, Dean: Distributed Representations of Words and Phrases and
    their Compositionality. NeurIPS 2013, arXiv:1310.4546, section 2.2, takes .75.

    Args:
        counts: `[N]` how often each item occurs.
        power: 0 or more.
    """
    check_positive("power", power, zero_allowed=True)
    _check_counts(counts)
    largest = counts.double() / counts.double().max()
    return Proposal.of(torch.where(counts > 0, largest**power, 0.0))


def _check_counts(counts: Tensor) -> None:
    if counts.dim() != 1 or len(counts) == 0:
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be [N]")
    check_finite("counts", counts)
    if float(counts.min()) < 0 or float(counts.max()) == 0:
        raise ValueError("counts must be 0 or more, and above 0 for one item at least")
