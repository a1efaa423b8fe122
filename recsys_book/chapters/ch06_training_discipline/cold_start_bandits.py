"""Chapter 06: films nobody knows yet, shown to find out who is worth showing.

The arms are the films released in the last days of the simulated log. Each request shows one of
them in the first place of a list; the world's truth says how likely the click is. Two things are
simpler than life. The log's own impressions of these films are not looked at, as if they came out
now. And the policies know nothing of the user: they look for the one film that is best for
everybody, which is less than the best for each (`BanditRun.personal_regret` tells how much less).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_positive, check_same_shape
from recsys_book.bandits import UCB1, EpsilonGreedy, Fixed, ThompsonSampling, beta_prior
from recsys_book.service.world import Context, World

EPSILONS = (0.01, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Requests:
    """A stream of T requests for one of k films, and the luck of each.

    Attributes:
        films: `[k]` ids.
        users, device, daypart: `[T]`, who comes and when, for predictions of one's own.
        chance: `[T, k]` float64, the true chance that this request clicks each film.
        mean: `[k]` float64, the true chance on average over all sessions of the log.
        luck: `[T]` float64, even in 0..1; a click where it is below the chance. The same for every
            policy, so that two of them are paired.
        n_users: U.
    """

    films: Tensor
    users: Tensor
    device: Tensor
    daypart: Tensor
    chance: Tensor
    mean: Tensor
    luck: Tensor
    n_users: int


@dataclass(frozen=True)
class BanditRun:
    """What a policy made of a stream.

    Attributes:
        regret: `[T]` expected clicks lost up to each request against the best film for everybody:
            its mean chance less that of the film shown.
        personal_regret: `[T]` the same against the best film for each request, by its own chances.
        clicks: how many there were.
        pulls: `[k]` how often each film was shown.
    """

    regret: Tensor
    personal_regret: Tensor
    clicks: int
    pulls: Tensor


def new_films(world: World, days: int = 3) -> Tensor:
    """`[k]` ids of the films released in the last days of the log.

    Raises:
        ValueError: days not above 0, or no film released in them.
    """
    check_positive("days", days)
    films = np.flatnonzero(world.film.release_day >= world.days - days)
    films = films[world.film.release_day[films] > 0]  # 0: there from the start
    if len(films) == 0:
        raise ValueError(f"days is {days}; no film came out in the last {days} days, take more")
    return torch.from_numpy(films)


def genre_rates(world: World, films: Tensor) -> Tensor:
    """`[k]`: what a service knows of a film by its genre alone, the click rate in the first place
    of the log, on average over the other films of its genre.

    Every film counts the same: most impressions are of popular films, which are liked better than a
    film that has just come out. It is still a guess too high, as what stands first in the log was
    put there for the one user. Nothing of what the log tells of `films` themselves comes in.
    """
    check_ids("films", films, world.n_films)
    log = world.log
    rows = log.position == 0
    film, clicked = log.film[rows].long(), log.clicked[rows].double()
    count = torch.bincount(film, minlength=world.n_films)
    others = count > 0
    others[films] = False
    rate = torch.bincount(film, clicked, minlength=world.n_films)[others] / count[others]
    genre = torch.from_numpy(world.film.genre).long()
    n_genres = int(genre.max()) + 1
    total = torch.bincount(genre[others], rate, minlength=n_genres)
    # One film more at the overall rate, for a genre of which nothing else was shown.
    of_genre = (total + rate.mean()) / (torch.bincount(genre[others], minlength=n_genres) + 1)
    return of_genre[genre[films]]


def draw_requests(world: World, films: Tensor, n: int = 5_000, *, seed: int = 0) -> Requests:
    """Draw who comes, and work out what each of them would click.

    Each request is a session of the log, drawn evenly with replacement: users come in proportion to
    how active they are, with the devices and times of day that the log has. The mood is unknown,
    the place the first. No new film is a sequel, so histories have no say.

    Args:
        world: from `simulate`, with its log.
        films: `[k]` ids of the arms.
        n: T.
        seed: of the draw.

    Raises:
        ValueError: an unknown film, films that are sequels, n not above 0.
    """
    check_ids("films", films, world.n_films)
    check_positive("n", n)
    if (world.film.sequel_of[films.numpy()] >= 0).any():
        raise ValueError("films contains a sequel; whether it is wanted depends on the history")
    log = world.log
    first = torch.ones(len(log), dtype=torch.bool)
    first[1:] = log.session[1:] != log.session[:-1]
    users, device, daypart = (
        column[first].long() for column in (log.user, log.device, log.daypart)
    )  # [S]
    context = Context(device=device[:, None], daypart=daypart[:, None], position=0)
    every = world.click_probability(users[:, None], films.expand(len(users), -1), context)  # [S, k]
    random = np.random.RandomState([seed, 6])
    drawn = torch.from_numpy(random.randint(len(users), size=n))
    luck = torch.from_numpy(random.random_sample(n))
    who = (column[drawn] for column in (users, device, daypart))
    return Requests(films, *who, every[drawn], every.mean(0), luck, world.n_users)


def run_bandit(
    requests: Requests, policy, *, batch: int = 50, seed: int = 0, once: bool = False
) -> BanditRun:
    """Let a policy choose, batch by batch.

    Args:
        requests: from `draw_requests`.
        policy: one of `recsys_book.bandits`, as new; it learns here.
        batch: requests answered before the policy hears of any click among them.
        seed: of the policy's own draws.
        once: a film that its user has clicked is not shown to them again, from the next batch on.
            Without it a user may click a film a second time, as a textbook's arm has the same
            chance at every try. With it regret is counted against the best of what is left, still
            by the means over everybody, though those who like a film best are the first to be gone:
            the number of clicks is then the better figure.

    Raises:
        ValueError: batch not above 0, a policy of another number of arms.
    """
    check_positive("batch", batch)
    n, k = requests.chance.shape
    if policy.n_arms != k:
        raise ValueError(f"policy has {policy.n_arms} arms; there are {k} films")
    generator = torch.Generator().manual_seed(seed)
    watched = torch.zeros(requests.n_users, k, dtype=torch.bool)
    arms, best, personal_best = [], [], []
    for start in range(0, n, batch):
        rows = torch.arange(start, min(start + batch, n))
        users, chance = requests.users[rows], requests.chance[rows]  # [b], [b, k]
        left = ~watched[users]  # [b, k]
        left |= ~left.any(1, keepdim=True)  # who has clicked them all sees them again
        available = left if once else None
        chosen = policy.choose(len(rows), generator, available)  # [b]
        clicked = requests.luck[rows] < chance.gather(1, chosen[:, None])[:, 0]
        policy.update(chosen, clicked.double())
        gone = ~left  # [b, k]
        best.append(requests.mean.expand(len(rows), -1).masked_fill(gone, -1).amax(1))
        personal_best.append(chance.masked_fill(gone, -1).amax(1))
        if once:
            watched[users[clicked], chosen[clicked]] = True
        arms.append(chosen)
    return _account(requests, *(torch.cat(parts) for parts in (arms, best, personal_best)))


def run_scores(requests: Requests, scores: Tensor) -> BanditRun:
    """Show each request the film with its highest score, and learn nothing: how far a model comes
    that knows the user and the film's content, or how far the truth (`scores=requests.chance`).

    Args:
        requests: from `draw_requests`.
        scores: `[T, k]`.

    Raises:
        ValueError: NaN, another shape.
    """
    check_same_shape("scores", scores, "requests.chance", requests.chance)
    check_finite("scores", scores)
    best = requests.mean.max().expand(len(scores))
    return _account(requests, scores.argmax(1), best, requests.chance.amax(1))


def _account(requests: Requests, arms: Tensor, best: Tensor, personal_best: Tensor) -> BanditRun:
    """What arms `[T]` cost against the best, on average and personal, `[T]` each."""
    chance = requests.chance.gather(1, arms[:, None])[:, 0]
    return BanditRun(
        regret=(best - requests.mean[arms]).cumsum(0),
        personal_regret=(personal_best - chance).cumsum(0),
        clicks=int((requests.luck < chance).sum()),
        pulls=torch.bincount(arms, minlength=len(requests.films)),
    )


def make_policies(requests: Requests, content: Tensor, strength: float) -> dict[str, object]:
    """The policies that are compared, as new.

    Args:
        requests: for the oracle, and for the number of films.
        content: `[k]` click rates predicted from content, such as `genre_rates`.
        strength: how many impressions they are worth.
    """
    k = len(requests.films)
    prior = beta_prior(content, strength)
    return {
        "uniform": EpsilonGreedy(k, 1.0),
        "content, no learning": Fixed(content),
        "greedy": EpsilonGreedy(k, 0.0),
        "greedy, content prior": EpsilonGreedy(k, 0.0, prior),
        **{f"epsilon {epsilon}": EpsilonGreedy(k, epsilon) for epsilon in EPSILONS},
        "UCB1": UCB1(k),
        "Thompson, flat prior": ThompsonSampling(k),
        "Thompson, content prior": ThompsonSampling(k, prior),
        "oracle": Fixed(requests.mean),
    }


def compare(
    world: World,
    films: Tensor,
    content: Tensor,
    strength: float,
    *,
    n: int = 5_000,
    batch: int = 50,
    seed: int = 0,
    once: bool = False,
) -> dict[str, BanditRun]:
    """Every policy on one stream; arguments as in the three functions above."""
    requests = draw_requests(world, films, n, seed=seed)
    return {
        name: run_bandit(requests, policy, batch=batch, seed=seed, once=once)
        for name, policy in make_policies(requests, content, strength).items()
    }
