"""Chapter 02: who wrote the genres into the vectors, the same model on two logs of one service, and
how many directions a table fills."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys_book import maps
from recsys_book.chapters.ch02_embeddings import lab
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.embeddings import nearest
from recsys_book.metrics import share_of_learnable
from recsys_book.models.baselines import EASE, Popularity
from recsys_book.service.click_models import Settings, Task, make_task, train_click_model
from recsys_book.service.log import Log
from recsys_book.service.loop import Service, session_starts
from recsys_book.service.oracle import expected_clicks, make_ranking, oracle_ndcg, scorer
from recsys_book.service.world import (
    DAYPARTS,
    DEVICES,
    EFFECTS,
    GENRES,
    Context,
    World,
    make_world,
    stream,
)


class Wavering(Service):
    """The service, but that it keeps no guess: it believes something else of everybody each time
    it fills a list."""

    def choose(self, users, day, favourite, history, random):
        """A list for each user, its genre drawn evenly; see `Service.choose`."""
        fresh = random.randint(len(GENRES), size=len(favourite))
        return super().choose(users, day, fresh, history, random)


def world_of(
    service: type[Service], seed: int, without: Collection[str] = (), size: Mapping | None = None
) -> World:
    """A world whose lists are filled by a service of one's own; else as `simulate` makes it.

    Args:
        service: `Service` gives the log of `simulate`.
        seed: of everything.
        without: effects that are left out.
        size: "n_users", at most 4,096 (one block of `simulate`), "n_films" and "days".
    """
    size = {"n_users": 2_000, "n_films": 1_000, "days": 28} | dict(size or {})
    world = make_world(**size, seed=seed, effects=frozenset(EFFECTS) - frozenset(without))
    users, random = np.arange(size["n_users"], dtype=np.int32), stream(seed, "log", 0)
    start, count = session_starts(world.activity[users], size["days"], random)
    columns = service(world).live(users, start, count, 0, random)
    filled = {name: torch.from_numpy(column) for name, column in columns.items()}
    world.log = Log(**filled, n_users=size["n_users"], n_films=size["n_films"])
    return world


def what_vectors_know(
    world: World, seed: int, clicks: Mapping, impressions: Mapping
) -> dict[str, float]:
    """Neighbour purity by genre of film vectors, of all films, after training in two ways.

    Args:
        world: with its log.
        seed: of the trainings.
        clicks: setting of MF on clicks and drawn negatives, for `train_and_watch`.
        impressions: setting of MF on impressions, for `Settings`.

    Returns:
        "clicks", "impressions", and "random" for pairs at random.
    """
    task, genre = make_task(world), torch.from_numpy(world.film.genre)
    log = task.clicks().without_repeats()
    drawn = lab.train_and_watch(log, **clicks, seed=seed).items[-1]
    rows = task.before(task.test_from)
    shown, _ = train_click_model(task, "MF", Settings(**impressions), rows, seed=seed)
    known = lambda vectors: maps.purities(vectors, genre, log.item_counts(), seed)
    told = known(drawn)
    return {
        "clicks": told["neighbours"],
        "impressions": known(film_vectors(shown))["neighbours"],
        "random": told["random"],
    }


def true_profiles(world: World, n_users: int = 300, seed: int = 0) -> Tensor:
    """`[N, n_users]`, how much more or less than others each of some people wants each film.

    The log-odds of a click in truth, the mean over all moments, without what is common to a film
    (its popularity) and to a person.
    """
    users = torch.from_numpy(np.random.RandomState(seed).permutation(world.n_users)[:n_users])
    films, total = torch.arange(world.n_films)[None, :], torch.zeros(len(users), world.n_films)
    for device in range(len(DEVICES)):
        for daypart in range(len(DAYPARTS)):
            chance = world.click_probability(users[:, None], films, Context(device, daypart))
            total += chance.double().clamp(1e-9, 1 - 1e-9).logit().float()
    total = total - total.mean(0, keepdim=True)  # of a film
    return (total - total.mean(1, keepdim=True)).T / (len(DEVICES) * len(DAYPARTS))


def two_logs(task: Task, clicks: Mapping, impressions: Mapping, l2: float, seed: int) -> dict:
    """Matrix factorization on clicks with drawn negatives, and on impressions; EASE beside them.

    Args:
        task: a world's log, cut and encoded.
        clicks: setting of the first, for `train_implicit`, "dim" among them.
        impressions: setting of the second, for `Settings`.
        l2: of EASE.
        seed: of all trainings, and of whom the oracle is asked about.

    Returns:
        model → "ndcg" and "clicks", shares of the learnable: 0 is the list of the most clicked
        films, 1 the oracle's; and of MF "purity", neighbour purity by genre of its film vectors,
        of films clicked at least once. "clicks, other setting" and "impressions, other setting"
        have dimension, rate, penalty and epochs of the other log's model. "truth" has the purity
        of `true_profiles`.
    """
    log, ranking = task.clicks().without_repeats(), make_ranking(task, seed=seed)
    counts = log.item_counts()
    rows = task.before(task.test_from)
    common = ("dim", "lr", "weight_decay", "epochs")
    fit_clicks = lambda setting: lab.train_and_watch(log, **setting, seed=seed)
    fit_shown = lambda setting: train_click_model(task, "MF", Settings(**setting), rows, seed=seed)[
        0
    ]
    drawn = {
        "clicks": fit_clicks(clicks),
        "clicks, other setting": fit_clicks({name: impressions[name] for name in common}),
    }
    shown = {
        "impressions": fit_shown(impressions),
        "impressions, other setting": fit_shown({name: clicks[name] for name in common}),
    }
    scores: dict[str, Any] = {"EASE": EASE(log, l2=l2).score}
    scores |= {name: _without_gradients(told.model) for name, told in drawn.items()}
    scores |= {name: scorer(task, ranking, model) for name, model in shown.items()}
    vectors = {name: told.items[-1] for name, told in drawn.items()}
    vectors |= {name: film_vectors(model) for name, model in shown.items()}
    vectors["truth"] = true_profiles(task.world)
    floor = Popularity(log).score
    found: dict[str, dict[str, float]] = {}
    for name, score in scores.items():
        found[name] = {
            "ndcg": share_of_learnable(oracle_ndcg(ranking, score), oracle_ndcg(ranking, floor), 1),
            "clicks": share_of_learnable(
                expected_clicks(ranking, score), expected_clicks(ranking, floor), 1.0
            ),
        }
    known = (counts > 0).nonzero().squeeze(1)
    genre = torch.from_numpy(task.world.film.genre)[known]
    for name, table in vectors.items():
        told = maps.purities(table[known], genre, counts[known], seed)
        of_genre = {"purity": told["neighbours"], "random": told["random"]}
        found[name] = found.get(name, {}) | of_genre
    return found


def _without_gradients(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda users: model.score(users).detach()


def film_vectors(model: torch.nn.Module) -> Tensor:
    """`[N, D]` of a click model of the kind MF, whose row 0 is for films never seen."""
    return model.model.item_vectors.weight.detach()[1:].clone()


def spectrum(table: Tensor) -> list[float]:
    """Singular values of `[N, D]`, the rows' mean taken off, as shares of the largest.

    Where few are large, the rows lie near a space of few dimensions, however long they are: what
    Guo et al. call embedding collapse (ICML 2024, https://arxiv.org/abs/2310.04400).
    """
    values = torch.linalg.svdvals((table - table.mean(0)).double())
    return [round(float(value), 4) for value in values / values[0]]


def directions(values: list[float]) -> float:
    """How many directions a table fills: the entropy of the shares of variance, as a number of
    equal ones (the effective rank of Roy and Vetterli, EUSIPCO 2007, of squared values)."""
    share = torch.tensor(values).double().square()
    share = share / share.sum()
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


def nearest_titles(
    films: MovieLens, vectors: Tensor, titles: Sequence[str], n: int = 3, least: int = 20
) -> dict[str, list[str]]:
    """The n nearest films, by cosine, of some films.

    Args:
        films: the set.
        vectors: `[N, D]`.
        titles: of whom.
        n: how many.
        least: ratings that a neighbour must have.

    Raises:
        ValueError: a title that the set does not have.
    """
    unknown = [title for title in titles if title not in films.titles]
    if unknown:
        raise ValueError(f"titles contains {unknown[0]!r}, which is no film of this set")
    rows, _ = nearest(vectors, n, among=films.ratings.item_counts() >= least)
    return {title: [films.titles[i] for i in rows[films.titles.index(title)]] for title in titles}
