"""Chapter 06, recorded: four samplers of negatives, on the simulated service and on MovieLens."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from recsys_book.chapters.ch06_training_discipline import samplers as lab
from recsys_book.chapters.ch06_training_discipline.samplers import Setting, Task, Variant
from recsys_book.data import load
from recsys_book.reproduce import Pieces, piece, wait_for
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


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def try_variant(self, where: str, key: str) -> list:
        """Every drawn setting of a variant: [recall, epochs] each."""
        task, variant = self._task(where, TUNING_WORLD), self.variant(key)
        return [lab.try_setting(task, variant, s) for s in lab.draws()]

    def setting(self, where: str, key: str) -> Setting:
        """The best on validation, with its epochs."""
        tried = np.array(self.try_variant(where, key))
        best = int(tried[:, 0].argmax())
        return lab.with_epochs(lab.draws()[best], float(tried[best, 1]))

    @piece
    def found(self, where: str, key: str, seed: int) -> dict:
        """A variant fitted on everything before the test, and scored once."""
        task = self._task(where, seed)
        setting = self.setting(where, key)
        return lab.fit_and_judge(task, self.variant(key), setting, seed)

    @piece
    def baselines(self, where: str, seed: int) -> dict:
        """Popularity on the same test."""
        return lab.baselines(self._task(where, seed))

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

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        # One by one below: so they are worked out side by side.
        wanted = [("simulated", key) for key in (*TABLE, *sweep_keys())]
        tries = [
            self.try_variant(*one) for one in (*wanted, *(("MovieLens", key) for key in TABLE))
        ]
        wait_for(*tries)
        simulated = {
            key: {
                "variant": asdict(self.variant(key)),
                "setting": asdict(self.setting("simulated", key)),
                "found": [self.found("simulated", key, seed) for seed in SEEDS],
            }
            for key in (*TABLE, *sweep_keys())
        }
        real = {
            key: {
                "variant": asdict(self.variant(key)),
                "setting": asdict(self.setting("MovieLens", key)),
                "found": [self.found("MovieLens", key, seed) for seed in REAL_SEEDS],
            }
            for key in TABLE
        }
        return {
            "table": {key: simulated[key] for key in TABLE},
            "sweeps": {
                sweep: {value: simulated[f"{sweep}:{value}"] for value in variants}
                for sweep, variants in SWEEPS.items()
            },
            "popularity": [self.baselines("simulated", seed)["Popularity"] for seed in SEEDS],
            "MovieLens": real,
            "MovieLens popularity": self.baselines("MovieLens", 0)["Popularity"],
        }


def sweep_keys() -> list[str]:
    """sweep:value of every variant in a sweep."""
    return [f"{sweep}:{value}" for sweep, variants in SWEEPS.items() for value in variants]


def ready() -> None:
    """What is missing is told before processes start."""
    load("ml-latest-small")


def report(figures: dict) -> None:
    """Print what was found."""
    for key, entry in figures["table"].items():
        mean = lambda name, rows: round(float(np.mean([row[name] for row in rows])), 4)
        for rows in (entry["found"], figures["MovieLens"][key]["found"]):
            print(f"{key:28}", {name: mean(name, rows) for name in rows[0]})
    for sweep, variants in figures["sweeps"].items():
        for value, entry in variants.items():
            print(sweep, value, [round(row["recall"], 4) for row in entry["found"]])
