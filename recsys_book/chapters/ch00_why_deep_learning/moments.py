"""Chapter 00: the same people in several moments, one with her films on top, many on a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from recsys_book.service.click_models import ClickModel, Task
from recsys_book.service.oracle import Ranking, make_ranking, scorer
from recsys_book.service.world import DAYPARTS, DEVICES, TONES, Context

#: Device and time of day: phone or TV, in the morning or at night.
MOMENTS = ((0, 0), (0, 3), (3, 0), (3, 3))


def moment_name(device: int, daypart: int) -> str:
    """Such as "TV, night"."""
    return f"{DEVICES[device].replace('tv', 'TV')}, {DAYPARTS[daypart]}"


def asked_in(ranking: Ranking, device: int, daypart: int) -> Ranking:
    """The same people, all asked in one moment. (What is relevant stays that of their own.)"""
    of_all = lambda value: torch.full_like(ranking.device, value)
    return replace(ranking, device=of_all(device), daypart=of_all(daypart))


def lists_by_moment(
    task: Task, models: Mapping[str, ClickModel], people: Tensor
) -> dict[str, Tensor]:
    """What models would rank for the same people in four moments.

    Args:
        task: of the world.
        models: name → trained.
        people: who, `[P]`.

    Returns:
        name → scores `[4 · P, N]` of the films that are out, moment by moment, less each row's
        mean: only the order of a list counts.
    """
    ranking, found = make_ranking(task), {}
    for name, model in models.items():
        rows = [
            scorer(task, asked_in(ranking, *moment), model)(people)[:, ranking.out]
            for moment in MOMENTS
        ]
        scores = torch.cat(rows)
        found[name] = scores - scores.mean(dim=1, keepdim=True)
    return found


def alike(scores: Tensor) -> Tensor:
    """How alike one person's lists are in two moments, the mean over people.

    Args:
        scores: `[4 · P, N]` of `lists_by_moment`.

    Returns:
        `[4, 4]` correlations of the scores of all films, in the order of MOMENTS.
    """
    rows = scores.view(len(MOMENTS), -1, scores.shape[1])  # [4, P, N]
    length_one = rows / rows.norm(dim=2, keepdim=True)
    return torch.einsum("apn,bpn->abp", length_one, length_one).mean(2)


@torch.no_grad()
def dark_leads(task: Task, models: Mapping[str, ClickModel]) -> dict[str, list[float]]:
    """How far dark films are ahead of light ones in each of MOMENTS, in log-odds.

    Args:
        task: of the world.
        models: name → trained.

    Returns:
        "the truth" and every name → a number a moment: the mean score of dark films less that of
        light ones, of those out and not yet watched; the mean over everybody.
    """
    world, ranking, people = task.world, make_ranking(task), torch.arange(task.world.n_users)
    dark = torch.from_numpy(world.film.tone == TONES.index("dark"))
    free = _free(ranking, people)
    films = torch.arange(world.n_films)[None, :]

    def lead(score: Callable[[Tensor], Tensor]) -> float:
        rows = torch.cat([score(some).double() for some in people.split(128)])
        of = lambda tone: rows.where(free & tone, 0).sum(1) / (free & tone).sum(1)
        return float((of(dark) - of(~dark)).mean())

    found: dict[str, list[float]] = {name: [] for name in ("the truth", *models)}
    for moment in MOMENTS:

        def true_odds(users: Tensor, moment: tuple[int, int] = moment) -> Tensor:
            context = Context(*moment, history=ranking.history[users])
            return torch.logit(world.click_probability(users[:, None], films, context).double())

        found["the truth"].append(lead(true_odds))
        for name, model in models.items():
            found[name].append(lead(scorer(task, asked_in(ranking, *moment), model)))
    return found


@torch.no_grad()
def clicks_of_ten(ranking: Ranking, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Clicks to expect from the ten films on top, all looked at, of each person asked: `[U]`."""
    people = ranking.relevant.user.unique()
    rows = torch.cat([score(some) for some in people.split(128)])
    top = rows.masked_fill(~_free(ranking, people), -torch.inf).topk(10, dim=1).indices
    return ranking.truth[people].double().gather(1, top).sum(1)


def _free(ranking: Ranking, people: Tensor) -> Tensor:
    """`[P, N]`, the films that are out and that a person has not watched."""
    taken = ranking.seen
    watched = torch.zeros(taken.n_users, taken.n_items, dtype=torch.bool)
    watched[taken.user, taken.item] = True
    return ranking.out & ~watched[people]


def top_films(
    task: Task, models: Mapping[str, ClickModel], user: int, moments: Sequence[tuple[int, int]],
    k: int = 3,
) -> pd.DataFrame:  # fmt: skip
    """The films that models would put on top for one person, with their true chances.

    Args:
        task: of the world.
        models: name → trained.
        user: who.
        moments: (device, time of day) each.
        k: how many films.

    Returns:
        a row a model and one of the truth's own; a column a moment. Cells have a line a film:
        title, tone and genre, true chance of a click; and their sum.
    """
    world, ranking, who = task.world, make_ranking(task), torch.tensor([user])
    films = torch.arange(world.n_films)[None, :]
    free = _free(ranking, who)[0]  # nobody is shown what is watched
    found: dict[str, dict] = {}
    for device, daypart in moments:
        moment = asked_in(ranking, device, daypart)
        context = Context(device, daypart, history=ranking.history[who])
        chance = world.click_probability(who[:, None], films, context)[0]
        scores = {name: scorer(task, moment, model)(who)[0] for name, model in models.items()}
        for name, score in {**scores, "the truth": chance}.items():
            top = score.double().masked_fill(~free, -torch.inf).topk(k).indices.tolist()
            rows = world.film_table(top)
            told = [
                f"{title}, {tone} {genre}: {chance[film]:.2f}".replace(" 0.", " .")
                for film, title, tone, genre in zip(
                    top, rows["title"], rows["tone"], rows["genre"], strict=True
                )
            ]
            told.append(f"together {float(chance[top].sum()):.2f} clicks")
            found.setdefault(name, {})[moment_name(device, daypart)] = "\n".join(told)
    return pd.DataFrame(found).T
