"""Frappe: which app was used, by whom, in which circumstances.

Baltrunas, Church, Karatzoglou, Oliver: Frappe: Understanding the Usage and Perception of Mobile App
Recommendations In-The-Wild. 2015, https://arxiv.org/abs/1505.03014. 96,203 rows, 957 users, 4,082
apps; a row is a user, an app and a context in which the app was used, with how often.

What a loader must handle, and what this one does:

- There are no times. Nothing can be held out because it came later.
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


def _contents(download: bool) -> list[bytes]:
    try:
        return [find(NAME, file, download=False).read_bytes() for file in FILES.values()]
    except DataUnavailable:
        archive = find(NAME, ARCHIVE, download=download)
        return [read_member_called(archive, name, known) for name, known in _SHA256.items()]
