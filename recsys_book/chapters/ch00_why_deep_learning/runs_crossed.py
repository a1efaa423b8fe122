"""Chapter 00: what FM reaches when it is told screen and hour as one fact.

Worlds, days, search and start of the search are those of FM in `runs_simulated`.
"""

from __future__ import annotations

from functools import lru_cache

from recsys_book.chapters.ch00_why_deep_learning import runs_simulated as ladder_run
from recsys_book.chapters.ch00_why_deep_learning.crossing import cross, crossed_scorer
from recsys_book.chapters.ch00_why_deep_learning.ladder import judged, predicted
from recsys_book.metrics import log_loss
from recsys_book.reproduce import Pieces, piece
from recsys_book.search import search
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, Task, logits, make_task, train_click_model
from recsys_book.service.oracle import make_ranking
from recsys_book.train import NotFinite

NAME = "ch00/crossed"
SEEDS = ladder_run.SEEDS


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def tried(self, settings: Settings) -> list[float]:
        """On validation in the tuning world: minus the log-loss, and the number of epochs."""
        task = cross(_task(ladder_run.TUNING_WORLD))
        held = ((task.day >= 20) & (task.day < 24)).nonzero().squeeze(1)
        examples = task.examples[held]
        score = lambda model: -log_loss(examples.label, logits(model, examples))
        try:
            _, history = train_click_model(
                task, "FM", settings, task.before(20), seed=0, validate=score,
                patience=ladder_run.PATIENCE,
            )  # fmt: skip
        except NotFinite:
            return [ladder_run.BROKE_DOWN, 0]
        return [history.best_score, history.best_epoch + 1]

    @piece
    def chosen(self) -> dict:
        """The search: "best", "tried" and "settled"."""
        start = ladder_run.START["FM"]
        steps = {name: ladder_run.STEPS[name] for name in start}
        full = lambda options: Settings(**options, epochs=ladder_run.MAX_EPOCHS)
        score = lambda options: self.tried(full(options))[0]
        found = search(score, start, steps, ladder_run.BUDGET, ladder_run.LEAST["log-loss"])
        best = found.best | {"epochs": int(self.tried(full(found.best))[1])}
        tried = [options | {"score": score} for options, score in found.tried]
        return {"best": best, "tried": tried, "settled": found.settled}

    @piece
    def climbed(self, size: str, seed: int) -> dict:
        """In one world, "full" or "small": the four figures of `ladder`."""
        best, plain = self.chosen()["best"], _task(seed, size)
        task, ranking = cross(plain), make_ranking(plain, seed=seed)
        rows = task.before(task.test_from)
        model, _ = train_click_model(task, "FM", Settings(**best), rows, seed=seed)
        test = (task.day >= task.test_from).nonzero().squeeze(1)
        examples = task.examples[test]
        ranked = judged(ranking, crossed_scorer(plain, ranking, model))
        return ranked | predicted(examples, logits(model, examples))

    def figures(self) -> dict:
        """What the record holds."""
        return {
            "search": self.chosen(),
            **{size: [self.climbed(size, seed) for seed in SEEDS] for size in ("full", "small")},
        }


@lru_cache(maxsize=1)
def _task(seed: int, size: str = "full") -> Task:
    return make_task(simulate(**(ladder_run.SMALL if size == "small" else {}), seed=seed))


def settings() -> dict:
    """What decides the figures besides the code."""
    return ladder_run.settings()
