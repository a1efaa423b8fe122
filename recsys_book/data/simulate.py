"""simulate(): some weeks of a small film-streaming service, as its log would show them.

The logging policy, which every reader of the log should know. In each session a user sees three
lists of up to ten films. A list is filled from six sources: films in proportion to their
popularity; popular films of the genre the service believes the user likes best; part two of
something the user has watched; a film released within three days; and films drawn evenly from the
catalogue. Films already watched, not yet released or already in the list are left out. The list is
then ordered by popularity, genre match and a good deal of chance, so what stands high is better
than what stands low, and is looked at more often: both at once.

Randomness comes from NumPy's frozen RandomState, one stream a block of users, and every draw is
decided in double precision: the integer columns are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.interactions import Interactions
from recsys_book.data.world import (
    DAYPARTS,
    DEVICES,
    EFFECTS,
    GENRES,
    MOODS,
    SLATE,
    STAY_IN_MOOD,
    World,
    make_world,
    stream,
)

LISTS = 3  # lists in a session
MEAN_SESSIONS = 7  # in 28 days; in proportion over other lengths
MAX_SESSIONS = 60
BLOCK = 4_096  # users simulated together; part of the result, as each block has its own stream
HALF_HOUR, DAY = 1_800, 86_400

#: Sources of the places in a list before anything is left out; the last six are spares.
_SOURCES = "sequel popular genre popular even genre popular new genre popular".split()
_SOURCES += "popular genre popular genre even even".split()


@dataclass(frozen=True)
class Log:
    """Impressions, grouped by user and in the order of time within each user. M rows.

    Attributes:
        user, film: `[M]` int32 ids.
        time: `[M]` int32, seconds since the start.
        session: `[M]` int32, numbered through.
        position: `[M]` int8, place in the list from 0.
        device, daypart: `[M]` int8, see `recsys_book.data.world`.
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


def simulate(
    n_users: int = 2_000,
    n_films: int = 1_000,
    days: int = 28,
    seed: int = 0,
    *,
    effects: Collection[str] = tuple(EFFECTS),
    without: Collection[str] = (),
) -> World:
    """Make the service and let its users live with it.

    Args:
        n_users: U.
        n_films: N, at least 50.
        days: length of the log.
        seed: of everything.
        effects: which of `EFFECTS` are planted.
        without: which of them are left out after all; everything else stays as it was.

    Returns:
        the World, its `log` filled.

    Raises:
        ValueError: a size out of range, an unknown effect.
    """
    for name, value, least in [
        ("n_users", n_users, 1),
        ("n_films", n_films, 50),
        ("days", days, 1),
    ]:
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; it must run from 0 to 2**32 - 1")
    for argument, names in (("effects", effects), ("without", without)):
        unknown = sorted(set(names) - set(EFFECTS))
        if unknown:
            raise ValueError(
                f"{argument} contains {unknown[0]!r}; effects are {', '.join(EFFECTS)}"
            )
    world = make_world(n_users, n_films, days, seed, frozenset(effects) - frozenset(without))
    service = _Service(world)
    parts = [
        (np.arange(first, min(first + BLOCK, n_users), dtype=np.int32), stream(seed, "log", part))
        for part, first in enumerate(range(0, n_users, BLOCK))
    ]
    starts = [_session_starts(world.activity[users], days, random) for users, random in parts]
    most = sum(int(n.sum()) for _, n in starts) * LISTS * SLATE
    # Room for every row at once, filled block by block: the log never stands in memory twice.
    columns = {name: np.empty(most, dtype=kind) for name, kind in _TYPES.items()}
    n_rows = n_sessions = 0
    for (users, random), (start, count) in zip(parts, starts, strict=True):
        block = service.live(users, start, count, n_sessions, random)
        for name, values in block.items():
            columns[name][n_rows : n_rows + len(values)] = values
        n_rows += len(block["user"])
        n_sessions += int(count.sum())
    filled = {name: torch.from_numpy(column[:n_rows]) for name, column in columns.items()}
    world.log = Log(**filled, n_users=n_users, n_films=n_films)
    return world


#: Columns of the log and how they are kept: 27 bytes an impression.
_TYPES = {
    "user": np.int32, "film": np.int32, "time": np.int32, "session": np.int32, "position": np.int8,
    "device": np.int8, "daypart": np.int8, "clicked": np.bool_, "watch_seconds": np.int16,
    "mood": np.int8, "click_probability": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class Sitting:
    """What can be known when a list is to be made for each of B users, as NumPy arrays.

    Attributes:
        who: `[B]` rows of the users in their block.
        users: `[B]` ids.
        time: `[B]` seconds.
        device, daypart: `[B]`.
        history: `[B, L]` films watched, oldest first, padded with n_films.
        n_watched: `[B]` how many of them are real.
        n_new: `[B]` how many of these in this very session.
        belief: `[B, 6]` chance of each mood; for the oracle alone.
    """

    who: np.ndarray
    users: np.ndarray
    time: np.ndarray
    device: np.ndarray
    daypart: np.ndarray
    history: np.ndarray
    n_watched: np.ndarray
    n_new: np.ndarray
    belief: np.ndarray


class _Service:
    """The logging policy, and the loop in which users meet it."""

    def __init__(self, world: World) -> None:
        self.world = world
        film, truth = world.film, world.truth
        genre = film.genre.astype(np.int64)
        self.by_genre = np.argsort(genre, kind="stable")
        weight = truth.popularity
        self.cdf = np.cumsum(weight)
        self.genre_cdf = np.cumsum(weight[self.by_genre])
        end = np.searchsorted(genre[self.by_genre], np.arange(len(GENRES)), side="right")
        self.genre_end = np.where(end > 0, self.genre_cdf[end - 1], 0.0)
        self.genre_start = np.concatenate([[0.0], self.genre_end[:-1]])
        self.by_release = np.argsort(film.release_day, kind="stable")
        self.release_day = film.release_day[self.by_release]
        self.part_two = np.full(world.n_films + 1, -1, dtype=np.int32)  # last: the padding
        continued = np.flatnonzero(film.sequel_of >= 0)
        self.part_two[film.sequel_of[continued]] = continued
        standing = np.log(weight) - np.log(weight).mean()
        self.standing = standing / max(standing.std(), 1e-12)

    def guess_genres(self, users: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """`[U]` the genre that the service believes each user likes best: a noisy guess."""
        world = self.world
        genre = world.film.genre
        count = np.maximum(np.bincount(genre, minlength=len(GENRES)), 1)
        mean = np.stack(
            [np.bincount(genre, weights=column, minlength=len(GENRES)) / count
             for column in world.truth.taste_of_film.T]
        )  # fmt: skip
        liking = world.truth.taste_of_user[users] @ mean  # [U, 12]
        liking += 0.7 * random.standard_normal(liking.shape)
        empty = np.bincount(genre, minlength=len(GENRES)) == 0
        return np.where(empty, -np.inf, liking).argmax(axis=1)

    def live(self, users, start, n_sessions, first_session, random) -> dict[str, np.ndarray]:
        """Everything that a block of users does, as columns of the log.

        Args:
            users: `[B]` consecutive ids.
            start: `[B, S]` seconds at which sessions start.
            n_sessions: `[B]` how many of them are real.
            first_session: number of the block's first session.
            random: the block's stream.
        """
        world = self.world
        session_id = first_session + np.concatenate([[0], np.cumsum(n_sessions)[:-1]])
        favourite = self.guess_genres(users, random)
        history = np.full((len(users), 32), world.n_films, dtype=np.int32)
        watched = np.zeros(len(users), dtype=np.int64)
        pages = []
        for s in range(start.shape[1]):
            who = np.flatnonzero(n_sessions > s)
            if len(who) == 0:
                break
            policy = lambda sitting: self.choose(
                sitting.users, sitting.time // DAY, favourite[sitting.who], sitting.history, random
            )
            history, more = self.sit(
                users, who, start[who, s], session_id[who] + s, history, watched, policy, random
            )
            pages += more
        # int16 for speed: NumPy sorts it by radix. A block has at most 4,096 users.
        row = (np.concatenate([p["user"] for p in pages]) - users[0]).astype(np.int16)
        order = np.argsort(row, kind="stable")
        return {name: np.concatenate([p[name] for p in pages])[order] for name in _TYPES}

    def sit(self, users, who, time, session, history, watched, policy, random):
        """One session of some users: three lists, and what they do with them.

        Args:
            users: `[U']` ids behind the rows of history.
            who: `[B]` rows of the users who sit down.
            time: `[B]` seconds at which they do.
            session: `[B]` numbers of their sessions.
            history: `[U', L]` what has been watched, oldest first, padded with n_films.
            watched: `[U']` how many films that is; counted up in place.
            policy: `policy(Sitting)` gives films `[B, K]` and which places are filled `[B, K]`.
            random: the stream.

        Returns:
            history with the clicks added, and a list of pages.
        """
        world, pages = self.world, []
        device = random.randint(len(DEVICES), size=len(who)).astype(np.int8)
        daypart = (time % DAY // (DAY // len(DAYPARTS))).astype(np.int8)
        mood = random.randint(len(MOODS), size=len(who)).astype(np.int8)
        belief = np.full((len(who), len(MOODS)), 1 / len(MOODS))
        watched_before = watched[who].copy()
        for _ in range(LISTS):
            seen = history[who, : max(int(watched[who].max()), 1)]
            new = watched[who] - watched_before  # clicks in this session so far
            slate, real = policy(
                Sitting(who, users[who], time, device, daypart, seen, watched[who], new, belief)
            )
            page = self.show(users[who], slate, real, device, daypart, mood, belief, seen, random)
            page |= {"time": time, "session": session}
            pages.append(_rows(page))
            history = _append(history, watched, who, slate, page["clicked"], world.n_films)
            belief = drift(page["belief"])
            mood = _next_mood(mood, random)
            time = time + 180
        return history, pages

    def choose(self, users, day, favourite, history, random) -> tuple[np.ndarray, np.ndarray]:
        """A list for each user: films `[B, 10]` and which places are filled `[B, 10]`."""
        world, n = self.world, len(users)
        uniform = random.random_sample((n, len(_SOURCES)))
        films = np.empty((n, len(_SOURCES)), dtype=np.int32)
        sources = np.array(_SOURCES)

        popular = (sources == "popular") | (sources == "sequel")
        films[:, popular] = np.searchsorted(self.cdf, uniform[:, popular] * self.cdf[-1])
        start, end = self.genre_start[favourite, None], self.genre_end[favourite, None]
        place = np.searchsorted(
            self.genre_cdf, start + uniform[:, sources == "genre"] * (end - start)
        )
        films[:, sources == "genre"] = self.by_genre[np.minimum(place, world.n_films - 1)]
        even = (sources == "even") | (sources == "new")
        films[:, even] = (uniform[:, even] * world.n_films).astype(np.int32)

        new = np.flatnonzero(sources == "new")[0]  # released in the last three days, where any
        first = np.searchsorted(self.release_day, np.maximum(day - 3, 0), side="right")
        last = np.searchsorted(self.release_day, day, side="right")
        pick = self.by_release[np.minimum(first + (uniform[:, new] * (last - first)).astype(int),
                                          world.n_films - 1)]  # fmt: skip
        films[:, new] = np.where(last > first, pick, films[:, new])

        part_two = self.part_two[history]  # [B, H]
        known = (part_two[:, :, None] == history[:, None, :]).any(-1) if history.size else False
        eligible = (part_two >= 0) & ~known
        has = eligible.any(axis=1) & (random.random_sample(n) < 0.5)
        pick = np.where(eligible, random.random_sample(eligible.shape), -1).argmax(axis=1)
        films[:, 0] = np.where(has, part_two[np.arange(n), pick], films[:, 0])

        watched = (films[:, :, None] == history[:, None, :]).any(-1)
        earlier = np.tril(np.ones((len(_SOURCES), len(_SOURCES)), dtype=bool), -1)
        twice = ((films[:, :, None] == films[:, None, :]) & earlier).any(-1)
        out = world.film.release_day[films] > day[:, None]
        bad = watched | twice | out
        order = np.argsort(bad, axis=1, kind="stable")[:, :SLATE]
        films, real = np.take_along_axis(films, order, 1), ~np.take_along_axis(bad, order, 1)

        rank_by = 0.6 * self.standing[films] + 1.0 * (world.film.genre[films] == favourite[:, None])
        rank_by += 2.0 * (world.film.sequel_of[films] >= 0) * has[:, None]
        rank_by += random.standard_normal(films.shape)
        order = np.argsort(-np.where(real, rank_by, -np.inf), axis=1, kind="stable")
        return np.take_along_axis(films, order, 1), np.take_along_axis(real, order, 1)

    def show(self, users, slate, real, device, daypart, mood, belief, history, random) -> dict:
        """What the users do with a list `[B, K]`: clicks, watching, and what it tells."""
        world = self.world
        who = users[:, None]
        genre = world.film.genre[slate]
        logit = world.static_logit(who, slate, device[:, None], daypart[:, None])
        logit = logit + world.sequel_bonus(slate, history[:, None, :])
        examined = world.truth.examined[: slate.shape[1]]
        attraction = world.attraction(logit, genre) * examined[:, None]  # [B, K, 6]
        attraction = attraction * (slate[:, :, None] != history[:, None, :]).all(-1)[:, :, None]
        chance = np.take_along_axis(attraction, mood.astype(np.int64)[:, None, None], 2)[..., 0]
        clicked = (random.random_sample(slate.shape) < chance) & real
        share = world.watched_share(who, slate)
        # U^((1 − m) / m) lies in 0..1 and has mean m.
        part = random.random_sample(slate.shape) ** ((1 - share) / share)
        seconds = (part * world.film.minutes[slate] * 60).astype(np.int32) * clicked
        told = np.where(clicked[..., None], attraction, 1 - attraction)
        told = np.where(real[..., None], told, 1.0).prod(axis=1)  # [B, 6]
        after = belief * told
        return {
            "user": users,
            "film": slate,
            "real": real,
            "position": np.arange(slate.shape[1], dtype=np.int8),
            "device": device,
            "daypart": daypart,
            "clicked": clicked,
            "watch_seconds": seconds,
            "mood": mood,
            "click_probability": (attraction * belief[:, None, :]).sum(-1),
            "belief": after / after.sum(axis=1, keepdims=True),
        }


def drift(belief: np.ndarray) -> np.ndarray:
    """`[B, 6]` what is believed of the next list's mood, given this one's."""
    aside = (1 - STAY_IN_MOOD) / 2
    around = np.roll(belief, 1, axis=1) + np.roll(belief, -1, axis=1)
    return STAY_IN_MOOD * belief + aside * around


def _next_mood(mood: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    uniform = random.random_sample(len(mood))
    aside = (1 - STAY_IN_MOOD) / 2
    step = np.where(uniform < aside, 1, np.where(uniform < 2 * aside, -1, 0))
    return ((mood + step) % len(MOODS)).astype(np.int8)


def _session_starts(activity, days, random) -> tuple[np.ndarray, np.ndarray]:
    """`[B, S]` seconds, rising, and `[B]` how many of them are real. No two in one half hour."""
    n_slots = days * DAY // HALF_HOUR
    wanted = 1 + (activity * (MEAN_SESSIONS * days / 28 - 1)).clip(0, MAX_SESSIONS - 1)
    wanted = np.floor(wanted + random.random_sample(len(activity))).astype(np.int64)
    slot = (random.random_sample((len(activity), MAX_SESSIONS)) * n_slots).astype(np.int64)
    slot = np.where(np.arange(MAX_SESSIONS) < wanted[:, None], slot, n_slots)
    slot = np.sort(slot, axis=1)
    slot[:, 1:][slot[:, 1:] == slot[:, :-1]] = n_slots
    slot = np.sort(slot, axis=1)
    start = slot * HALF_HOUR + (600 * random.random_sample(slot.shape)).astype(np.int64)
    n_real = (slot < n_slots).sum(axis=1)
    return start[:, : n_real.max()].astype(np.int32), n_real


def _rows(page: dict) -> dict[str, np.ndarray]:
    """A page of lists as rows of the log: empty places left out."""
    real, rows = page["real"], {}
    for f in fields(Log):
        if f.name in page:
            value = page[f.name]
            value = (
                value[:, None] if value.shape == real.shape[:1] and f.name != "position" else value
            )
            rows[f.name] = np.broadcast_to(value, real.shape)[real]
    return rows


def _append(history, watched, who, slate, clicked, padding) -> np.ndarray:
    """Write the clicked films behind each user's history; `watched` counts up in place."""
    count = clicked.sum(axis=1)
    need = int((watched[who] + count).max())
    if need > history.shape[1]:
        more = np.full((len(history), need), padding, dtype=history.dtype)
        history = np.concatenate([history, more], axis=1)
    place = watched[who][:, None] + clicked.cumsum(axis=1) - 1
    row = np.broadcast_to(who[:, None], clicked.shape)
    history[row[clicked], place[clicked]] = slate[clicked]
    watched[who] += count
    return history
