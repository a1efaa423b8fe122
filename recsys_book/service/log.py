"""The log of a service: what was shown to whom and when, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.interactions import Interactions

DAY = 86_400  # seconds

#: Columns and how they are kept: 27 bytes an impression.
COLUMNS = {
    "user": np.int32, "film": np.int32, "time": np.int32, "session": np.int32, "position": np.int8,
    "device": np.int8, "daypart": np.int8, "clicked": np.bool_, "watch_seconds": np.int16,
    "mood": np.int8, "click_probability": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class Log:
    """Impressions, grouped by user and in the order of time within each user. M rows.

    Attributes:
        user, film: `[M]` int32 ids.
        time: `[M]` int32, seconds since the start.
        session: `[M]` int32, numbered through.
        position: `[M]` int8, place in the list from 0.
        device, daypart: `[M]` int8, see `recsys_book.service.world`.
        clicked: `[M]` bool.
        watch_seconds: `[M]` int16, 0 without a click.
        mood: `[M]` int8, the session's true mood, which no learner sees.
        click_probability: `[M]` float32, the oracle: the true chance of the click as far as
            anything observable can tell it. The mood is weighed by what the session's clicks so
            far say about it.
        n_users, n_films: U and N.
    """

    user: Tensor
    film: Tensor
    time: Tensor
    session: Tensor
    position: Tensor
    device: Tensor
    daypart: Tensor
    clicked: Tensor
    watch_seconds: Tensor
    mood: Tensor
    click_probability: Tensor
    n_users: int
    n_films: int

    @classmethod
    def empty(cls, n_users: int, n_films: int) -> Log:
        """Of a service that nobody has visited yet."""
        none = {name: torch.from_numpy(np.empty(0, dtype=kind)) for name, kind in COLUMNS.items()}
        return cls(**none, n_users=n_users, n_films=n_films)

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor | slice) -> Log:
        """The impressions at `rows` (a slice, a mask `[M]` or positions)."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return Log(**{k: v[rows] if isinstance(v, Tensor) else v for k, v in columns.items()})

    @property
    def day(self) -> Tensor:
        """`[M]` int64, from 0."""
        return (self.time // DAY).long()

    def clicks(self) -> Interactions:
        """Each click as an interaction: time in seconds, weight in seconds watched."""
        row = self.clicked
        return Interactions(
            self.user[row].long(),
            self.film[row].long(),
            self.n_users,
            self.n_films,
            time=self.time[row].long(),
            weight=self.watch_seconds[row].float(),
        )

    def histories(self, length: int, rows: Tensor | None = None) -> Tensor:
        """What each user had watched strictly before the list that a row stands in was shown.

        Args:
            length: L, how many of the most recent clicks.
            rows: positions of the rows wanted; None for all. The log must be whole: grouped by
                user, with nothing left out before these rows.

        Returns:
            `[B, L]` int64, most recent first, padded with n_films.
        """
        check_positive("length", length)
        before_list = self._clicks_before_first(self.user, self.time)
        before_user = self._clicks_before_first(self.user)
        if rows is not None:
            before_list, before_user = before_list[rows], before_user[rows]
        clicked_films = torch.cat([self.film[self.clicked].long(), torch.tensor([self.n_films])])
        back = torch.arange(1, length + 1)
        place = before_list[:, None] - back  # [B, L] in the list of all clicks
        valid = place >= before_user[:, None]
        return torch.where(valid, clicked_films[place.clamp(min=0)], self.n_films)

    def clicks_in_session(self) -> Tensor:
        """`[M]`: how many clicks the session had before the list that a row stands in: so many of
        the first entries of `histories` are of this very session. The log must be whole."""
        return self._clicks_before_first(self.user, self.time) - self._clicks_before_first(
            self.session
        )

    def _clicks_before_first(self, *columns: Tensor) -> Tensor:
        """`[M]`: clicks in all rows above the first row of each run of equal values in columns."""
        clicked = self.clicked.long()
        before = clicked.cumsum(0) - clicked
        first = torch.ones(len(self), dtype=torch.bool)
        first[1:] = torch.stack([c[1:] != c[:-1] for c in columns]).any(0)
        return before[first][first.long().cumsum(0) - 1]

    def final_histories(self, length: int) -> Tensor:
        """`[U, L]`: what each user has watched by the end, most recent first, padded with
        n_films."""
        films, users = self.film[self.clicked].long(), self.user[self.clicked].long()
        end = torch.bincount(users, minlength=self.n_users).cumsum(0)  # [U]
        start = torch.cat([end.new_zeros(1), end[:-1]])
        place = end[:, None] - torch.arange(1, length + 1)
        films = torch.cat([films, torch.tensor([self.n_films])])
        return torch.where(place >= start[:, None], films[place.clamp(min=0)], self.n_films)
