"""What the truth says: the ten best films for each user, and how near a model's lists come.

The relevant films are the ten with the highest true chance of a click among those that the user has
not watched, in a context drawn for the user.

Two oracles know the truth. One knows the moment; the other is told ids alone, as matrix
factorization is, and answers with the truth averaged over the moments, for the histories of the
day on which the test begins. By log-loss and by expected clicks nobody who is told no more can be
expected to do better; a model whose histories go on may, by a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys_book.data.interactions import Interactions
from recsys_book.evaluate import full_catalogue
from recsys_book.service.click_models import (
    HISTORY,
    SESSION,
    ClickModel,
    Cut,
    Examples,
    Task,
    film_ids,
)
from recsys_book.service.world import DAYPARTS, DEVICES, Context

N_RELEVANT = 10


@dataclass(frozen=True)
class Ranking:
    """Which films should stand on top for each user, in a context drawn for the user.

    Attributes:
        device, daypart: `[U]`.
        history: `[U, L]` all that the user watched before the test, most recent first.
        relevant: ten films for each user drawn, those with the highest true chance of a click among
            the films that are out and not watched; the mood is unknown.
        seen: what was watched before the test.
        out: `[N]` bool, the films that are out on the first day of the test.
        truth: `[U, N]` float32, the true chances.
    """

    device: Tensor
    daypart: Tensor
    history: Tensor
    relevant: Interactions
    seen: Interactions
    out: Tensor
    truth: Tensor


def make_ranking(cut: Cut, n_users: int = 500, seed: int = 0) -> Ranking:
    """Ask the oracle for some users' ten best films on the first day of the test.

    Args:
        cut: whose test.
        n_users: how many users are drawn to be ranked for; all where there are fewer.
        seed: of the users' contexts and of who is drawn.
    """
    world = cut.world
    random = np.random.RandomState(seed)
    draw = lambda n: torch.from_numpy(random.randint(n, size=world.n_users))
    device, daypart = draw(len(DEVICES)), draw(len(DAYPARTS))
    before = world.log[cut.before(cut.test_from)]
    seen = before.clicks()
    history = before.final_histories(int(seen.user_counts().max()))
    out = torch.from_numpy(world.film.release_day <= cut.test_from)
    films = torch.arange(world.n_films)[None, :]
    truth = []
    for users in torch.arange(world.n_users).split(256):
        context = Context(device[users, None], daypart[users, None], history=history[users])
        chance = world.click_probability(users[:, None], films, context)
        truth.append(torch.where(out, chance, 0.0).float())
    truth = torch.cat(truth)  # [U, N], 0 for what is watched or not out
    drawn = torch.from_numpy(random.permutation(world.n_users)[:n_users].copy()).sort().values
    best = truth[drawn].topk(N_RELEVANT, dim=1).indices
    users = drawn.repeat_interleave(N_RELEVANT)
    relevant = Interactions(users, best.flatten(), world.n_users, world.n_films)
    return Ranking(device, daypart, history, relevant, seen, out, truth)


def catalogue(task: Task, ranking: Ranking, users: Tensor) -> Examples:
    """Every film for every one of `users` `[U]`, as `U · N` examples; a session just begun."""
    world, n = task.world, task.world.n_films
    column = lambda values: torch.from_numpy(values.astype(np.int64))
    user, film = users.repeat_interleave(n), torch.arange(n).repeat(len(users))
    columns = [
        user, film, column(world.age)[user], column(world.region)[user],
        column(world.film.genre)[film], column(world.film.second_genre)[film],
        column(world.film.tone)[film], ranking.device[user], ranking.daypart[user],
    ]  # fmt: skip
    zeros = torch.zeros(len(user), dtype=torch.int64)
    return Examples(
        ids=torch.stack(columns, dim=1) + 1,
        history=film_ids(ranking.history[:, :HISTORY], world)[user],
        session=torch.zeros(len(user), SESSION, dtype=torch.int64),
        position=zeros,
        label=zeros.float(),
    )


def scorer(task: Task, ranking: Ranking, model: ClickModel) -> Callable[[Tensor], Tensor]:
    """`score(users [U]) -> [U, N]` of a click model."""

    @torch.no_grad()
    def score(users: Tensor) -> Tensor:
        model.eval()
        examples = catalogue(task, ranking, users)
        return model.preference(examples).view(len(users), -1)

    return score


def oracle_ndcg(ranking: Ranking, score: Callable[[Tensor], Tensor]) -> float:
    """NDCG@10 over the full catalogue against the oracle's ten, the mean over users."""
    out = lambda users: score(users).masked_fill(~ranking.out, -torch.inf)
    report = full_catalogue(out, ranking.relevant, ranking.seen, k=10, batch_size=64)
    return float(report.ndcg.mean())


@torch.no_grad()
def expected_clicks(
    ranking: Ranking, score: Callable[[Tensor], Tensor], k: int = 10, batch_size: int = 64
) -> float:
    """Clicks to expect from the k films on top, all looked at, as a share of the best k: the mean
    over users.

    Args:
        ranking: whom to ask about, and the truth.
        score: `score(users [U]) -> [U, N]`.
        k: length of the list.
        batch_size: users scored at once.
    """
    taken = ranking.seen
    watched = torch.zeros(taken.n_users, taken.n_items, dtype=torch.bool)
    watched[taken.user, taken.item] = True
    shares = []
    for users in ranking.relevant.user.unique().split(batch_size):
        free = ranking.out & ~watched[users]
        top = score(users).masked_fill(~free, -torch.inf).topk(k, dim=1).indices
        chance = ranking.truth[users].double()
        shares.append(chance.gather(1, top).sum(1) / chance.topk(k, dim=1).values.sum(1))
    return float(torch.cat(shares).mean())


def _moments() -> list[tuple[int, int]]:
    """Every device at every time of day: sessions are spread evenly over them."""
    return [(device, daypart) for device in range(len(DEVICES)) for daypart in range(len(DAYPARTS))]


def ids_only_truth(cut: Cut, ranking: Ranking) -> Tensor:
    """`[U, N]` float32, the true chances averaged over the moments, the mood unknown.

    Args:
        cut: whose world.
        ranking: its histories; what is watched or not out has 0.
    """
    world = cut.world
    films = torch.arange(world.n_films)[None, :]
    truth = []
    for users in torch.arange(world.n_users).split(256):
        history = ranking.history[users]
        chances = [
            world.click_probability(users[:, None], films, Context(*moment, history=history))
            for moment in _moments()
        ]
        truth.append(torch.where(ranking.out, torch.stack(chances).mean(0), 0.0).float())
    return torch.cat(truth)


def ids_only_chance(cut: Cut, ranking: Ranking, rows: Tensor) -> Tensor:
    """`[B]` float64, the chance of a click on impressions as ids alone tell it: averaged over the
    moments, for the user as known when the test began, with the place in the list.

    Args:
        cut: whose log.
        ranking: its histories, those of the day on which the test begins.
        rows: positions of impressions `[B]`.
    """
    log, found = cut.world.log, []
    for some in rows.split(8_192):
        users, films = log.user[some].long(), log.film[some].long()
        place, history = log.position[some].long(), ranking.history[users]
        chances = [
            cut.world.click_probability(
                users, films, Context(*moment, position=place, history=history)
            )
            for moment in _moments()
        ]
        found.append(torch.stack(chances).mean(0))
    return torch.cat(found)
