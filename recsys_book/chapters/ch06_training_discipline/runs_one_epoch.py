"""Chapter 06, recorded: the one-epoch phenomenon, on a planted field and without weight decay.

`ch06/repairs` has the same curves with the decay of the repaired run.
"""

from __future__ import annotations

from dataclasses import replace

from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline.runs_repairs import (
    CURVE_EPOCHS,
    RECORDED,
    ROWS_PER_VALUE,
    SEEDS,
)
from recsys_book.reproduce import Pieces, piece
from recsys_book.reproduce.record import read_record
from recsys_book.service import simulate
from recsys_book.service.click_models import make_task

NAME = "ch06/one_epoch"


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def curves(self, rows_per_value: int, seed: int) -> dict:
        """Loss after every epoch at the constant rate that was chosen in `ch06/repairs`, without
        decay; 0 rows: without the field."""
        chosen = read_record("ch06/repairs")["figures"]["chosen"][str(RECORDED)]
        recipe = replace(lab.recipe_of("a chosen rate", chosen), epochs=CURVE_EPOCHS)
        task = make_task(simulate(n_users=RECORDED, seed=seed))
        if rows_per_value:
            task = lab.with_planted_field(task, rows_per_value, seed)
        return lab.epoch_curves(task, recipe, seed)

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        return {str(n): [self.curves(n, seed) for seed in SEEDS] for n in (*ROWS_PER_VALUE, 0)}


def report(figures: dict) -> None:
    """Print what was found."""
    for n, runs in figures.items():
        for part in ("train", "validation"):
            print(n, part, [round(sum(r[part][e] for r in runs) / len(runs), 4)
                            for e in range(CURVE_EPOCHS)])  # fmt: skip
