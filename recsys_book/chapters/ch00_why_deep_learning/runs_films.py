"""Chapter 00 on real data: every rung on ml-latest-small, and EASE on the NCF split.

Settings are chosen on everybody's last film but one, by the same search for every rung, which goes
on until no step gains; models are refitted with that film, and each run looks for the last film
once. (In the making of this book the test was looked at before: the rules of the search were
changed twice, and no figure of the test was chosen by.) A second test cuts the ratings at one day:
the settings are the same, the models are fitted to what was rated before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pandas as pd
import torch

from recsys_book.chapters.ch00_why_deep_learning import films
from recsys_book.data import load
from recsys_book.data.interactions import Interactions
from recsys_book.data.splits import by_time
from recsys_book.evaluate import full_catalogue, leave_one_out, sampled_candidates
from recsys_book.models.baselines import EASE
from recsys_book.reproduce import Pieces, piece, table
from recsys_book.search import search
from recsys_book.train import NotFinite

NAME = "ch00/films"
SEEDS = (0, 1, 2)
MAX_EPOCHS, PATIENCE, BUDGET, LEAST = 25, 3, 60, 5e-4  # a step must gain so much NDCG
BROKE_DOWN = -99.0  # the score of a training whose numbers are no longer finite
FALLS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the learning rate, after every epoch
START: dict[str, dict] = {
    "Popularity": {},
    "ItemKNN": {"k": 100, "shrinkage": 10},
    "EASE": {"l2": 200.0},
    "IALS": {"dim": 32, "l2": 0.01, "unobserved_weight": 0.1, "frequency_exponent": 1.0},
    "MF": {"dim": 32, "lr": 0.005, "weight_decay": 1e-5, "decay": 0.8},
    "FM": {"dim": 32, "lr": 0.005, "weight_decay": 1e-5, "decay": 0.8},
    "DNN": {"dim": 32, "lr": 0.002, "weight_decay": 1e-5, "decay": 0.8},
}
STEPS = {
    "dim": 2, "lr": 2.0, "weight_decay": 10**0.5, "decay": FALLS, "k": 2,
    "shrinkage": (0, 1, 3, 10, 30, 100, 300), "l2": 2.0, "unobserved_weight": 2.0,
    "frequency_exponent": (0.0, 0.25, 0.5, 0.75, 1.0),
}  # fmt: skip
DRAWS = ("IALS", *films.LEARNED)  # rungs that a seed changes


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def tried(self, rung: str, options: tuple) -> list[float]:
        """NDCG@10 on validation, everybody's, and the number of epochs (0 for closed forms)."""
        task = _task()
        if rung in films.CLOSED:
            model = films.CLOSED[rung](task.split.train, **dict(options))
            return [films.validation_ndcg(task, model.score), 0]
        validate = lambda model: films.validation_ndcg(task, model.score)
        try:
            _, history = films.train_film_model(
                task, rung, task.split.train, **dict(options), epochs=MAX_EPOCHS, seed=0,
                validate=validate, patience=PATIENCE,
            )  # fmt: skip
        except NotFinite:
            return [BROKE_DOWN, 0]
        return [history.best_score, history.best_epoch + 1]

    @piece
    def chosen(self, rung: str) -> dict:
        """The search of a rung: "best", "tried" and "settled"."""
        start = START[rung]
        score = lambda options: self.tried(rung, tuple(options.items()))[0]
        found = search(score, start, {name: STEPS[name] for name in start}, BUDGET, LEAST)
        best = dict(found.best)
        if rung in films.LEARNED:
            best["epochs"] = int(self.tried(rung, tuple(found.best.items()))[1])
        tried = [options | {"score": score} for options, score in found.tried]
        return {"best": best, "tried": tried, "settled": found.settled}

    @piece
    def ranks(self, rung: str, seed: int) -> list[int]:
        """Everybody's rank of the last film, 0 where it is not in the top ten."""
        task = _task()
        model = self._fitted(rung, task.split.train_and_validation, seed)
        report = films.final_report(task, model.score)
        found = (2 ** (1 / report.ndcg.double()) - 1).round()
        return torch.where(report.hit_rate > 0, found, 0).long().tolist()

    @piece
    def later(self, rung: str, seed: int) -> dict[str, list[float]]:
        """The split by time: "ndcg" and "hit_rate" of everybody who was met before."""
        split = by_time(load("ml-latest-small").ratings)
        model = self._fitted(rung, split.train_and_validation, seed)
        report = full_catalogue(model.score, films.known_later(split), split.train_and_validation)
        rounded = lambda values: [round(float(value), 6) for value in values]
        return {"ndcg": rounded(report.ndcg), "hit_rate": rounded(report.hit_rate)}

    @piece
    def on_ncf(self) -> dict:
        """EASE on the NCF split, beside Ferrari Dacrema et al. 2021, table 55."""
        split = load("ncf-ml-1m")
        candidates = sampled_candidates(split.validation, split.train_and_validation)
        score = lambda options: float(
            leave_one_out(EASE(split.train, **options), split.users, candidates).ndcg.mean()
        )
        found = search(score, {"l2": 500.0}, {"l2": 2**0.5})
        report = leave_one_out(
            EASE(split.train_and_validation, **found.best), split.users, split.test_candidates
        )
        return {
            "settings": found.best,
            "tried": len(found.tried),
            "hit_rate": float(report.hit_rate.mean()),
            "ndcg": float(report.ndcg.mean()),
        }

    def figures(self) -> dict:
        """What the record holds. Ranks and the rest of a row are one text, a person a word."""
        searches = {rung: self.chosen(rung) for rung in START}
        runs = [(rung, s) for rung in START for s in (SEEDS if rung in DRAWS else SEEDS[:1])]
        words = lambda values: " ".join(f"{value:g}" for value in values)
        last = [(*run, words(self.ranks(*run))) for run in runs]
        later = [
            (*run, *(words(self.later(*run)[name]) for name in ("ndcg", "hit_rate")))
            for run in runs
        ]
        return {
            "settings": {rung: one["best"] for rung, one in searches.items()},
            "searches": searches,
            "last film": table(pd.DataFrame(last, columns=["rung", "seed", "ranks"])),
            "by time": table(pd.DataFrame(later, columns=["rung", "seed", "ndcg", "hit_rate"])),
            "ncf": {"EASE": self.on_ncf()},
        }

    def _fitted(self, rung: str, known: Interactions, seed: int) -> Any:
        best = self.chosen(rung)["best"]
        if rung in films.CLOSED:
            more = {"seed": seed} if rung in DRAWS else {}
            return films.CLOSED[rung](known, **best, **more)
        model, _ = films.train_film_model(_task(), rung, known, **best, seed=seed)
        return model.eval()


@lru_cache(maxsize=1)
def _task() -> films.FilmTask:
    return films.make_film_task(load("ml-latest-small"))


def ready() -> None:
    """The data must be at hand before the work begins."""
    for name in ("ml-latest-small", "ncf-ml-1m"):
        load(name, download=False)


def settings() -> dict:
    """What decides the figures besides the code."""
    return {"start": START, "budget": BUDGET, "epochs": MAX_EPOCHS}
