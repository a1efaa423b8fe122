"""Chapter 02: the same model on two logs of one service, and how many directions a table fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recsys_book import maps
from recsys_book.chapters.ch02_embeddings import lab
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.embeddings import nearest
from recsys_book.metrics import share_of_learnable
from recsys_book.models.baselines import EASE, Popularity
from recsys_book.service.click_models import Settings, Task, train_click_model
from recsys_book.service.oracle import expected_clicks, make_ranking, oracle_ndcg, scorer


def two_logs(task: Task, clicks: Mapping, impressions: Mapping, l2: float, seed: int) -> dict:
    """Matrix factorization on clicks with drawn negatives, and on impressions; EASE beside them.

    Args:
        task: a world's log, cut and encoded.
        clicks: setting of the first, for `train_implicit`, "dim" among them.
        impressions: setting of the second, for `Settings`.
        l2: of EASE.
        seed: of both trainings, and of whom the oracle is asked about.

    Returns:
        model → "ndcg" and "clicks", shares of the learnable: 0 is the list of the most clicked
        films, 1 the oracle's; and of MF "purity", neighbour purity by genre of its film vectors,
        of films clicked at least once.
    """
    log, ranking = task.clicks().without_repeats(), make_ranking(task, seed=seed)
    counts = log.item_counts()
    drawn = lab.train_and_watch(log, **clicks, seed=seed)
    rows = task.before(task.test_from)
    shown, _ = train_click_model(task, "MF", Settings(**impressions), rows, seed=seed)
    scores: dict[str, Any] = {
        "clicks": lambda users: drawn.model.score(users).detach(),
        "impressions": scorer(task, ranking, shown),
        "EASE": EASE(log, l2=l2).score,
    }
    vectors = {"clicks": drawn.items[-1], "impressions": film_vectors(shown)}
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
        found[name] |= {"purity": told["neighbours"], "random": told["random"]}
    return found


def film_vectors(model: torch.nn.Module) -> Tensor:
    """`[N, D]` of a click model of the kind MF, whose row 0 is for films never seen."""
    return model.model.item_vectors.weight.detach()[1:].clone()


def spectrum(table: Tensor) -> list[float]:
    """Singular values of `[N, D]`, the rows' mean taken off, as shares of the largest.

    Where few are large, the rows lie near a space of few dimensions, however long they are: what
    Guo et al. call dimensional collapse (ICML 2024, https://arxiv.org/abs/2310.04400, section 3).
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
