"""Chapter 05 on Frappe: LR, FM, wide, deep and Wide & Deep, split by pair and by row.

Each kind tries eight drawn settings on the validation rows; the one with the lowest log-loss is
trained anew on training and validation rows, for as many epochs as were best, with three seeds, and
scored once on the test. Nothing is chosen by the test.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from recsys_book.chapters.ch05_wide_and_deep import frappe_apps as lab
from recsys_book.chapters.ch05_wide_and_deep.frappe_apps import KINDS, SPLITS
from recsys_book.chapters.ch05_wide_and_deep.lab import Setting, draws
from recsys_book.data import load
from recsys_book.data.frappe import Frappe
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run

NAME = "ch05/frappe"
SEEDS = (0, 1, 2)
N_DRAWS, MAX_DECAY = 8, 1e-3


class Work:
    """The run: each public method is one kind of piece."""

    def __init__(self, data: Frappe, cells: Cells) -> None:
        self.cells = cells
        self.tasks = {split: lab.make_task(data, split) for split in SPLITS}

    def choose(self, kind: str, split: str) -> Setting:
        """The best of the drawn settings on validation, with its epochs."""

        def make() -> dict:
            settings = draws(KINDS[kind][1], N_DRAWS, decay=MAX_DECAY)
            tried = [lab.try_setting(self.tasks[split], kind, setting) for setting in settings]
            best = min(range(len(tried)), key=lambda i: tried[i][0])
            chosen = replace(settings[best], epochs=tried[best][1])
            return {"best": asdict(chosen), "tried": tried}

        return Setting(**self.cells.get(f"choose {kind} {split}", make)["best"])

    def test(self, kind: str, split: str, seed: int) -> dict:
        """Refitted and scored once."""

        def make() -> dict:
            return lab.tested(self.tasks[split], kind, self.choose(kind, split), seed)

        return self.cells.get(f"test {kind} {split} {seed}", make)


def plan() -> dict[tuple, list[tuple]]:
    """Every piece with those it needs, long ones early."""
    pieces: dict[tuple, list[tuple]] = {}
    for split in reversed(SPLITS):
        for kind in reversed(KINDS):
            pieces["choose", kind, split] = []
    for split in SPLITS:
        for kind in KINDS:
            for seed in SEEDS:
                pieces["test", kind, split, seed] = [("choose", kind, split)]
    return pieces


def open_cells() -> Cells:
    """Where the pieces are kept."""
    return Cells(NAME, [SEEDS, KINDS, SPLITS, N_DRAWS, MAX_DECAY])


def make_worker() -> Work:
    """In each process."""
    return Work(load("frappe"), open_cells())


def main() -> None:
    """Run it all, print it, record it."""
    run = Run(NAME, list(SEEDS))
    data, cells = load("frappe"), open_cells()
    print(data)
    in_processes(plan(), make_worker)
    work = Work(data, cells)
    figures = {
        "pairs_in_both": {s: lab.pairs_in_both(work.tasks[s]) for s in SPLITS},
        "settings": {s: {k: asdict(work.choose(k, s)) for k in KINDS} for s in SPLITS},
        "test": {s: {k: [work.test(k, s, seed) for seed in SEEDS] for k in KINDS} for s in SPLITS},
    }
    for split, kinds in figures["test"].items():
        for kind, rows in kinds.items():
            pairs = [f"{row['auc']:.4f} {row['log_loss']:.4f}" for row in rows]
            print(f"{split:8} {kind:18}", "   ".join(pairs))
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
