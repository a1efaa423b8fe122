"""Chapter 06, recorded: four samplers of negatives, on the simulated service and on MovieLens."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from recsys_book.chapters.ch06_training_discipline import samplers as lab
from recsys_book.chapters.ch06_training_discipline.samplers import Setting, Task, Variant
from recsys_book.data import load
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run
from recsys_book.service import simulate

NAME = "ch06/samplers"
SEEDS, TUNING_WORLD = (0, 1, 2, 3, 4), 100
USERS = 1_000
REAL_SEEDS = (0, 1, 2)
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of hard negatives
POOLS = (10, 50, 200)
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

#: Sweep → its variants; each has a setting of its own, and stands in the record with all it is.
SWEEPS = {
    "hard": {f"{share:g}": Variant("hard", "bce", share=share) for share in SHARES},
    "pool": {f"{pool}": Variant("hard", "bce", share=0.5, pool=pool) for pool in POOLS},
    "power": {f"{power:g}": Variant("popularity", "bce", power=power) for power in POWERS},
    "power, repaired": {
        f"{power:g}": Variant("popularity", "bce", True, power=power) for power in POWERS
    },
    "temperature": {
        f"{t:g}": Variant("uniform", "softmax", True, temperature=t) for t in TEMPERATURES
    },
}


def name_of(variant: Variant) -> str:
    """sampler/loss/raw or repaired."""
    return f"{variant.sampler}/{variant.loss}/{'repaired' if variant.repaired else 'raw'}"


TABLE = {name_of(variant): variant for variant in lab.TABLE}


class Work:
    """The pieces of the run."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def try_variant(self, where: str, key: str) -> list:
        """Every drawn setting of a variant: [recall, epochs] each."""

        def make() -> dict:
            task, variant = self._task(where, TUNING_WORLD), self.variant(key)
            return {"tried": [lab.try_setting(task, variant, s) for s in lab.draws()]}

        return self.cells.get(f"try {where} {key}", make)["tried"]

    def setting(self, where: str, key: str) -> Setting:
        """The best on validation, with its epochs."""
        tried = np.array(self.try_variant(where, key))
        best = int(tried[:, 0].argmax())
        return lab.with_epochs(lab.draws()[best], float(tried[best, 1]))

    def figures(self, where: str, key: str, seed: int) -> dict:
        """A variant fitted on everything before the test, and scored once."""

        def make() -> dict:
            task = self._task(where, seed)
            setting = self.setting(where, key)
            return {"found": lab.fit_and_judge(task, self.variant(key), setting, seed)}

        return self.cells.get(f"figures {where} {key} {seed}", make)["found"]

    def baselines(self, where: str, seed: int) -> dict:
        """Popularity on the same test."""
        make = lambda: {"found": lab.baselines(self._task(where, seed))}
        return self.cells.get(f"baselines {where} {seed}", make)["found"]

    def variant(self, key: str) -> Variant:
        """By its name in the table, or sweep:value."""
        if key in TABLE:
            return TABLE[key]
        sweep, value = key.split(":")
        return SWEEPS[sweep][value]

    def _task(self, where: str, seed: int) -> Task:
        if where == "MovieLens":
            return lab.movielens_task(load("ml-latest-small"))
        return lab.simulated_task(simulate(n_users=USERS, seed=seed))


def sweep_keys() -> list[str]:
    """sweep:value of every variant in a sweep."""
    return [f"{sweep}:{value}" for sweep, variants in SWEEPS.items() for value in variants]


def plan() -> dict[tuple, list[tuple]]:
    """Every piece with those it needs."""
    pieces: dict[tuple, list[tuple]] = {}
    wanted = [("simulated", key, SEEDS) for key in (*TABLE, *sweep_keys())]
    wanted += [("MovieLens", key, REAL_SEEDS) for key in TABLE]
    for where, key, seeds in wanted:
        tries = ("try_variant", where, key)
        pieces[tries] = []
        pieces |= {("figures", where, key, seed): [tries] for seed in seeds}
    pieces |= {("baselines", "simulated", seed): [] for seed in SEEDS}
    pieces["baselines", "MovieLens", 0] = []
    return pieces


def open_cells() -> Cells:
    """Where the pieces are kept."""
    return Cells(NAME, [SEEDS, TUNING_WORLD, USERS, REAL_SEEDS, SWEEPS, TABLE])


def make_worker() -> Work:
    """In each process."""
    return Work(open_cells())


def main() -> None:
    """Run it all, print it, record it."""
    load("ml-latest-small")  # better missing now than in an hour
    run = Run(NAME, list(SEEDS))
    cells = open_cells()
    in_processes(plan(), make_worker)
    work = Work(cells)
    simulated = {
        key: {
            "variant": asdict(work.variant(key)),
            "setting": asdict(work.setting("simulated", key)),
            "found": [work.figures("simulated", key, seed) for seed in SEEDS],
        }
        for key in (*TABLE, *sweep_keys())
    }
    real = {
        key: {
            "variant": asdict(work.variant(key)),
            "setting": asdict(work.setting("MovieLens", key)),
            "found": [work.figures("MovieLens", key, seed) for seed in REAL_SEEDS],
        }
        for key in TABLE
    }
    figures = {
        "table": {key: simulated[key] for key in TABLE},
        "sweeps": {
            sweep: {value: simulated[f"{sweep}:{value}"] for value in variants}
            for sweep, variants in SWEEPS.items()
        },
        "popularity": [work.baselines("simulated", seed)["Popularity"] for seed in SEEDS],
        "MovieLens": real,
        "MovieLens popularity": work.baselines("MovieLens", 0)["Popularity"],
    }
    for key, entry in figures["table"].items():
        mean = lambda name, rows: round(float(np.mean([row[name] for row in rows])), 4)
        for rows in (entry["found"], real[key]["found"]):
            print(f"{key:28}", {name: mean(name, rows) for name in rows[0]})
    for sweep, variants in figures["sweeps"].items():
        for value, entry in variants.items():
            print(sweep, value, [round(row["recall"], 4) for row in entry["found"]])
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
