"""Does NeuMF win with more data? MF, NeuMF and EASE on shares of a log. See equal_race.py."""

from __future__ import annotations

from statistics import mean
from typing import ClassVar

from recsys_book.chapters.ch03_neumf import equal_race
from recsys_book.reproduce import wait_for

SEEDS = (0, 1, 2, 3, 4)
NAMES, SHARES = ("MF", "NeuMF", "EASE"), (1 / 27, 1 / 9, 1 / 3, 1.0)


class Amounts(equal_race.EqualRace):
    """Sixteen weeks, of whose clicks a share is kept; each share has settings of its own."""

    rounds: ClassVar = ((12, 4), (4, 12), (2, 40))

    def figures(self) -> dict:
        """What the record holds: model → share → the search, clicks, and shares by world."""
        searches = {(name, share): self.search(name, share) for name in NAMES for share in SHARES}
        rows = {
            (name, share, seed): self.tested(name, (seed, share))
            for share in SHARES
            for seed in SEEDS
            for name in NAMES
        }
        wait_for(*searches.values(), *rows.values())
        found: dict[str, dict] = {name: {} for name in NAMES}
        for (name, share), search in searches.items():
            worlds = [equal_race.without_weights(rows[name, share, seed]) for seed in SEEDS]
            found[name][f"{share:.4f}"] = {"search": equal_race.told(search), "worlds": worlds}
        return found


def report(figures: dict) -> None:
    """Print what was found."""
    for name, of in figures.items():
        print(name, {n: round(mean(w["ndcg"] for w in row["worlds"]), 4) for n, row in of.items()})
