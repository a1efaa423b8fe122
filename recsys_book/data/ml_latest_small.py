"""MovieLens, the small set for education and development: ratings, titles, genres, tags.

Harper, Konstan: The MovieLens Datasets: History and Context. ACM TiiS 5 (4), 2015,
https://doi.org/10.1145/2827872. Release of September 2018: 100,836 ratings by 610 users.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from recsys_book.data.fetch import DataUnavailable, RemoteFile, check_sha256, find, read_member
from recsys_book.data.interactions import Interactions
from recsys_book.data.vocabulary import Vocabulary

NAME = "ml-latest-small"

_SHA256 = {
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    "tags.csv": "92a9f8bb7916dceef6151209845788c3643f794dfa79d1feaec7121b5960399d",
}


def _check_archive(path: Path) -> None:
    """The archive is judged by the files in it: that is what is used."""
    for name, known in _SHA256.items():
        found = hashlib.sha256(read_member(path, f"{NAME}/{name}")).hexdigest()
        if found != known:
            raise ValueError(f"{path} is altered: {name} in it has SHA-256 {found[:16]}…")


FILES = {name: RemoteFile(name, (), check_sha256(known)) for name, known in _SHA256.items()}
_ADDRESS = "://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
#: The plain address is there for days when the host's certificate has run out; what comes is
#: checked in either case.
ARCHIVE = RemoteFile(f"{NAME}.zip", ("https" + _ADDRESS, "http" + _ADDRESS), _check_archive)


@dataclass(frozen=True)
class MovieLens:
    """The set as tensors and lists. U = 610 users, N = 9,742 films, of which 9,724 are rated.

    Attributes:
        ratings: with times; `user_vocabulary` and `item_vocabulary` hold MovieLens's own ids.
            Films are numbered in the order of `movies.csv`, users from their id less 1.
        titles: `[N]`, with the year.
        genres: `[N]` tuples; empty where none is listed.
        tags: a table with columns user, item (ids as in `ratings`), tag, time.
    """

    ratings: Interactions
    titles: list[str]
    genres: list[tuple[str, ...]]
    tags: pd.DataFrame

    @property
    def years(self) -> list[int | None]:
        """`[N]`: the year in the title's last brackets, None where there is none."""
        found = [re.search(r"\((\d{4})[^()]*\)\s*$", title) for title in self.titles]
        return [int(match[1]) if match else None for match in found]

    def __str__(self) -> str:
        r = self.ratings
        return f"{NAME}: {len(r):,} ratings of {r.n_items:,} films by {r.n_users:,} users"


def load_ml_latest_small(*, download: bool = True) -> MovieLens:
    """Load and check the set. See `recsys_book.data.load` for where it looks."""
    ratings, movies, tags = (pd.read_csv(io.BytesIO(content)) for content in _contents(download))
    users = pd.Index(ratings["userId"].unique()).sort_values()
    films = pd.Index(movies["movieId"])
    # Films that nobody has rated keep their place in the catalogue.
    column = lambda values: torch.from_numpy(values.astype("int64"))
    whole = Interactions(
        column(users.get_indexer(ratings["userId"])),
        column(films.get_indexer(ratings["movieId"])),
        n_users=len(users),
        n_items=len(films),
        time=column(ratings["timestamp"].to_numpy()),
        rating=torch.from_numpy(ratings["rating"].to_numpy(dtype="float32")),
        user_vocabulary=Vocabulary(users),
        item_vocabulary=Vocabulary(films),
    )
    genres = [
        () if text == "(no genres listed)" else tuple(text.split("|")) for text in movies["genres"]
    ]
    tags = pd.DataFrame(
        {
            "user": users.get_indexer(tags["userId"]),
            "item": films.get_indexer(tags["movieId"]),
            "tag": tags["tag"],
            "time": tags["timestamp"],
        }
    )
    return MovieLens(whole, movies["title"].tolist(), genres, tags)


def _contents(download: bool) -> list[bytes]:
    try:
        return [find(NAME, file, download=False).read_bytes() for file in FILES.values()]
    except DataUnavailable:
        archive = find(NAME, ARCHIVE, download=download)
        return [read_member(archive, f"{NAME}/{name}") for name in FILES]
