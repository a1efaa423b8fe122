"""A policy in charge of the service: the lists it makes, and what users do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_k, check_positive
from recsys_book.service.log import COLUMNS, DAY, Log
from recsys_book.service.loop import HALF_HOUR, Service, Sitting, session_starts
from recsys_book.service.world import SLATE, Context, World, stream


@dataclass(frozen=True)
class Request:
    """A list is wanted for each of B users.

    Attributes:
        users: `[B]` ids.
        day: `[B]`, counted on from the first day of the log.
        time: `[B]` seconds since the start of the log.
        device, daypart: `[B]`, see `recsys_book.service.world`.
        history: `[B, L]` films watched, most recent first, padded with n_films.
        in_session: `[B]` how many of them were watched in this session.
        released: `[N]` bool, the films that are out.
        belief: `[B, 6]` chance of each mood as the session's clicks tell it. For the oracle: it
            takes the true probabilities to work it out.
    """

    users: Tensor
    day: Tensor
    time: Tensor
    device: Tensor
    daypart: Tensor
    history: Tensor
    in_session: Tensor
    released: Tensor
    belief: Tensor

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, rows: Tensor | slice) -> Request:
        """The same for some of the users."""
        parts = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "released"}
        return replace(self, **parts)


@dataclass(frozen=True)
class Online:
    """What came of it.

    Attributes:
        log: the impressions of these days.
        n_days: how many.
    """

    log: Log
    n_days: int

    @property
    def clicks(self) -> int:
        """Clicks in all."""
        return int(self.log.clicked.sum())

    @property
    def watch_hours(self) -> float:
        """Hours watched in all."""
        return float(self.log.watch_seconds.double().sum()) / 3_600

    def by_day(self, column: str = "clicked") -> Tensor:
        """`[days]` float64: sums of a column of the log over each day."""
        day = self.log.day - self.log.day.min()
        values = getattr(self.log, column).double()
        return torch.zeros(self.n_days, dtype=torch.float64).index_add_(0, day, values)

    def __str__(self) -> str:
        rate = self.clicks / max(len(self.log), 1)
        return (
            f"{self.n_days} days, {len(self.log):,} impressions, {self.clicks:,} clicks "
            f"({rate:.1%}), {self.watch_hours:,.0f} hours watched"
        )


Policy = Callable[[Request], Tensor]


def run_online(
    world: World,
    policy: Policy,
    days: int = 14,
    *,
    seed: int = 0,
    after_day: Callable[[Log], None] | None = None,
) -> Online:
    """Let `policy` fill the lists for some days after the log.

    Every policy meets the same sessions, devices and first moods, and the same luck place by
    place: differences between two policies under one seed are paired.

    Args:
        world: from `simulate`, with its log.
        policy: `policy(request)` gives films `[B, K]`, best first, K at most 10, a film at most
            once in a list. A film that its user has watched is never clicked again.
        days: how many, at least 1.
        seed: of the users' luck.
        after_day: called with each day's log, for a policy that learns as it goes.

    Raises:
        ValueError: a list of another shape, with an id out of range, a film that is not out yet,
            or a film twice.
    """
    check_positive("days", days)
    service, random = Service(world), stream(seed, "online")
    start, n_sessions = session_starts(world.activity, days, random)
    history, watched = _histories(world)
    users = np.arange(world.n_users, dtype=np.int32)
    parts = []
    first_session = int(world.log.session.max()) + 1
    for day in range(days):
        pages = []
        slot = np.where(np.arange(start.shape[1]) < n_sessions[:, None], start // DAY, -1)
        today = slot == day
        for turn in range(int(today.sum(1).max())):
            # Each user's turn-th session of the day.
            column = today & (today.cumsum(1) == turn + 1)
            who = np.flatnonzero(column.any(1))
            time = start[who, column[who].argmax(1)] + world.days * DAY
            number = first_session + np.arange(len(who))
            first_session += len(who)
            ask = lambda sitting: _ask(world, policy, sitting)
            history, more = service.sit(
                users, who, time, number.astype(np.int32), history, watched, ask, random
            )
            pages += more
        if not pages:
            continue
        log = _log(world, pages)
        parts.append(log)
        if after_day is not None:
            after_day(log)
    if not parts:
        raise ValueError(f"days is {days}; nobody came in that time, ask for more")
    whole = {name: torch.cat([getattr(p, name) for p in parts]) for name in COLUMNS}
    return Online(Log(**whole, n_users=world.n_users, n_films=world.n_films), days)


def top_list(request: Request, scores: Tensor, k: int = SLATE) -> Tensor:
    """The films with the highest scores, of those that are out and not watched.

    Where fewer than k are left, films that were watched stand behind them.

    Args:
        request: for whom.
        scores: `[B, N]`, finite.
        k: how many; a list has 10 at most.

    Returns:
        `[B, k]` ids, best first.

    Raises:
        ValueError: scores of another shape, or not finite; k out of range.
    """
    wanted = (len(request), len(request.released))
    if tuple(scores.shape) != wanted:
        raise ValueError(f"scores has shape {tuple(scores.shape)}; it must be {list(wanted)}")
    check_finite("scores", scores)
    check_k(k, scores.shape[1])
    lowest = torch.finfo(scores.dtype).min
    spare = scores.new_zeros(len(scores), 1)  # histories are padded with n_films
    scores = torch.cat([scores, spare], dim=1).scatter(1, request.history, lowest)[:, :-1]
    return scores.masked_fill(~request.released, -torch.inf).topk(k, dim=1).indices


def oracle_policy(world: World, aim: str = "click") -> Policy:
    """The best list in one glance: films by their true chance of a click, or by expected watch.

    It is greedy: it knows everything and does not plan ahead.

    Args:
        world: the truth.
        aim: "click" or "watch".
    """
    if aim not in ("click", "watch"):
        raise ValueError(f"aim is {aim!r}; it must be 'click' or 'watch'")
    truth = world.click_probability if aim == "click" else world.expected_watch
    films = torch.arange(world.n_films)

    def policy(request: Request) -> Tensor:
        context = Context(
            device=request.device[:, None],
            daypart=request.daypart[:, None],
            belief=request.belief,
            history=request.history,
        )
        value = truth(request.users[:, None], films[None, :], context)  # [B, N]
        return value.masked_fill(~request.released, -1).topk(SLATE, dim=1).indices

    return policy


def _ask(world: World, policy: Policy, sitting: Sitting) -> tuple[np.ndarray, np.ndarray]:
    """Films and which places are filled, both `[B, K]`, checked."""
    place = sitting.n_watched[:, None] - 1 - np.arange(sitting.history.shape[1])
    recent = np.take_along_axis(sitting.history, np.maximum(place, 0), axis=1)
    day = sitting.time // DAY
    tensor = lambda values: torch.from_numpy(np.asarray(values, dtype=np.int64))
    request = Request(
        users=tensor(sitting.users),
        day=tensor(day),
        time=tensor(sitting.time),
        device=tensor(sitting.device),
        daypart=tensor(sitting.daypart),
        history=tensor(np.where(place >= 0, recent, world.n_films)),
        in_session=tensor(sitting.n_new),
        released=torch.from_numpy(world.film.release_day <= day.min()),
        belief=torch.from_numpy(sitting.belief),
    )
    films = policy(request)
    if films.dim() != 2 or len(films) != len(day) or not 1 <= films.shape[1] <= SLATE:
        raise ValueError(
            f"policy gave a tensor of shape {tuple(films.shape)}; it must be [{len(day)}, K] with "
            f"K from 1 to {SLATE}"
        )
    check_ids("the policy's list", films, world.n_films)
    ordered = films.sort(dim=1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(1)
    if twice.any():
        user = int(sitting.users[int(twice.nonzero()[0])])
        raise ValueError(f"policy put a film twice in the list of user {user}")
    if not request.released[films].all():
        film = int(films[~request.released[films]][0])
        raise ValueError(
            f"policy shows film {film} on day {int(day[0])}; it comes out on day "
            f"{int(world.film.release_day[film])}"
        )
    films = films.cpu().numpy().astype(np.int32)
    return films, np.ones(films.shape, dtype=bool)


def _histories(world: World) -> tuple[np.ndarray, np.ndarray]:
    """`[U, L]` films watched in the log, oldest first, padded with n_films; `[U]` how many."""
    log = world.log
    if len(log) == 0:
        raise ValueError("world has no log; make it with simulate()")
    user, film = log.user[log.clicked].numpy(), log.film[log.clicked].numpy()
    watched = np.bincount(user, minlength=world.n_users)
    history = np.full((world.n_users, max(int(watched.max()), 1)), world.n_films, dtype=np.int32)
    place = np.arange(len(user)) - (np.cumsum(watched) - watched)[user]
    history[user, place] = film
    return history, watched


def _log(world: World, pages: list[dict]) -> Log:
    columns = {name: np.concatenate([p[name] for p in pages]) for name in COLUMNS}
    order = np.lexsort((columns["time"], columns["user"]))
    tensors = {k: torch.from_numpy(v[order].astype(COLUMNS[k])) for k, v in columns.items()}
    return Log(**tensors, n_users=world.n_users, n_films=world.n_films)


#: Sessions start in different half hours, so no two lists of a user share a second.
assert HALF_HOUR > 3 * 180
