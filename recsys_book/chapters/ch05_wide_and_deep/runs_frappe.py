"""Chapter 05 on Frappe: LR, FM, wide, deep and Wide & Deep, split by pair and by row.

Each kind tries eight drawn settings on the validation rows; the one with the lowest log-loss is
trained anew on training and validation rows, for as many epochs as were best, with three seeds, and
scored once on the test. Nothing is chosen by the test.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property

from recsys_book.chapters.ch05_wide_and_deep import frappe_apps as lab
from recsys_book.chapters.ch05_wide_and_deep.frappe_apps import KINDS, SPLITS
from recsys_book.chapters.ch05_wide_and_deep.lab import Setting, draws
from recsys_book.data import load
from recsys_book.reproduce import Pieces, piece

NAME = "ch05/frappe"
SEEDS = (0, 1, 2)
N_DRAWS, MAX_DECAY = 8, 1e-3


class Work(Pieces):
    """The run: what it chooses and what it tests."""

    @cached_property
    def tasks(self) -> dict:
        """split → its task."""
        data = load("frappe")
        return {split: lab.make_task(data, split) for split in SPLITS}

    @piece
    def choose(self, kind: str, split: str) -> Setting:
        """The best of the drawn settings on validation, with its epochs."""
        settings = draws(KINDS[kind][1], N_DRAWS, decay=MAX_DECAY)
        tried = [lab.try_setting(self.tasks[split], kind, setting) for setting in settings]
        best = min(range(len(tried)), key=lambda i: tried[i][0])
        return replace(settings[best], epochs=tried[best][1])

    @piece
    def test(self, kind: str, split: str, seed: int) -> dict:
        """Refitted and scored once."""
        return lab.tested(self.tasks[split], kind, self.choose(kind, split), seed)

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        chosen = {s: {k: self.choose(k, s) for k in KINDS} for s in SPLITS}
        return {
            "pairs_in_both": {s: lab.pairs_in_both(self.tasks[s]) for s in SPLITS},
            "settings": {s: {k: asdict(found) for k, found in chosen[s].items()} for s in SPLITS},
            "test": {
                s: {k: [self.test(k, s, seed) for seed in SEEDS] for k in KINDS} for s in SPLITS
            },
        }


def ready() -> None:
    """What is missing is told before processes start."""
    print(load("frappe"))


def report(figures: dict) -> None:
    """Print what was found."""
    for split, kinds in figures["test"].items():
        for kind, rows in kinds.items():
            pairs = [f"{row['auc']:.4f} {row['log_loss']:.4f}" for row in rows]
            print(f"{split:8} {kind:18}", "   ".join(pairs))
