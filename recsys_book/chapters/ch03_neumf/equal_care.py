"""Equal care on the NCF paper's split: every model draws 24 settings from one box.

All 24 draws of a model are trained for three epochs; the better eight for eight; the best three
until validation has not risen for three epochs. Where the best lies at an edge of the box, the
search goes on beyond it, two steps at most. Models without gradients have 24 draws as well, of the
knobs they have. Everything is chosen by NDCG@10 on the validation items; the chosen setting is then
trained on training and validation pairs with three seeds, and looks for the test items.

NeuMF pre-trained is made of the GMF and the MLP that were chosen, and goes on with SGD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

from recsys_book.chapters.ch03_neumf import care, contest, recipe
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.models.baselines import Popularity
from recsys_book.reproduce import Pieces, piece, wait_for

SEEDS = (0, 1, 2)
DRAWS, DRAWN_WITH = 24, 0
#: How many go on, and for how many epochs at most.
ROUNDS = ((DRAWS, 3), (8, 8), (3, 40))
PATIENCE, STEPS = 3, 2
SGD_RATES, SGD_EPOCHS, SGD_PATIENCE = recipe.SGD_RATES, 12, 2
ALPHA = 0.5
CLOSED_SEEDS = {"ItemKNN": (0,), "EASE": (0,), "IALS": SEEDS}
#: What a comparison often calls MF: as many factors as NeuMF, and nothing looked after.
UNTUNED = Draw(32, 8, 0.001, 0.0, 4, 1_024, 0.8)
UNTUNED_EPOCHS = 14


class EqualCare(Pieces):
    """The run: search, then three seeds of what was found."""

    @cached_property
    def judge(self) -> contest.Judge:
        """Of the paper's split."""
        return contest.make_judge(recipe.prepare())

    # ------------------------------------------------------------ choosing

    @piece
    def tried(self, name: str, draw: Draw, epochs: int, seed: int = 0) -> dict:
        """A draw on the training pairs, validated after every epoch."""
        more: dict = {"validate": self.judge.validation, "patience": PATIENCE}
        model, found = care.train(name, self.judge.split.train, draw, seed, epochs, **more)
        weights = model.state_dict() if name in recipe.PARTS and epochs == ROUNDS[-1][1] else None
        told = {"validation": found.score, "epochs": found.best_epoch + 1, "weights": weights}
        return told | {"test": self.judge.test(model)}

    def _all(self, name: str, draws: Sequence[Draw], epochs: int) -> dict[Draw, float]:
        found = [self.tried(name, draw, epochs) for draw in draws]
        wait_for(*found)
        scores = [max(one["validation"]) for one in found]
        return dict(zip(draws, scores, strict=True))

    @piece
    def search(self, name: str) -> dict:
        """Every round of halving, and what was tried beyond the box; the best."""
        score, box = partial(self._all, name), care.ON_MOVIELENS
        rounds = care.halving(box.draws(DRAWS, DRAWN_WITH), ROUNDS, score)
        longest = partial(score, epochs=ROUNDS[-1][1])
        rounds.append(care.climb_out(rounds[-1], partial(box.beyond, name), longest, STEPS))
        best = care.best_of(rounds[-1], 1)[0]
        told = [[[asdict(draw), score] for draw, score in one.items()] for one in rounds]
        return {"best": best, "rounds": told, "edge": box.beyond(name, best) != []}

    @piece
    def closed_tried(self, name: str, options: tuple) -> float:
        """NDCG@10 on the validation items."""
        build = care.CLOSED[name][0]
        return self.judge.validation(build(self.judge.split.train, **dict(options)))

    def _closed_all(self, name: str, settings: Sequence[tuple]) -> dict[tuple, float]:
        found = [self.closed_tried(name, options) for options in settings]
        wait_for(*found)
        return dict(zip(settings, found, strict=True))

    @piece
    def closed_search(self, name: str) -> dict:
        """Draws of a model without gradients, and what was tried beyond the box; the best."""
        score, beyond = partial(self._closed_all, name), partial(care.closed_beyond, name)
        known = score(care.closed_draws(name, DRAWS, DRAWN_WITH))
        known = care.climb_out(known, beyond, score, STEPS)
        best = care.best_of(known, 1)[0]
        tried = [[dict(options), score] for options, score in known.items()]
        return {"best": best, "rounds": [tried], "edge": beyond(best) != []}

    # ------------------------------------------------------------ testing

    @piece
    def tested(self, name: str, seed: int) -> dict:
        """The chosen setting on training and validation pairs, for as many epochs as were best."""
        best = self.search(name)["best"]
        epochs = self.tried(name, best, ROUNDS[-1][1])["epochs"]
        log = self.judge.split.train_and_validation
        model, _ = care.train(name, log, best, seed, epochs)
        weights = model.state_dict() if name in recipe.PARTS else None
        return self._told(model) | {"epochs": epochs, "weights": weights}

    @piece
    def untuned(self, seed: int) -> dict:
        """MF that nobody looked after."""
        log = self.judge.split.train_and_validation
        return self._told(care.train("MF", log, UNTUNED, seed, UNTUNED_EPOCHS)[0])

    @piece
    def closed_tested(self, name: str, seed: int) -> dict:
        """The chosen setting on training and validation pairs."""
        options = dict(self.closed_search(name)["best"]) | (
            {"seed": seed} if name == "IALS" else {}
        )
        return self._told(care.CLOSED[name][0](self.judge.split.train_and_validation, **options))

    @piece
    def popularity(self) -> dict:
        """The list of the most watched films."""
        return self._told(Popularity(self.judge.split.train_and_validation))

    def _told(self, model: Any) -> dict:
        return {"test": self.judge.test(model), "places": self.judge.places(model)}

    # ------------------------------------------------------------ pre-training

    def _fused(self, halves: list[dict], which: Any) -> Any:
        bests = [self.search(part)["best"] for part in recipe.PARTS]
        pairs = [(best, half["weights"]) for best, half in zip(bests, halves, strict=True)]
        return care.fuse(pairs[0], pairs[1], which, ALPHA)

    @piece
    def went_on(self, rate: float) -> dict:
        """Fused, and on with SGD on the training pairs; 0 epochs where none betters the start."""
        searches = [self.search(part) for part in recipe.PARTS]
        wait_for(*searches)
        halves = [
            self.tried(part, found["best"], ROUNDS[-1][1])
            for part, found in zip(recipe.PARTS, searches, strict=True)
        ]
        wait_for(*halves)
        model = self._fused(halves, self.judge.split.train)
        found = contest.choose_sgd(
            self.judge, model, lr=rate, batch_size=recipe.POSITIVES, epochs=SGD_EPOCHS,
            patience=SGD_PATIENCE, seed=0,
        )  # fmt: skip
        return {"validation": found.validation, "test": found.test, "epochs": found.epochs}

    @piece
    def pretrained(self, seed: int) -> dict:
        """NeuMF of the tested halves, on with SGD for as many epochs as were best."""
        tried = [self.went_on(rate) for rate in SGD_RATES]
        halves = [self.tested(part, seed) for part in recipe.PARTS]
        wait_for(*tried, *halves)
        rate = recipe.best_of(dict(zip(SGD_RATES, tried, strict=True)))
        epochs, log = self.went_on(rate)["epochs"], self.judge.split.train_and_validation
        model = self._fused(halves, log)
        if epochs:
            more: Any = {"batch_size": recipe.POSITIVES, "seed": seed}
            contest.sgd(model, log, lr=rate, epochs=epochs, **more)
        return self._told(model.eval()) | {"rate": rate, "epochs": epochs}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds: every model's search, and every person's place."""
        searches = {name: self.search(name) for name in care.LEARNED}
        searches |= {name: self.closed_search(name) for name in care.CLOSED}
        cells = {(name, seed): self.tested(name, seed) for name in care.LEARNED for seed in SEEDS}
        cells |= {
            (name, seed): self.closed_tested(name, seed)
            for name, seeds in CLOSED_SEEDS.items()
            for seed in seeds
        }
        cells |= {("NeuMF, pre-trained", seed): self.pretrained(seed) for seed in SEEDS}
        cells |= {("MF, untuned", seed): self.untuned(seed) for seed in SEEDS}
        cells[("Popularity", 0)] = self.popularity()
        wait_for(*searches.values(), *cells.values())
        chosen = {
            name: {
                "best": asdict(found["best"]) if name in care.LEARNED else dict(found["best"]),
                "rounds": found["rounds"], "at an edge": found["edge"],
            }
            for name, found in searches.items()
        }  # fmt: skip
        return {
            "search": chosen,
            "SGD": {str(rate): self.went_on(rate) for rate in SGD_RATES},
            "cells": recipe.nested({(n, str(seed)): told for (n, seed), told in cells.items()}),
        }


def ready() -> None:
    """What is missing is told before processes start."""
    print(recipe.prepare())


def report(figures: dict) -> None:
    """Print what was found."""
    for name, found in figures["cells"].items():
        print(f"{name}: " + ", ".join(f"{row['test'][0]:.4f}" for row in found.values()))
    for name, found in figures["search"].items():
        print(f"{name}: {found['best']}{', at an edge' if found['at an edge'] else ''}")
