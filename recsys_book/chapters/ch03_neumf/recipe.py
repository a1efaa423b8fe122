"""The NCF paper's table by the paper's own recipe, one size of its models a run.

What the paper states (He et al. 2017, section 4.1): Adam, batches of 128 to 1,024 examples, rates
of .0001 to .005, four negatives a positive drawn anew every epoch, vectors that start with standard
deviation .01, no L2. Here batches have 1,020 examples, in single precision, and the rate stays as
it is. Each model is trained under three of the paper's four rates until validation has not risen
for three epochs (the fourth, .0001, was not tried); rate and number of epochs are chosen by
NDCG@10 on the validation items. Then it is trained anew, on training and validation pairs, for so
many epochs, and looks for the test items. 16 and 64 factors take the rates of 8 and 32.

NeuMF pre-trained is a GMF and an MLP, fused half and half, that go on with plain SGD under one of
three rates, for as long as validation asks, which may be not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch

from recsys_book.chapters.ch03_neumf import contest
from recsys_book.data import load
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.machine import has_bfloat16, keep_freed_memory
from recsys_book.reproduce import Pieces, piece, wait_for

RATES = (0.0005, 0.001, 0.005)
POSITIVES, NEGATIVES = 204, 4  # 1,020 examples a step
EPOCHS, PATIENCE = 60, 3
SGD_RATES, SGD_EPOCHS, SGD_PATIENCE = (0.01, 0.1, 1.0), 12, 2
ALPHA = 0.5
PARTS = ("GMF", "MLP")
#: Variants take the rate of the model that they vary.
LIKE = {"MLP, 4 layers": "MLP", "MLP, script": "MLP", "NeuMF, script": "NeuMF"}


class Recipe(Pieces):
    """One column of the table: models of one size.

    Attributes:
        factors: the size.
        cells: (model of `contest.make_model`, factors) → seeds.
        fused: seeds of NeuMF pre-trained.
        borrowed: the rates of a smaller size: model → rate; none where they are searched for.
    """

    factors: int
    cells: ClassVar[Mapping[tuple[str, int], tuple[int, ...]]]
    fused: tuple[int, ...]
    borrowed: ClassVar[Mapping[str, float]] = {}

    @cached_property
    def judge(self) -> contest.Judge:
        """Of the paper's split."""
        return contest.make_judge(prepare())

    @piece
    def chosen(self, name: str, factors: int, rate: float, seed: int) -> dict:
        """Trained on the training pairs, up to the epoch that validation likes best."""
        setting = contest.Setting(factors, rate, POSITIVES, NEGATIVES)
        found = contest.choose(self.judge, name, setting, seed, EPOCHS, PATIENCE)
        told = {"validation": found.validation, "test": found.test, "epochs": found.epochs}
        return told | {"seconds": found.seconds, "weights": self._weights(name, found)}

    def _weights(self, name: str, found: contest.Trained) -> dict | None:
        return found.model.state_dict() if name in PARTS else None

    @piece
    def rate(self, name: str, factors: int) -> float:
        """The best by validation; seed 0."""
        name = LIKE.get(name, name)
        if name in self.borrowed:
            return self.borrowed[name]
        tried = [self.chosen(name, factors, rate, 0) for rate in RATES]
        wait_for(*tried)
        return best_of(dict(zip(RATES, tried, strict=True)))

    @piece
    def refitted(self, name: str, factors: int, seed: int) -> dict:
        """Trained anew on training and validation pairs, and tested."""
        rate = self.rate(name, factors)
        before = self.chosen(name, factors, rate, seed)
        setting = contest.Setting(factors, rate, POSITIVES, NEGATIVES)
        found = contest.refit(self.judge, name, setting, seed, before["epochs"])
        return {
            "rate": rate, "epochs": found.epochs, "validation": before["validation"],
            "watched": before["test"], "test": found.test[-1], "watched_refit": found.test,
            "seconds": found.seconds, "n_parameters": count(found.model),
            "places": self.judge.places(found.model), "weights": self._weights(name, found),
        }  # fmt: skip

    # ------------------------------------------------------------ pre-training

    def _halves(self, seed: int, which: str) -> list[dict]:
        """Weights of GMF and MLP, "chosen" or "refitted"."""
        done = [self.refitted(part, self.factors, seed) for part in PARTS]
        wait_for(*done)
        if which == "chosen":
            rates = [half["rate"] for half in done]
            done = [
                self.chosen(part, self.factors, rate, seed)
                for part, rate in zip(PARTS, rates, strict=True)
            ]
        return [half["weights"] for half in done]

    @piece
    def went_on(self, rate: float, seed: int) -> dict:
        """Fused, and on with SGD on the training pairs; 0 epochs where none betters the start."""
        split = self.judge.split
        model = contest.fuse(*self._halves(seed, "chosen"), split.train, self.factors, ALPHA)
        found = contest.choose_sgd(
            self.judge, model, lr=rate, batch_size=POSITIVES, n_negatives=NEGATIVES,
            epochs=SGD_EPOCHS, patience=SGD_PATIENCE, seed=seed,
        )  # fmt: skip
        return {"validation": found.validation, "test": found.test, "epochs": found.epochs}

    @piece
    def sgd_rate(self) -> float:
        """The best by validation; the first of the seeds."""
        tried = [self.went_on(rate, self.fused[0]) for rate in SGD_RATES]
        wait_for(*tried)
        return best_of(dict(zip(SGD_RATES, tried, strict=True)))

    @piece
    def pretrained(self, seed: int) -> dict:
        """NeuMF of the refitted halves, on with SGD for as many epochs as were chosen."""
        rate = self.sgd_rate()
        before, log = self.went_on(rate, seed), self.judge.split.train_and_validation
        model = contest.fuse(*self._halves(seed, "refitted"), log, self.factors, ALPHA)
        start = self.judge.test(model)
        if before["epochs"]:
            more: Any = {"batch_size": POSITIVES, "n_negatives": NEGATIVES, "seed": seed}
            contest.sgd(model, log, lr=rate, epochs=before["epochs"], **more)
        return {
            "rate": rate, "epochs": before["epochs"], "validation": before["validation"],
            "watched": before["test"], "start": start, "test": self.judge.test(model),
            "n_parameters": count(model), "places": self.judge.places(model.eval()),
        }  # fmt: skip

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds: every cell, and all that was tried for it."""
        cells = {
            (f"{name}/{factors}", str(seed)): self.refitted(name, factors, seed)
            for (name, factors), seeds in self.cells.items()
            for seed in seeds
        } | {
            (f"NeuMF, pre-trained/{self.factors}", str(seed)): self.pretrained(seed)
            for seed in self.fused
        }
        searched = [key for key in self.cells if key[0] not in {*LIKE, *self.borrowed}]
        tried = {
            (f"{name}/{factors}", str(rate)): self.chosen(name, factors, rate, 0)
            for name, factors in searched
            for rate in RATES
        } | {("SGD", str(rate)): self.went_on(rate, self.fused[0]) for rate in SGD_RATES}
        wait_for(*cells.values(), *tried.values())
        return {"cells": nested(cells), "tried": nested(tried), "bfloat16": has_bfloat16()}


def best_of(tried: Mapping[float, Mapping]) -> float:
    """The rate under which validation rose highest."""
    return max(tried, key=lambda rate: max(tried[rate]["validation"]))


def nested(pieces: Mapping[tuple[str, str], Mapping]) -> dict:
    """Pieces by two keys as the record keeps them: one in the other, and without weights."""
    found: dict = {}
    for (cell, key), told in pieces.items():
        kept = {name: value for name, value in told.items() if name != "weights"}
        found.setdefault(cell, {})[key] = kept
    return found


def count(model: torch.nn.Module) -> int:
    """Parameters of a model."""
    return sum(weight.numel() for weight in model.parameters())


def prepare() -> NCFSplit:
    """The split, and the process set for speed."""
    torch.set_flush_denormal(True)  # small numbers slow everything down
    keep_freed_memory()
    return load("ncf-ml-1m")


def report(figures: dict) -> None:
    """Print what was found."""
    for name, found in figures["cells"].items():
        pairs = ", ".join(f"{row['test'][0]:.4f}/{row['test'][1]:.4f}" for row in found.values())
        rates = {row["rate"] for row in found.values()}
        print(f"{name}: {pairs}  rate {rates}, epochs {[r['epochs'] for r in found.values()]}")
