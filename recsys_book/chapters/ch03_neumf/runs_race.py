"""Chapter 03's race where the truth is known: eight models in ten worlds. See equal_race.py."""

from __future__ import annotations

from statistics import mean

from recsys_book.chapters.ch03_neumf import care, equal_race, race
from recsys_book.reproduce import wait_for

NAME = "ch03/race"
SEEDS = equal_race.SEEDS
NAMES = (*care.LEARNED, *care.CLOSED)


class Work(equal_race.EqualRace):
    """Four weeks, and all clicks."""

    def figures(self) -> dict:
        """What the record holds: every model's search, and its shares in every world."""
        searches = {name: self.search(name, None) for name in NAMES}
        rows = {
            (name, seed): self.tested(name, (seed, None)) for seed in SEEDS for name in NAMES
        } | {("NeuMF, pre-trained", seed): self.pretrained((seed, None)) for seed in SEEDS}
        rates = {
            (rate, seed): self.went_on(rate, (seed, None))
            for rate in equal_race.SGD_RATES
            for seed in equal_race.TUNING_WORLDS
        }
        wait_for(*searches.values(), *rows.values(), *rates.values())
        worlds: dict[str, list] = {}
        for (name, _), row in rows.items():
            worlds.setdefault(name, []).append(equal_race.without_weights(row))
        sgd: dict[str, list] = {}
        for (rate, _), row in rates.items():
            sgd.setdefault(str(rate), []).append(row["score"])
        search = {name: equal_race.told(found) for name, found in searches.items()}
        return {"search": search, "SGD": sgd, "worlds": worlds}


def report(figures: dict) -> None:
    """Print what was found."""
    for name, row in figures["worlds"].items():
        ndcg, clicks = (mean(one[how] for one in row) for how in race.MEASURES)
        print(f"{name}: NDCG {ndcg:.4f}, clicks {clicks:.4f} of the learnable")
    for name, found in figures["search"].items():
        print(f"{name}: {found['best']}{', at an edge' if found['at an edge'] else ''}")
