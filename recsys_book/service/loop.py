"""The loop in which users meet the service, list by list.

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

from dataclasses import dataclass, fields

import numpy as np

from recsys_book.service.log import COLUMNS, DAY, Log
from recsys_book.service.world import (
    DAYPARTS,
    DEVICES,
    GENRES,
    MOODS,
    SLATE,
    STAY_IN_MOOD,
    World,
)

LISTS = 3  # lists in a session
MEAN_SESSIONS = 7  # in 28 days; in proportion over other lengths
MAX_SESSIONS = 60
HALF_HOUR = 1_800

#: Sources of the places in a list before anything is left out; the last six are spares.
_SOURCES = "sequel popular genre popular even genre popular new genre popular".split()
_SOURCES += "popular genre popular genre even even".split()


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


class Service:
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
        return {name: np.concatenate([p[name] for p in pages])[order] for name in COLUMNS}

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


def session_starts(activity, days, random) -> tuple[np.ndarray, np.ndarray]:
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
