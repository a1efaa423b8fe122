"""The NCF paper's table on MovieLens-1M, by the paper's own recipe.

GMF, MLP (three layers) and NeuMF, from scratch by Adam and fused from trained halves with plain SGD
after: separate vectors, uniform negatives drawn anew every epoch, 4 a positive, batches of 1,020
examples, float32, no penalty, a constant learning rate, one of the paper's four. The rate is chosen
at 8 factors for 8 and 16, at 32 for 32 and 64: all four are trained for five epochs, and the two
that lead by then for as long as validation asks. (So a small rate that would pass the others late
may be left out; what each had reached is in the record.) The paper names no rate for SGD; four
are tried at 8 and at 32. Everything is chosen on the validation item; the test item is looked for
after refitting on both.

8 and 64 factors have three seeds, 16 and 32 one. "Script" is the official script's default: vectors
twice as long as the paper's text has them. NeuMF of 8 factors keeps 24 numbers a person: MF of 8
with biases (9 numbers), GMF of 16 and GMF of 24 stand beside it. A run that was killed goes on
where it stopped.
"""

from __future__ import annotations

from functools import cached_property

import torch

from recsys_book.chapters.ch03_neumf import contest
from recsys_book.chapters.ch03_neumf.contest import Setting
from recsys_book.data import load
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.machine import keep_freed_memory
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.train import NotFinite

NAME = "ch03/recipe"
MODELS, PARTS = ("GMF", "MLP", "NeuMF"), ("GMF", "MLP")
SEEDS = {8: (0, 1, 2), 16: (0,), 32: (0,), 64: (0, 1, 2)}
#: Whose learning rate a size takes.
TUNED_AT = {8: 8, 16: 8, 24: 8, 32: 32, 64: 32}
POSITIVES = 204  # a step, with 4 negatives each: 1,020 examples, the paper's largest being 1,024
RATES = (0.0001, 0.0005, 0.001, 0.005)
SGD_RATES = (0.001, 0.01, 0.1, 1.0)
BEGIN = 5  # epochs that every rate gets
MAX_EPOCHS, PATIENCE = 60, 4
SGD_EPOCHS, SGD_PATIENCE = 10, 2
ALPHA = 0.5
#: Cells besides the table's: the script's sizes, and rivals of about the size of NeuMF at 8.
MORE = {
    ("NeuMF, script", 8): (0, 1, 2), ("MLP, script", 8): (0,), ("MLP, script", 16): (0,),
    ("MF", 8): (0, 1, 2), ("GMF", 16): (0, 1, 2), ("GMF", 24): (0, 1, 2),
}  # fmt: skip
BROKE_DOWN = -1.0  # the score of a training whose numbers are no longer finite


class Work(Pieces):
    """The run: rates are chosen, cells of the table trained, and some fused."""

    @cached_property
    def split(self) -> NCFSplit:
        """The paper's."""
        return prepare()

    @cached_property
    def judge(self) -> contest.Judge:
        """Of the split."""
        return contest.make_judge(self.split)

    # ------------------------------------------------------------ from scratch

    @piece
    def begun(self, name: str, factors: int, lr: float) -> list[float]:
        """NDCG@10 on validation, by epoch, in the few epochs that every rate gets."""
        try:
            return self._chosen(name, factors, lr, 0, BEGIN, watch_test=False).validation
        except NotFinite:
            return [BROKE_DOWN]

    @piece
    def chosen(self, name: str, factors: int, lr: float, seed: int) -> dict:
        """A training without the validation pairs, to the end; a part's weights are kept."""
        found = self._chosen(name, factors, lr, seed, MAX_EPOCHS)
        if name in PARTS:
            self._keep(("chosen", name, factors, lr, seed), found.model)
        kept = ("validation", "test", "epochs", "seconds")
        return {field: getattr(found, field) for field in kept}

    @piece
    def rate(self, name: str, factors: int) -> float:
        """The learning rate that ends highest, of the two that begin highest."""
        begun = {lr: self.begun(name, factors, lr) for lr in RATES}
        wait_for(*begun.values())
        leading = sorted(RATES, key=lambda lr: -max(begun[lr]))[:2]
        ended = {lr: self.chosen(name, factors, lr, 0) for lr in leading}
        wait_for(*ended.values())
        return max(leading, key=lambda lr: max(ended[lr]["validation"]))

    @piece
    def cell(self, name: str, factors: int, seed: int) -> dict:
        """A cell of the table: chosen on validation, trained anew on everything, tested."""
        kind = name.partition(", ")[0]
        lr = self.rate(kind, TUNED_AT[factors])
        chosen = self.chosen(name, factors, lr, seed)
        epochs = int(chosen["epochs"])
        setting = Setting(factors, lr, POSITIVES)
        found = contest.refit(self.judge, name, setting, seed, epochs)
        if name in PARTS:
            self._keep(("refit", name, factors, lr, seed), found.model)
        return self._tested(found, chosen)

    def _chosen(
        self, name: str, factors: int, lr: float, seed: int, most: int, **more: bool
    ) -> contest.Trained:
        setting = Setting(factors, lr, POSITIVES)
        return contest.choose(self.judge, name, setting, seed, most, PATIENCE, **more)

    def _keep(self, weights: tuple, model: torch.nn.Module) -> None:
        self.store.keep(("weights", *weights), model.state_dict)

    def _tested(self, found: contest.Trained, chosen: dict) -> dict:
        return {
            "test": self.judge.test(found.model),
            "places": self.judge.places(found.model),
            "epochs": chosen["epochs"],
            "validation": chosen["validation"],
            "test by epoch, validation pairs left out": chosen["test"],
            "seconds": [chosen["seconds"], found.seconds],
        }

    # ------------------------------------------------------------ fused

    def _fused(self, which: str, factors: int, seed: int) -> torch.nn.Module:
        """NeuMF of trained halves, "chosen" or "refit"."""
        rates = [self.rate(name, TUNED_AT[factors]) for name in PARTS]
        weights = [
            self.store["weights", which, name, factors, lr, seed]
            for name, lr in zip(PARTS, rates, strict=True)
        ]
        return contest.fuse(*weights, self.split.train, factors, ALPHA)

    def _go_on(self, factors: int, lr: float, seed: int) -> contest.Trained:
        more = {"lr": lr, "batch_size": POSITIVES, "epochs": SGD_EPOCHS, "seed": seed}
        model = self._fused("chosen", factors, seed)
        return contest.choose_sgd(self.judge, model, patience=SGD_PATIENCE, **more)

    @piece
    def sgd_tried(self, factors: int, lr: float) -> list[float]:
        """NDCG@10 on validation before SGD and after each of its epochs."""
        wait_for(*(self.cell(name, factors, 0) for name in PARTS))
        try:
            return self._go_on(factors, lr, 0).validation
        except NotFinite:
            return [BROKE_DOWN]

    @piece
    def sgd_rate(self, factors: int) -> float:
        """The learning rate of plain SGD after pre-training."""
        tried = {lr: self.sgd_tried(factors, lr) for lr in SGD_RATES}
        wait_for(*tried.values())
        return max(SGD_RATES, key=lambda lr: max(tried[lr]))

    @piece
    def pretrained(self, factors: int, seed: int) -> dict:
        """NeuMF from a trained GMF and a trained MLP."""
        lr = self.sgd_rate(TUNED_AT[factors])
        wait_for(lr, *(self.cell(name, factors, seed) for name in PARTS))
        found = self._go_on(factors, lr, seed)
        kept = {f: getattr(found, f) for f in ("validation", "test", "epochs", "seconds")}
        model, seconds = self._fused("refit", factors, seed), 0.0
        start = self.judge.places(model)
        if found.epochs:
            more = {"lr": lr, "batch_size": POSITIVES, "epochs": found.epochs, "seed": seed}
            history = contest.sgd(model, self.split.train_and_validation, **more)
            seconds = sum(history.seconds)
        ended = contest.Trained(model.eval(), [], [], found.epochs, seconds)
        return self._tested(ended, kept) | {"places before SGD": start}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        cells, searched = {}, [(name, size) for name in MODELS for size in (8, 32)]
        searched.append(("MF", 8))
        for factors, seeds in SEEDS.items():
            for name in MODELS:
                cells[f"{name}/{factors}"] = [self.cell(name, factors, seed) for seed in seeds]
            cells[f"NeuMF-pre/{factors}"] = [self.pretrained(factors, seed) for seed in seeds]
        for (name, factors), seeds in MORE.items():
            cells[f"{name}/{factors}"] = [self.cell(name, factors, seed) for seed in seeds]
        begun = {
            f"{name}/{size}": {str(lr): self.begun(name, size, lr) for lr in RATES}
            for name, size in searched
        }
        tried = {str(f): {str(lr): self.sgd_tried(f, lr) for lr in SGD_RATES} for f in (8, 32)}
        return {
            "cells": cells,
            "rates": {f"{name}/{size}": self.rate(name, size) for name, size in searched},
            "rates begun": begun,
            "rates of SGD": {str(f): self.sgd_rate(f) for f in (8, 32)},
            "rates of SGD tried": tried,
        }


def prepare() -> NCFSplit:
    """The split, and the process set for speed."""
    torch.set_flush_denormal(True)
    keep_freed_memory()
    return load("ncf-ml-1m")


def ready() -> None:
    """What is missing is told before processes start."""
    print(prepare())


def settings() -> dict:
    """What decides the figures besides the code."""
    return {
        "cells": (SEEDS, MORE), "rates": (RATES, SGD_RATES, BEGIN), "positives": POSITIVES,
        "epochs": (MAX_EPOCHS, PATIENCE, SGD_EPOCHS, SGD_PATIENCE), "alpha": ALPHA,
    }  # fmt: skip


def report(figures: dict) -> None:
    """Print what was found."""
    for name, found in figures["cells"].items():
        pairs = ", ".join(f"{row['test'][0]:.4f}/{row['test'][1]:.4f}" for row in found)
        print(f"{name}: {pairs}  epochs {[row['epochs'] for row in found]}")
