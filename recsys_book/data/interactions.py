"""Who met what: the one container that every model in the book is trained from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from os import PathLike

import torch
from torch import Tensor

from recsys_book.arguments import check_ids
from recsys_book.data import frames
from recsys_book.data.vocabulary import Vocabulary
from recsys_book.reading.tables import A_FRAME, Origin, read_cells
from recsys_book.reading.times import to_times

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
        time: optional `[M]` int64, seconds; whole ones, rounded down. A log of your own whose times
            are numbers keeps their unit.
        rating: optional `[M]` float32.
        weight: optional `[M]` float32, how much an example counts.
        user_vocabulary: optional, the names of users.
        item_vocabulary: optional, the names of items.
        n_repeats: rows left out because their (user, item) pair stood there already.
        fraction: optional `[M]` float64, what `time` leaves out, from 0 to below 1: what happened
            within one second has an order, too. None where it leaves out nothing.

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
    user_vocabulary: Vocabulary | None = None
    item_vocabulary: Vocabulary | None = None
    n_repeats: int = 0
    fraction: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("user", "item", "time", "rating", "weight", "fraction"):
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
        for name, n in (("user_vocabulary", self.n_users), ("item_vocabulary", self.n_items)):
            vocabulary = getattr(self, name)
            if vocabulary is not None and len(vocabulary) != n:
                raise ValueError(f"{name} holds {len(vocabulary)} names for {n} ids")

    @classmethod
    def from_frame(
        cls,
        df,
        *,
        user: str,
        item: str,
        time: str | None = None,
        rating: str | None = None,
        repeats: str = "first",
    ) -> Interactions:
        """A log of your own, from a pandas DataFrame.

        **What happens to repeats:** a (user, item) pair that stands there more than once counts
        once, at its first time (without a time: at its first row), with the rating it had then.
        `weight` says how often it stood there and `n_repeats` how many rows were left out. An item
        held out for a test could otherwise stand in training too. `repeats="all"` keeps every row.

        Args:
            df: a pandas DataFrame, one row an interaction.
            user: name of the column with user ids: texts or numbers, not both. Names are taken as
                they stand ("007" is not "7", and somebody may be called "NA"); two that only look
                alike, such as "ann" and "ann ", are refused.
            item: name of the column with item ids, likewise.
            time: name of the column with times: numbers that rise, or dates, all of one form.
                01/02/2026 is the second of January unless the column shows that days come first;
                01.02.2026 is the first of February unless it shows that months do. Fractions
                of a second count.
            rating: name of the column with ratings, numbers.
            repeats: "first" or "all".

        Returns:
            Interactions with vocabularies; users and items numbered as they first appear.

        Raises:
            ValueError: a column that is missing or there twice, an empty log, a missing id, a time
                or rating that cannot be read, one single user or item; each names the column and
                the first bad row, counted from 1.
        """
        columns = {"user": user, "item": item, "time": time, "rating": rating}
        _check_named(columns)
        return cls._from_table(df, columns, repeats, A_FRAME)

    @classmethod
    def _from_table(cls, df, columns, repeats: str, origin: Origin) -> Interactions:
        user, item, time, rating = columns.values()
        if repeats not in ("first", "all"):
            raise ValueError(f"repeats is {repeats!r}; it must be 'first' or 'all'")
        if user == item:
            raise ValueError(f"user and item both name column {user!r}; they must differ")
        frames.check_columns(df, columns, origin.name)
        users, user_names = frames.factorize(df[user], "user", user, origin)
        items, item_names = frames.factorize(df[item], "item", item, origin)
        units, fraction = (None, None) if time is None else to_times(df[time], time, origin)
        ratings = (
            None if rating is None else frames.to_numbers(df[rating], "rating", rating, origin)
        )
        whole = cls(
            users,
            items,
            n_users=len(user_names),
            n_items=len(item_names),
            time=units,
            fraction=fraction,
            rating=None if ratings is None else ratings.float(),
            user_vocabulary=Vocabulary(user_names),
            item_vocabulary=Vocabulary(item_names),
        )
        return whole if repeats == "all" else whole.without_repeats()

    @classmethod
    def from_csv(
        cls,
        path: str | PathLike,
        *,
        user: str,
        item: str,
        time: str | None = None,
        rating: str | None = None,
        repeats: str = "first",
        sep: str = ",",
        encoding: str = "utf-8",
        quotes: bool = True,
    ) -> Interactions:
        """A log of your own, from a file with one header line; see `from_frame`.

        Cells are taken as they stand: an empty one is missing, one that says NA is not. Ids are
        numbers where each of a column's ids is a whole number in its usual form, else texts.

        Args:
            path: the file; .gz, .bz2, .xz, .zip, .zst and .tar are unpacked.
            user, item, time, rating, repeats: as in `from_frame`.
            sep: what separates columns.
            encoding: of the text.
            quotes: False where quotes are letters like any other.

        Raises:
            ValueError: as in `from_frame`, the row's line in the file beside its number; and for a
                file of another separator or encoding, with rows of unequal length, damaged, or
                packed otherwise than its name says.
            OSError: the file cannot be opened.
        """
        columns = {"user": user, "item": item, "time": time, "rating": rating}
        _check_named(columns)
        df, origin = read_cells(path, columns, sep=sep, encoding=encoding, quotes=quotes)
        return cls._from_table(df, columns, repeats, origin)

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor | slice) -> Interactions:
        """The interactions at `rows` (a slice, a mask `[M]` or positions), same users and items."""
        return self._with_tensors(lambda column: column[rows])

    def to(self, device: torch.device | str) -> Interactions:
        """The same interactions with every tensor on `device`."""
        return self._with_tensors(lambda column: column.to(device))

    def _with_tensors(self, change) -> Interactions:
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(v) for k, v in columns.items() if isinstance(v, Tensor)})

    def without_repeats(self) -> Interactions:
        """Each (user, item) pair once, at its first time; `weight` counts how often it stood there.

        The rows keep their order. Without times the first row of a pair is kept.
        """
        if len(self) == 0:
            return self
        # By pair, then by time; stable sorts keep the order of rows among equals.
        order = torch.arange(len(self))
        if self.time is not None:
            order = self.moments().argsort(stable=True)
        key = self.keys()[order]
        by_key = key.argsort(stable=True)
        order, key = order[by_key], key[by_key]
        new = torch.ones(len(key), dtype=torch.bool)
        new[1:] = key[1:] != key[:-1]
        count = torch.diff(new.nonzero().squeeze(1), append=torch.tensor([len(key)]))
        kept, back = order[new].sort()
        once = self[kept]
        return replace(
            once,
            weight=count[back].float(),
            n_repeats=self.n_repeats + len(self) - len(kept),
        )

    def moments(self) -> Tensor:
        """`[M]` int64: numbers that rise as the times do, `fraction` included, and are equal where
        the times are. Only their order means anything."""
        if self.time is None:
            raise ValueError("interactions have no time; without one there is no order")
        if self.fraction is None:
            return self.time
        order = self.fraction.argsort(stable=True)
        order = order[self.time[order].argsort(stable=True)]
        time, fraction = self.time[order], self.fraction[order]
        later = (time[1:] != time[:-1]) | (fraction[1:] != fraction[:-1])
        rank = torch.zeros_like(order)
        rank[order[1:]] = later.long().cumsum(0)
        return rank

    def item_counts(self) -> Tensor:
        """`[N]` int64: how often each item occurs, its popularity."""
        return torch.bincount(self.item, minlength=self.n_items)

    def user_counts(self) -> Tensor:
        """`[U]` int64: how many interactions each user has."""
        return torch.bincount(self.user, minlength=self.n_users)

    def keys(self) -> Tensor:
        """`[M]` int64: one number per pair, user · N + item, for set operations on pairs."""
        return self.user.long() * self.n_items + self.item

    def __str__(self) -> str:
        text = f"{len(self):,} interactions of {self.n_users:,} users and {self.n_items:,} items"
        if self.n_repeats:
            text += f"; {self.n_repeats:,} repeats of a pair left out, the first of each kept"
        return text


def _check_named(columns: dict) -> None:
    for argument in ("user", "item"):
        if columns[argument] is None:
            raise ValueError(f"{argument} is None; it must be the name of a column")


class PairsOfUsers:
    """Looks up all pairs of some users at once.

    Args:
        pairs: repeats are fine.
    """

    def __init__(self, pairs: Interactions) -> None:
        order = pairs.user.argsort(stable=True)
        self.item, self.n_items = pairs.item[order], pairs.n_items
        self.count = pairs.user_counts()
        self.start = self.count.cumsum(0) - self.count

    def mask(self, users: Tensor) -> Tensor:
        """`[U, N]` bool for users `[U]`: is the pair there?"""
        count = self.count[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), count)
        first = torch.repeat_interleave(self.start[users] - (count.cumsum(0) - count), count)
        place = first + torch.arange(len(row), device=users.device)
        mask = torch.zeros(len(users), self.n_items, dtype=torch.bool, device=users.device)
        mask[row, self.item[place]] = True
        return mask
