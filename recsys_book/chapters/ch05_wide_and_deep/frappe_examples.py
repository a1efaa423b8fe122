"""Frappe as examples: parts by pair or by row, and apps drawn that nobody used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.frappe import Frappe

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class AppExamples:
    """Rows and the negatives drawn for them. B rows; after each row come its negatives.

    Attributes:
        row: `[B]` the row of the data set that the example, or its positive, comes from: user and
            context are the same for both.
        user, app: `[B]`.
        label: `[B]` float, 1 where the app was used.
    """

    row: Tensor
    user: Tensor
    app: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.row)


def pair_parts(data: Frappe, seed: int = 0) -> Tensor:
    """`[U, N]` int8: which part each (user, app) pair belongs to, 0 train, 1 validation, 2 test.

    The split is of pairs, used or not, 7 : 1 : 2. A positive goes where its pair belongs, and so
    does whatever is drawn as a negative: nothing that is asked in the test, with either answer,
    has been told in training.

    Args:
        data: from `load("frappe")`.
        seed: of the draw, which is the same on every machine.
    """
    return _parts((data.n_users, data.n_apps), seed)


def row_parts(data: Frappe, seed: int = 0) -> Tensor:
    """`[M]` int8: rows drawn at random to parts, 7 : 1 : 2, as benchmarks do: most rows of
    the test then have their pair in training. Arguments as in `pair_parts`."""
    return _parts((len(data),), seed)


def _parts(shape: tuple[int, ...], seed: int) -> Tensor:
    draw = np.random.RandomState(seed).randint(10, size=shape)
    part = np.zeros(shape, dtype=np.int8)
    part[draw == 7] = 1
    part[draw >= 8] = 2
    return torch.from_numpy(part)


def with_negatives(
    data: Frappe, parts: Tensor, part: int | tuple[int, ...], n_negatives: int = 2, seed: int = 0
) -> AppExamples:
    """The rows whose pair belongs to a part, each with apps that its user never used, whose pair
    belongs to that part too.

    Args:
        data: from `load("frappe")`.
        parts: from `pair_parts`.
        part: which, one or several (see `PARTS`).
        n_negatives, seed: see `negatives_for`.

    Raises:
        ValueError: a part that does not exist, no rows in it, n_negatives below 1.
    """
    wanted = (part,) if isinstance(part, int) else tuple(part)
    if not wanted or not set(wanted) <= set(range(len(PARTS))):
        raise ValueError(f"part is {part!r}; parts are 0, 1 and 2: {', '.join(PARTS)}")
    here = torch.isin(parts, torch.tensor(wanted, dtype=parts.dtype))  # [U, N]
    rows = here[data.user, data.app].nonzero().squeeze(1)
    if len(rows) == 0:
        raise ValueError(f"part {part!r} holds no rows")
    return negatives_for(data, rows, n_negatives, seed, here)


def negatives_for(
    data: Frappe, rows: Tensor, n_negatives: int = 2, seed: int = 0, allowed: Tensor | None = None
) -> AppExamples:
    """Rows, each followed by apps that its user never used.

    The rule: for each row `n_negatives` apps, drawn evenly and with replacement from the apps that
    the user used in no row of the whole set; user and context are the row's. Even draws make
    popular apps easy to tell: a figure reached here says little about lists made of popular apps.

    Args:
        data: from `load("frappe")`.
        rows: positions in the set.
        n_negatives: for each row, at least 1.
        seed: of the draw, which is the same on every machine.
        allowed: `[U, N]` bool, the pairs that may be drawn; None for all.

    Raises:
        ValueError: n_negatives below 1, or a user for whom nothing may be drawn.
    """
    check_positive("n_negatives", n_negatives)
    free = ~data.used() if allowed is None else allowed & ~data.used()  # [U, N]
    user, n_free = data.user[rows], free.sum(1)
    stuck = n_free[user] == 0
    if stuck.any():
        raise ValueError(f"allowed leaves no app that user {int(user[stuck][0])} never used")
    place = free.nonzero()[:, 1]  # apps, user by user
    start = n_free.cumsum(0) - n_free
    uniform = np.random.RandomState(seed).random_sample((len(rows), n_negatives))
    pick = (torch.from_numpy(uniform) * n_free[user, None]).long() + start[user, None]
    apps = torch.cat([data.app[rows, None], place[pick]], dim=1)  # [rows, 1 + n_negatives]
    label = torch.zeros(apps.shape)
    label[:, 0] = 1
    repeat = lambda values: values.repeat_interleave(1 + n_negatives)
    return AppExamples(repeat(rows), repeat(user), apps.flatten(), label.flatten())
