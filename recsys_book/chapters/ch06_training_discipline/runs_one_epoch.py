"""Chapter 06, recorded: the one-epoch phenomenon, on a planted field and without weight decay.

`discipline` has the same curves with the decay of the repaired run.
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
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run, read_record
from recsys_book.service import simulate
from recsys_book.service.click_models import make_task

NAME = "ch06/one_epoch"


class Work:
    """The pieces of the run."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def curves(self, rows_per_value: int, seed: int) -> dict:
        """Loss after every epoch at the constant rate that was chosen in `discipline`, without
        decay; 0 rows: without the field."""

        def make() -> dict:
            chosen = read_record("ch06/repairs")["figures"]["chosen"][str(RECORDED)]
            recipe = replace(lab.recipe_of("a chosen rate", chosen), epochs=CURVE_EPOCHS)
            task = make_task(simulate(n_users=RECORDED, seed=seed))
            if rows_per_value:
                task = lab.with_planted_field(task, rows_per_value, seed)
            return {"curves": lab.epoch_curves(task, recipe, seed)}

        return self.cells.get(f"{rows_per_value} {seed}", make)["curves"]


def plan() -> dict[tuple, list[tuple]]:
    """Every piece; none needs another."""
    return {("curves", n, seed): [] for n in (*ROWS_PER_VALUE, 0) for seed in SEEDS}


def open_cells() -> Cells:
    """Where the pieces are kept."""
    return Cells(NAME, [SEEDS, RECORDED, ROWS_PER_VALUE, CURVE_EPOCHS])


def make_worker() -> Work:
    """In each process."""
    return Work(open_cells())


def main() -> None:
    """Run it all, print it, record it."""
    run = Run(NAME, list(SEEDS))
    cells = open_cells()
    in_processes(plan(), make_worker)
    work = Work(cells)
    figures = {str(n): [work.curves(n, seed) for seed in SEEDS] for n in (*ROWS_PER_VALUE, 0)}
    for n, runs in figures.items():
        for part in ("train", "validation"):
            print(n, part, [round(sum(r[part][e] for r in runs) / len(runs), 4)
                            for e in range(CURVE_EPOCHS)])  # fmt: skip
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
