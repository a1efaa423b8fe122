"""Chapter 00's ladder on the simulated service, at full size, and with each effect switched off.

Settings are chosen in world 100, which no figure comes from: the learned rungs by log-loss on its
days 20 to 23, the closed forms by NDCG@10 of the films clicked in those days (the truth is not
asked). Every rung has the same search (`recsys_book.search`), which goes on until no step gains, so
no choice lies at an edge; epochs are those at which validation was best.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

import torch

from recsys_book.chapters.ch00_why_deep_learning.ladder import CLOSED, LEARNED, RUNGS, climb
from recsys_book.evaluate import full_catalogue
from recsys_book.metrics import log_loss
from recsys_book.reproduce import Pieces, piece
from recsys_book.search import search
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, Task, logits, make_task, train_click_model
from recsys_book.service.world import EFFECTS, SIZES
from recsys_book.train import NotFinite

NAME = "ch00/simulated"
SEEDS, TUNING_WORLD = (0, 1, 2, 3, 4), 100
MAX_EPOCHS, PATIENCE, BUDGET = 25, 3, 60
LEAST = {"log-loss": 1e-4, "NDCG": 5e-4}  # what a step of the search must gain
BROKE_DOWN = -99.0  # the score of a training whose numbers are no longer finite
SMALL = {"n_users": 800, "n_films": 400}  # the chapter's live size, and that of the ablations

DECAY = 10**0.5  # a step of a penalty
FALLS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the learning rate, after every epoch
START = {
    "Popularity": {"lr": 0.04, "weight_decay": 3e-5, "fall": 0.6},
    "MF": {"dim": 16, "lr": 0.01, "weight_decay": 3e-5, "bias_decay": 3e-5, "fall": 0.6},
    "FM": {"dim": 16, "lr": 0.01, "weight_decay": 1e-4, "bias_decay": 3e-5, "fall": 0.6},
    "DNN": {"dim": 16, "lr": 0.01, "weight_decay": 1e-4, "fall": 0.6},
    "ItemKNN": {"k": 100, "shrinkage": 10},
    "EASE": {"l2": 100.0},
    "IALS": {"dim": 16, "l2": 0.01, "unobserved_weight": 0.1, "frequency_exponent": 1.0},
}
STEPS = {
    "dim": 2, "lr": 2.0, "weight_decay": DECAY, "bias_decay": DECAY, "fall": FALLS,
    "k": 2, "shrinkage": (0, 1, 3, 10, 30, 100, 300), "l2": 2.0, "unobserved_weight": 2.0,
    "frequency_exponent": (0.0, 0.25, 0.5, 0.75, 1.0),
}  # fmt: skip


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def tried(self, rung: str, every: int, settings: Settings) -> list[float]:
        """A learned rung on validation: minus its log-loss, and the number of epochs.

        Args:
            rung: one of LEARNED.
            every: fitted on every so manieth impression.
            settings: with the most epochs.
        """
        task = _task(TUNING_WORLD)
        held = ((task.day >= 20) & (task.day < 24)).nonzero().squeeze(1)
        examples = task.examples[held]
        score = lambda model: -log_loss(examples.label, logits(model, examples))
        rows = task.before(20)[::every]
        try:
            _, history = train_click_model(
                task, rung, settings, rows, seed=0, validate=score, patience=PATIENCE
            )
        except NotFinite:
            return [BROKE_DOWN, 0]
        return [history.best_score, history.best_epoch + 1]

    @piece
    def tried_closed(self, rung: str, options: tuple) -> float:
        """NDCG@10 of a closed form on validation."""
        task = _task(TUNING_WORLD)
        log, rows = task.world.log, task.before(20)
        held = ((task.day >= 20) & (task.day < 24)).nonzero().squeeze(1)
        train, later = log[rows].clicks(), log[held].clicks()
        later = later[~torch.isin(later.keys(), train.keys())]
        model = CLOSED[rung](train, **dict(options))
        return float(full_catalogue(model.score, later, train).ndcg.mean())

    @piece
    def chosen(self, rung: str, every: int) -> dict:
        """The search of a rung: "best", "tried" and "settled"."""
        start = START[rung]
        steps = {name: STEPS[name] for name in start}
        if rung in CLOSED:
            score = lambda options: self.tried_closed(rung, tuple(options.items()))
            found = search(score, start, steps, BUDGET, LEAST["NDCG"])
            best = found.best
        else:
            full = lambda options: Settings(**options, epochs=MAX_EPOCHS)
            score = lambda options: self.tried(rung, every, full(options))[0]
            found = search(score, start, steps, BUDGET, LEAST["log-loss"])
            best = found.best | {"epochs": int(self.tried(rung, every, full(found.best))[1])}
        tried = [options | {"score": score} for options, score in found.tried]
        return {"best": best, "tried": tried, "settled": found.settled}

    @piece
    def climbed(self, size: str, seed: int, without: str, every: int) -> dict:
        """The ladder in one world.

        Args:
            size: "full" or "small".
            seed: of the world and of the training.
            without: an effect, or "" for none.
            every: the learned rungs are fitted on every so manieth impression.
        """
        rungs = RUNGS if every == 1 and not without else LEARNED
        settings = {rung: self.chosen(rung, every)["best"] for rung in rungs}
        task = _task(seed, size, without)
        rows = task.before(task.test_from)[::every]
        return climb(task, settings, seed=seed, rungs=rungs, rows=rows)

    def figures(self) -> dict:
        """What the record holds."""
        searches = {str(every): self._searches(every) for every in (1, 4)}
        settings = {
            every: {rung: one["best"] for rung, one in found.items()}
            for every, found in searches.items()
        }
        worlds = lambda size, without="", every=1: [
            self.climbed(size, seed, without, every) for seed in SEEDS
        ]
        return {
            "sizes": SIZES,
            "settings": settings["1"],
            "settings_quarter": settings["4"],
            "searches": searches,
            "full": worlds("full"),
            "small": worlds("small"),
            "quarter": worlds("small", every=4),
            "without": {effect: worlds("small", effect) for effect in EFFECTS},
        }

    def _searches(self, every: int) -> dict:
        return {r: self.chosen(r, every) for r in (RUNGS if every == 1 else LEARNED)}


@lru_cache(maxsize=1)
def _task(seed: int, size: str = "full", without: str = "") -> Task:
    more = SMALL if size == "small" else {}
    return make_task(simulate(**more, seed=seed, without=[without] if without else []))


def settings() -> dict:
    """What decides the figures besides the code."""
    return {"start": START, "budget": BUDGET, "least": LEAST, "default": asdict(Settings())}
