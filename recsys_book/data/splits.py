"""Train, validation, test: three ways to cut a log, and what each of them is honest about."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recsys_book.data.interactions import Interactions
from recsys_book.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of one log.

    Attributes:
        train: to fit while choosing.
        validation: to choose by.
        test: to score once.
        train_and_validation: to refit on once everything is chosen.
        n_users_without_test: users of whom nothing stands in test.
        n_users_tied: users whose test or validation item was as late as another of theirs, so that
            the order of rows decided; only of a split by each user's last.
    """

    train: Interactions
    validation: Interactions
    test: Interactions
    train_and_validation: Interactions
    n_users_without_test: int
    n_users_tied: int = 0

    def __str__(self) -> str:
        parts = [f"{len(self.train):,} to train, {len(self.validation):,} to validate, "]
        parts += [f"{len(self.test):,} to test"]
        if self.n_users_without_test:
            parts += [f"; {self.n_users_without_test:,} users have nothing to test"]
        if self.n_users_tied:
            parts += [
                f"; of {self.n_users_tied:,} users the times do not tell what came last: "
                "of equal times the later row was taken for later"
            ]
        return "".join(parts)


def leave_last_out(interactions: Interactions) -> Split:
    """Each user's last interaction to test, the one before to validation, the rest to train.

    Of each user nothing later than the test item is trained on. Of *other* users it may be: what
    everybody watched next month helps to predict what this user watched this month. Only `by_time`
    is free of that. Users with fewer than three interactions stay in train whole.

    Args:
        interactions: with times. Of equal times, the later row is taken for later; the split says
            for how many users that decided, and a warning says so where it decided for everybody.

    Raises:
        ValueError: no times, one and the same time in all rows, or nobody with three interactions.
    """
    if interactions.time is None:
        raise ValueError("interactions have no time; without one nobody knows which came last")
    moments = interactions.moments()
    _check_order(moments, "nobody knows which came last; leave_any_out needs no times")
    split = _leave_two_out(interactions, moments)
    n_tied = _n_users_tied(interactions, moments)
    if n_tied == interactions.n_users - split.n_users_without_test:
        warnings.warn(
            f"times do not tell what came last for any of the {n_tied:,} users in the test: of "
            "equal times the later row was taken for later",
            stacklevel=2,
        )
    return replace(split, n_users_tied=n_tied)


def leave_any_out(interactions: Interactions, seed: int = 0) -> Split:
    """`leave_last_out` for data without times: any one interaction of each user to test, any other
    to validation. Kinder than leaving the last out, as the future helps to predict the past."""
    return _leave_two_out(interactions, _shuffled(len(interactions), seed))


def by_time(interactions: Interactions, validation: float = 0.1, test: float = 0.1) -> Split:
    """The past to train, what comes next to validation, the last stretch to test.

    No part holds anything earlier than the parts before it: interactions of one and the same
    time stay together, so the shares are met as nearly as that allows.

    Args:
        interactions: with times.
        validation: share of the interactions, above 0.
        test: share of the interactions, above 0; both together below 1.

    Raises:
        ValueError: no times, shares out of range, or so few distinct times that a part is empty.
    """
    if interactions.time is None:
        raise ValueError("interactions have no time; by_time needs one")
    n_train, n_test = _sizes(len(interactions), validation, test)
    moments = interactions.moments()
    _check_order(moments, "train would be empty; at_random needs no times")
    ordered = moments.sort().values
    first = ordered[n_train], ordered[len(ordered) - n_test]  # first moment of validation, of test
    is_test = moments >= first[1]
    return _cut(interactions, (moments >= first[0]) & ~is_test, is_test)


def at_random(
    interactions: Interactions, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> Split:
    """Shares drawn evenly from all interactions.

    The future helps to predict the past here: figures come out kinder than in service. For data
    without times there is nothing else.

    Args:
        interactions: any.
        validation: share, above 0.
        test: share, above 0; both together below 1.
        seed: of the draw, which is the same on every machine.

    Raises:
        ValueError: shares out of range, or so few interactions that a part is empty.
    """
    n_train, n_test = _sizes(len(interactions), validation, test)
    order = _shuffled(len(interactions), seed)
    part = torch.zeros(len(interactions), dtype=torch.int8)
    part[order[n_train:]] = 1
    part[order[len(order) - n_test :]] = 2
    return _cut(interactions, part == 1, part == 2)


def _shuffled(n: int, seed: int) -> Tensor:
    """A permutation from NumPy's frozen RandomState: the same on every machine."""
    return torch.from_numpy(np.random.RandomState(seed).permutation(n))


def _leave_two_out(interactions: Interactions, order: Tensor) -> Split:
    """The highest in `order` `[M]` of each user to test, the next to validation."""
    from_end = _place_from_end(interactions, order)  # [M]: 0 for each user's last
    enough = interactions.user_counts()[interactions.user] >= 3
    if not bool(enough.any()):
        raise ValueError("interactions hold nobody with three of them; nothing could be tested")
    return _cut(interactions, (from_end == 1) & enough, (from_end == 0) & enough)


def _check_order(moments: Tensor, so: str) -> None:
    if len(moments) > 1 and bool((moments == moments[0]).all()):
        raise ValueError(f"interactions all have one and the same time, which orders nothing: {so}")


def _n_users_tied(interactions: Interactions, moments: Tensor) -> int:
    """Users with three interactions or more of whose three last two are equally late."""
    from_end = _place_from_end(interactions, moments)
    late = from_end < 3
    last = torch.zeros(interactions.n_users, 3, dtype=moments.dtype)
    last[interactions.user[late], from_end[late]] = moments[late]
    enough = interactions.user_counts() >= 3
    return int((enough & (last[:, 1:] == last[:, :-1]).any(1)).sum())


def _cut(interactions: Interactions, is_validation: Tensor, is_test: Tensor) -> Split:
    parts = {
        "train": ~is_validation & ~is_test,
        "validation": is_validation,
        "test": is_test,
        "train_and_validation": ~is_test,
    }
    for name, rows in parts.items():
        if not bool(rows.any()):
            raise ValueError(f"interactions cannot be cut like this: {name} would be empty")
    train, validation, test, both = (interactions[rows] for rows in parts.values())
    return Split(train, validation, test, both, int((test.user_counts() == 0).sum()))


def _sizes(n: int, validation: float, test: float) -> tuple[int, int]:
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(
            f"validation is {validation} and test {test}; both must be above 0, together below 1"
        )
    n_test, n_held = round(n * test), round(n * (validation + test))
    if n_test < 1 or n_held - n_test < 1 or n - n_held < 1:
        raise ValueError(f"interactions are only {n}; a part would be empty")
    return n - n_held, n_test


def _place_from_end(interactions: Interactions, order: Tensor) -> Tensor:
    """`[M]`: how many of the user's interactions come after; of equals the later row is later."""
    order = order.argsort(stable=True)
    order = order[interactions.user[order].argsort(stable=True)]  # by user, then time
    counts = interactions.user_counts()
    user = interactions.user[order]
    end = counts.cumsum(0)[user] - 1
    place = torch.empty_like(order)
    place[order] = end - torch.arange(len(order))
    return place


# ---------------------------------------------------------------- k-core


@dataclass(frozen=True)
class CoreReport:
    """What `k_core` dropped, and in how many rounds."""

    rounds: int
    n_users: int
    n_items: int
    n_interactions: int

    def __str__(self) -> str:
        return (
            f"dropped {self.n_users:,} users, {self.n_items:,} items and "
            f"{self.n_interactions:,} interactions (rounds: {self.rounds})"
        )


def k_core(
    interactions: Interactions, k_user: int = 5, k_item: int = 5
) -> tuple[Interactions, CoreReport]:
    """Drop users and items with too few interactions, again and again until none is left.

    Dropping an item takes interactions from its users, who may then have too few themselves: hence
    the rounds. A core tells about active users and known items only; say so beside every figure.

    Args:
        interactions: any.
        k_user: fewest interactions of a user, at least 1.
        k_item: fewest interactions of an item, at least 1.

    Returns:
        the core, users and items numbered anew with vocabularies that lead back (to names where
        there were names, else to the old ids), and a report.

    Raises:
        ValueError: k below 1, or nothing is left.
    """
    for name, k in (("k_user", k_user), ("k_item", k_item)):
        if k < 1:
            raise ValueError(f"{name} is {k}; it must be at least 1")
    keep, rounds = torch.ones(len(interactions), dtype=torch.bool), 0
    while True:
        users = torch.bincount(interactions.user[keep], minlength=interactions.n_users)
        items = torch.bincount(interactions.item[keep], minlength=interactions.n_items)
        fine = (users[interactions.user] >= k_user) & (items[interactions.item] >= k_item)
        if bool((keep & fine).sum() == keep.sum()):
            break
        keep, rounds = keep & fine, rounds + 1
    if not bool(keep.any()):
        raise ValueError(
            f"nothing is left of {len(interactions):,} interactions with k_user={k_user} and "
            f"k_item={k_item}; ask for less"
        )
    core = interactions[keep]
    kept_users, user = core.user.unique(return_inverse=True)
    kept_items, item = core.item.unique(return_inverse=True)
    core = replace(
        core,
        user=user,
        item=item,
        n_users=len(kept_users),
        n_items=len(kept_items),
        user_vocabulary=_names(interactions.user_vocabulary, kept_users),
        item_vocabulary=_names(interactions.item_vocabulary, kept_items),
    )
    dropped = CoreReport(
        rounds,
        interactions.n_users - core.n_users,
        interactions.n_items - core.n_items,
        len(interactions) - len(core),
    )
    return core, dropped


def _names(vocabulary: Vocabulary | None, kept: Tensor) -> Vocabulary:
    return Vocabulary(kept.numpy()) if vocabulary is None else vocabulary.take(kept)
