"""A log cut in three, and a judge who knows the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from recsys_book.data.interactions import Interactions
from recsys_book.evaluate import Scorer, full_catalogue
from recsys_book.models.baselines import Popularity
from recsys_book.service.click_models import Cut
from recsys_book.service.oracle import Ranking, make_ranking, oracle_ndcg
from recsys_book.service.world import World


@dataclass(frozen=True)
class Judge:
    """A log cut in three, and how a model is judged on it.

    Attributes:
        train: to fit while choosing.
        refit: to fit once everything is chosen.
        validate: `validate(model)`, NDCG@10 on what was held out to choose by.
        test: `test(score)`, NDCG@10 on the test, for `score(users) -> [U, N]`.
        popularity: the same of popularity.
    """

    train: Interactions
    refit: Interactions
    validate: Callable[[Scorer], float]
    test: Callable[[Callable], float]
    popularity: float


def judge_world(world: World, n_users: int = 1_000) -> Judge:
    """Clicks before day 20 to fit, days 20 to 23 to choose by, the oracle's ten to test."""
    cut, log = Cut(world), world.log
    ranking = make_ranking(cut, n_users)
    refit = cut.clicks().without_repeats()
    train = log[cut.before(20)].clicks().without_repeats()
    held = log[((cut.day >= 20) & (cut.day < cut.test_from)).nonzero().squeeze(1)].clicks()
    held = held.without_repeats()
    held = held[~torch.isin(held.keys(), train.keys())]
    return make_judge(train, held, refit, ranking)


def make_judge(
    train: Interactions, held: Interactions, refit: Interactions, ranking: Ranking
) -> Judge:
    """The judge of a cut: NDCG@10 on what was held out to choose by, the oracle's ten to test.

    Args:
        train: to fit while choosing.
        held: to choose by; it has no pair of train.
        refit: to fit once everything is chosen.
        ranking: whom the test asks about.
    """
    return Judge(
        train,
        refit,
        lambda model: float(full_catalogue(model.score, held, train).ndcg.mean()),
        lambda score: oracle_ndcg(ranking, score),
        oracle_ndcg(ranking, Popularity(refit).score),
    )
