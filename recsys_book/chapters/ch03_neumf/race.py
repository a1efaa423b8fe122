"""Chapter 03 where the truth is known: models that learn from clicks, judged by the oracle.

A model is fitted on the clicks before day 20, what is to be chosen is chosen by those of days 20 to
23, it is fitted anew on both, and is tested once: by the ten films that the oracle puts first
(NDCG@10), and by the clicks that its own ten would get. Both are shares of the learnable: 0 is the
list of the most clicked films, 1 the oracle's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from recsys_book.chapters.ch03_neumf import care, contest
from recsys_book.chapters.ch03_neumf.care import Box, Draw
from recsys_book.data.interactions import Interactions
from recsys_book.metrics import share_of_learnable
from recsys_book.models.baselines import Popularity
from recsys_book.models.ncf import NCFMLP
from recsys_book.service.click_models import Cut
from recsys_book.service.judge import Judge, judge_world, make_judge
from recsys_book.service.oracle import Ranking, expected_clicks, make_ranking, oracle_ndcg
from recsys_book.service.world import World
from recsys_book.train import History, seeded

#: Where settings are drawn from: tens of thousands of clicks, not a million.
ON_CLICKS = Box(
    choices={
        "factors": (4, 8, 16, 32, 64), "tower": (4, 8, 16, 32), "n_negatives": (1, 2, 4, 8, 16, 32),
        "batch_size": (256, 1_024), "decay": (0.8, 0.9, 1.0),
    },
    ranges={"lr": (1e-3, 5e-2), "weight_decay": (1e-8, 1e-4)},
)  # fmt: skip
MEASURES = ("ndcg", "clicks")


@dataclass(frozen=True)
class Course:
    """One world to race in.

    Attributes:
        judge: the log cut in three, and who scores.
        ranking: whom the oracle is asked about in the test.
    """

    judge: Judge
    ranking: Ranking

    @cached_property
    def floor(self) -> dict[str, float]:
        """What the list of the most clicked films gets, by each measure."""
        return self._measured(Popularity(self.judge.refit))

    def shares(self, model: Any) -> dict[str, float]:
        """Share of the learnable by each of `MEASURES`."""
        found = self._measured(model)
        return {how: share_of_learnable(found[how], self.floor[how], 1.0) for how in MEASURES}

    @torch.no_grad()
    def _measured(self, model: Any) -> dict[str, float]:
        by = {"ndcg": oracle_ndcg, "clicks": expected_clicks}
        return {how: by[how](self.ranking, model.score) for how in MEASURES}


def course(world: World, n_users: int = 1_000) -> Course:
    """Clicks before day 20 to fit, days 20 to 23 to choose by, the oracle's ten to test."""
    return Course(judge_world(world, n_users), make_ranking(Cut(world), n_users))


def course_of_share(world: World, share: float, seed: int = 0, n_users: int = 1_000) -> Course:
    """A random share of the clicks, so that the amount of data is all that changes.

    A tenth of the clicks kept is held out, at random, to choose by; the test asks the oracle about
    the last four days.

    Args:
        world: with its log.
        share: of the clicks before the last four days that are kept, above 0, at most 1.
        seed: of the draw.
        n_users: asked about in the test.

    Raises:
        ValueError: a share that is none.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be above 0 and at most 1")
    cut = Cut(world, test_from=world.days - 4)
    ranking = make_ranking(cut, n_users)
    clicks = cut.clicks().without_repeats()
    generator = torch.Generator().manual_seed(seed)
    kept = clicks[torch.randperm(len(clicks), generator=generator)[: round(share * len(clicks))]]
    n_held = len(kept) // 10
    held, train = kept[:n_held], kept[n_held:]
    return Course(make_judge(train, held, kept, ranking), ranking)


# ---------------------------------------------------------------- training


def make(name: str, log: Interactions, draw: Draw, seed: int) -> nn.Module:
    """A model of `care.make`, or "MLP, n layers": a tower of 0 to 4 that ends in `draw.tower`."""
    _, _, depth = name.partition(", ")
    if not depth:
        return care.make(name, log, draw, seed)
    hidden = depths(draw.tower)[int(depth.split()[0])]
    with seeded(seed):
        return NCFMLP(log.n_users, log.n_items, 2 * draw.tower, hidden)


def depths(width: int, deepest: int = 4) -> list[tuple[int, ...]]:
    """Towers of 0 to `deepest` hidden layers, all ending in `width`, each twice the next."""
    return [tuple(width * 2**i for i in reversed(range(depth))) for depth in range(deepest + 1)]


def fit(
    name: str, log: Interactions, draw: Draw, seed: int, epochs: int, **more: Any
) -> tuple[nn.Module, History]:
    """A model trained under a draw; `more` is for `train_implicit`."""
    model = make(name, log, draw, seed)
    setting = contest.Setting(
        draw.factors, draw.lr, draw.batch_size, draw.n_negatives, draw.weight_decay, draw.decay
    )
    history = contest.adam(model, log, setting, seed, epochs, **more)
    return model.eval(), history


def choose(
    judge: Judge, name: str, draw: Draw, seed: int, epochs: int, patience: int
) -> tuple[nn.Module, float, int]:
    """Train on the training part, and keep the epoch that validation likes best.

    Returns:
        the model, its NDCG@10 on validation, and after how many epochs.
    """
    more = {"validate": judge.validate, "patience": patience}
    model, history = fit(name, judge.train, draw, seed, epochs, **more)
    return model, history.best_score, history.best_epoch + 1


def fuse(halves: Sequence[tuple[Draw, dict]], log: Interactions, alpha: float) -> nn.Module:
    """NeuMF of a GMF and an MLP that were trained, each a draw and weights."""
    return care.fuse(*halves, log, alpha)


def go_on(
    model: nn.Module, log: Interactions, lr: float, seed: int, epochs: int, **more: Any
) -> History:
    """Plain SGD after pre-training."""
    return contest.sgd(model, log, lr=lr, batch_size=256, epochs=epochs, seed=seed, **more)


def choose_sgd(
    judge: Judge, model: nn.Module, lr: float, seed: int, epochs: int, patience: int
) -> tuple[float, int]:
    """NDCG@10 on validation, and after how many epochs of SGD; 0 where none betters the start."""
    start = judge.validate(model)
    more = {"validate": judge.validate, "patience": patience}
    history = go_on(model, judge.train, lr, seed, epochs, **more)
    if start >= history.best_score:
        return start, 0
    return history.best_score, history.best_epoch + 1
