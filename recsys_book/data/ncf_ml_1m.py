"""The NCF paper's split of MovieLens-1M.

He, Liao, Zhang, Nie, Hu, Chua: Neural Collaborative Filtering. WWW 2017,
https://doi.org/10.1145/3038912.3052569, section 4.1: the latest interaction of each of 6,040 users
is held out and ranked against 99 sampled items (the text says 100).

Two facts about the files that a loader must handle:

- The training file comes in two forms: the authors' own, with a fourth column (the time), and
  copies without it, in another row order. Both give the same tensors here: pairs are sorted by
  (user, item), the time is not used, and one digest of the sorted content checks either form.
- In 156 of 6,040 users the held-out item is among its own 99 negatives. A rank that counts scores
  >= the held-out item's then silently loses a place. The copies are dropped and counted.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.data.fetch import DataUnavailable, RemoteFile, check_sha256, find, read_member
from recsys_book.data.interactions import ABSENT, Interactions

NAME = "ncf-ml-1m"
N_USERS, N_ITEMS, N_TRAIN, N_NEGATIVES = 6_040, 3_706, 994_169, 99
VALIDATION_SEED = 20_170_403

_AUTHORS = "https://{}/hexiangnan/neural_collaborative_filtering{}/master/Data/{}"


def _authors_addresses(name: str) -> list[str]:
    return [
        _AUTHORS.format("raw.githubusercontent.com", "", name),
        _AUTHORS.format("github.com", "/raw", name),
    ]


@dataclass(frozen=True)
class NCFSplit:
    """The split as tensors. U users, N items.

    Attributes:
        train: for fitting while choosing: everything but the validation and test items.
        train_and_validation: for refitting once everything is chosen: all 994,169 pairs.
        users: `[U]` 0..U−1.
        validation: `[U]`, one item of each user, drawn from the training file with a fixed seed
            (the file in its shorter form has no times, so it cannot be the latest).
        test_candidates: `[U, 100]`, the held-out item in column 0, then the authors' negatives;
            −1 where a copy of the held-out item was dropped.
        n_repeated_positives: users of whom a copy was dropped (156).
        titles: `[N]` film titles, or None where the MovieLens files are not at hand.
    """

    train: Interactions
    train_and_validation: Interactions
    users: Tensor
    validation: Tensor
    test_candidates: Tensor
    n_repeated_positives: int
    titles: list[str] | None

    def __str__(self) -> str:
        pairs, u, n = len(self.train_and_validation), len(self.users), self.train.n_items
        return (
            f"{NAME}: {pairs:,} training pairs of {u:,} users and {n:,} films "
            f"(1 per user kept for validation), 1 test item per user; "
            f"{self.n_repeated_positives} test items stood among their own negatives, copies "
            "dropped"
        )


def load_ncf_ml_1m(*, download: bool = True) -> NCFSplit:
    """Load and check the split. See `recsys_book.data.load` for where it looks."""
    train = _read_train(find(NAME, TRAIN, download=download))
    test = _read_test(find(NAME, TEST, download=download))
    negatives = _read_negatives(find(NAME, NEGATIVES, download=download), test)

    repeated = negatives == test[:, None]  # [U, 99]
    negatives = torch.where(repeated, ABSENT, negatives)
    test_candidates = torch.cat([test[:, None], negatives], dim=1)  # [U, 100]

    is_validation = draw_one_per_user(train, VALIDATION_SEED)  # [M]
    return NCFSplit(
        train=train[~is_validation],
        train_and_validation=train,
        users=torch.arange(N_USERS),
        validation=train.item[is_validation],  # [U], because train is sorted by user
        test_candidates=test_candidates,
        n_repeated_positives=int(repeated.any(dim=1).sum()),
        titles=_read_titles(),
    )


def draw_one_per_user(interactions: Interactions, seed: int) -> Tensor:
    """`[M]` bool: one interaction of each user, drawn at random, the same on every machine.

    Args:
        interactions: sorted by user, every user with at least two.
        seed: of the draw. NumPy's RandomState is frozen by its compatibility policy; newer
            generators are not.
    """
    if not bool((interactions.user.diff() >= 0).all()):
        raise ValueError("interactions must be sorted by user")
    counts = interactions.user_counts()
    if int(counts.min()) < 2:
        raise ValueError(
            f"user {int(counts.argmin())} has {int(counts.min())} interactions; "
            "one for validation and one for training are needed"
        )
    uniform = torch.from_numpy(np.random.RandomState(seed).random_sample(interactions.n_users))
    start = counts.cumsum(0) - counts
    chosen = torch.zeros(len(interactions), dtype=torch.bool)
    chosen[start + (uniform * counts).long()] = True
    return chosen


# ---------------------------------------------------------------- reading and checking

#: SHA-256 of the training triples (user, item, rating) sorted by user and item, as little-endian
#: int32 rows: the same for the file with times and for the file without.
_TRAIN_CONTENT = "1b165a28f9b4fb992e93906b28f97f519b76c7f7acd71329b025bd417a4324cb"


def _read_triples(path: Path) -> np.ndarray:
    """`[M, 3]` int32 (user, item, rating), sorted; from three columns or four."""
    try:
        table = pd.read_csv(path, sep="\t", header=None, dtype=np.int64).to_numpy()
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is truncated or altered: {error}") from error
    if table.shape[1] not in (3, 4):
        raise ValueError(f"{path} has {table.shape[1]} columns; it must have 3 or 4 (with times)")
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return np.ascontiguousarray(table[:, :3].astype("<i4"))


def _check_train(path: Path) -> None:
    triples = _read_triples(path)
    if len(triples) != N_TRAIN:
        raise ValueError(
            f"{path} is truncated or altered: {len(triples):,} rows, it must have {N_TRAIN:,}"
        )
    found = hashlib.sha256(triples.tobytes()).hexdigest()
    if found != _TRAIN_CONTENT:
        raise ValueError(
            f"{path} is altered: its sorted content has SHA-256 {found[:16]}…, "
            f"it must be {_TRAIN_CONTENT[:16]}…"
        )


TRAIN = RemoteFile("ml-1m.train.rating", _authors_addresses("ml-1m.train.rating"), _check_train)
TEST = RemoteFile(
    "ml-1m.test.rating",
    _authors_addresses("ml-1m.test.rating"),
    check_sha256("231ae11eb060b643a8c58c063cd17ffc743b54f569afb073d1abb6cf126b88b5"),
)
NEGATIVES = RemoteFile(
    "ml-1m.test.negative",
    _authors_addresses("ml-1m.test.negative"),
    check_sha256("127853228a76b7d21c0481e8ef8d00dd009cd5c88670dbdd9e9debfdb9f93de4"),
)


def _read_train(path: Path) -> Interactions:
    user, item, rating = torch.from_numpy(_read_triples(path)).T
    return Interactions(user.long(), item.long(), N_USERS, N_ITEMS, rating=rating.float())


def _read_test(path: Path) -> Tensor:
    """`[U]`: the held-out item of each user."""
    table = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1]).to_numpy()
    if not np.array_equal(table[:, 0], np.arange(N_USERS)):
        raise ValueError(f"{path} must name each of the {N_USERS:,} users once, in order")
    return torch.from_numpy(table[:, 1].copy())


def _read_negatives(path: Path, test: Tensor) -> Tensor:
    """`[U, 99]`, after checking that each row is about the pair it claims to be about."""
    table = pd.read_csv(path, sep="\t", header=None)
    pairs = [f"({user},{item})" for user, item in enumerate(test.tolist())]
    if table.shape != (N_USERS, 1 + N_NEGATIVES) or table[0].tolist() != pairs:
        raise ValueError(f"{path} does not belong to the test pairs of {TEST.name}")
    return torch.from_numpy(table.iloc[:, 1:].to_numpy(dtype=np.int64))


# ---------------------------------------------------------------- titles, where at hand

_MOVIES = RemoteFile(
    "movies.dat",
    (),
    check_sha256("0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9"),
)
_ITEM_MAP = RemoteFile(
    "ml-1m.item_map.csv",
    (),
    check_sha256("469fc251f2bb8a544333591d7d8ee3dfdec8ba3af4fa850f8b2406c84ee07b75"),
)
_ARCHIVE = RemoteFile(
    "ml-1m.zip",
    ("https://files.grouplens.org/datasets/movielens/ml-1m.zip",),
    check_sha256("a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
)


def _read_titles() -> list[str] | None:
    """`[N]` titles in the split's numbering; None where no MovieLens file is at hand.

    Titles are a comfort, not a need: nothing is downloaded for them.
    """
    try:
        movies = find(NAME, _MOVIES, download=False).read_bytes()
        item_map = pd.read_csv(find(NAME, _ITEM_MAP, download=False))
        movie_ids = item_map.sort_values("ncf_item")["movie_id"].to_numpy()
    except DataUnavailable:
        try:
            archive = find(NAME, _ARCHIVE, download=False)
        except DataUnavailable:
            return None
        movies = read_member(archive, "ml-1m/movies.dat")
        movie_ids = order_of_first_appearance(read_member(archive, "ml-1m/ratings.dat"))
    return titles_of(movies, movie_ids)


def order_of_first_appearance(ratings: bytes) -> np.ndarray:
    """`[N]` MovieLens film ids in the order of the split's item ids.

    The authors numbered films as they first appear in `ratings.dat` (user::film::rating::time).
    """
    films = np.array([int(line.split(b"::")[1]) for line in ratings.splitlines()])
    return pd.unique(films)


def titles_of(movies: bytes, movie_ids: np.ndarray) -> list[str]:
    """Titles of `movie_ids` from the content of `movies.dat` (id::title::genres, Latin-1)."""
    lines = io.StringIO(movies.decode("latin-1")).read().splitlines()
    title = {int(line.split("::")[0]): line.split("::")[1] for line in lines}
    return [title[int(i)] for i in movie_ids]
