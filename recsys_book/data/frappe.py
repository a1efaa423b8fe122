"""Frappe: which app was used, by whom, in which circumstances.

Baltrunas, Church, Karatzoglou, Oliver: Frappe: Understanding the Usage and Perception of Mobile App
Recommendations In-The-Wild. 2015, https://arxiv.org/abs/1505.03014. 96,203 rows, 957 users, 4,082
apps; a row is a user, an app and a context in which the app was used, with how often.

What a loader must handle, and what this one does:

- There are no times. Nothing can be held out because it came later; see `pair_parts`.
- A user meets the same app in many contexts: 96,203 rows are 18,842 pairs. Of rows drawn at random
  for a test seven in eight have their pair in training, where a weight per pair remembers it.
- 550 apps have no name. They are called "unknown app 17", by their number.
- "unknown" stands for missing in the context columns; it is kept as a value of its own.
- City is a number, 0 where it is not known; it is a name like any other here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.fetch import (
    DataUnavailable,
    RemoteFile,
    check_sha256,
    find,
    read_member_called,
)
from recsys_book.data.frames import EncodedFields, encode_fields

NAME = "frappe"
CONTEXT = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
PARTS = ("train", "validation", "test")

_SHA256 = {
    "frappe.csv": "409edc12f4e2153c5dd58ae171938735911d9b0f70961d5f1086b241656b2cb5",
    "meta.csv": "de87f6b2e7cd0428f9179167e2e7826b5dd3bf490d5af680261b685763ac214f",
}
FILES = {name: RemoteFile(name, (), check_sha256(known)) for name, known in _SHA256.items()}


def _check_archive(path) -> None:
    """The archive is judged by the files in it: that is what is used."""
    for name, known in _SHA256.items():
        read_member_called(path, name, known)


ARCHIVE = RemoteFile(
    "Mobile_Frappe.zip",
    (
        "https://raw.githubusercontent.com/irecsys/CARSKit/master/context-aware_data_sets/"
        "Mobile_Frappe.zip",
    ),
    _check_archive,
)


@dataclass(frozen=True)
class Frappe:
    """M = 96,203 rows, U = 957 users, N = 4,082 apps.

    Attributes:
        user, app: `[M]` int64, the files' own ids, which run from 0.
        count: `[M]` int64, how often the app was used by the user in this context.
        context: `CONTEXT` encoded; `ids` is `[M, 8]`, 0 kept for values never seen.
        names: N, of the apps.
        category: `[N, 1]` encoded; 32 categories, "unknown" one of them.
        n_users: U.
    """

    user: Tensor
    app: Tensor
    count: Tensor
    context: EncodedFields
    names: list[str]
    category: EncodedFields
    n_users: int

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_apps(self) -> int:
        """N."""
        return len(self.names)

    def used(self) -> Tensor:
        """`[U, N]` bool: whether the user ever used the app."""
        table = torch.zeros(self.n_users, self.n_apps, dtype=torch.bool)
        table[self.user, self.app] = True
        return table

    def __str__(self) -> str:
        pairs = int(self.used().sum())
        return (
            f"{NAME}: {len(self):,} rows, {self.n_users:,} users, {self.n_apps:,} apps, "
            f"{pairs:,} different (user, app) pairs"
        )


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


def load_frappe(*, download: bool = True) -> Frappe:
    """Load and check the set. See `recsys_book.data.load` for where it looks."""
    read = lambda content: pd.read_csv(
        io.BytesIO(content), sep="\t", dtype=str, keep_default_na=False
    )
    table, apps = map(read, _contents(download))
    column = lambda name: torch.from_numpy(table[name].to_numpy().astype(np.int64))
    apps = apps.assign(item=apps["item"].astype(int)).sort_values("item")
    if apps["item"].tolist() != list(range(len(apps))):
        raise ValueError("meta.csv does not hold the apps 0..N−1 once each")
    names = [
        f"unknown app {number}" if name == "unknown" else name
        for number, name in enumerate(apps["name"])
    ]
    return Frappe(
        user=column("user"),
        app=column("item"),
        count=column("cnt"),
        context=encode_fields(table, CONTEXT),
        names=names,
        category=encode_fields(apps, ["category"]),
        n_users=int(column("user").max()) + 1,
    )


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


def _contents(download: bool) -> list[bytes]:
    try:
        return [find(NAME, file, download=False).read_bytes() for file in FILES.values()]
    except DataUnavailable:
        archive = find(NAME, ARCHIVE, download=download)
        return [read_member_called(archive, name, known) for name, known in _SHA256.items()]
