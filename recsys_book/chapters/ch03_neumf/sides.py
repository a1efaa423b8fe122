"""Side questions of chapter 03's race: how deep a tower, and how many negatives per click?

All else is as in `ch03/race`, whose settings are the start. Each depth of the MLP's tower takes the
best of the four settings that came last in the MLP's search: what suits three layers need not suit
one or four. Negatives are changed alone, in the settings that MF and NeuMF chose.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import mean

from recsys_book.chapters.ch03_neumf import care, equal_race, race
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.chapters.ch03_neumf.equal_race import World, course
from recsys_book.reproduce import piece, read_record, wait_for

SEEDS = (0, 1, 2, 3, 4)
DEPTHS, NEGATIVES = (0, 1, 2, 3, 4), (1, 2, 4, 8, 16, 32)
MODELS = ("MF", "NeuMF")


class Sides(equal_race.EqualRace):
    """The run: a setting for each depth, then five worlds."""

    @piece
    def of_depth(self, depth: int) -> Draw:
        """The best of the MLP's last settings for a tower of so many layers."""
        told = read_record("ch03/race")["figures"]["search"]["MLP"]
        finals = [Draw(**draw) for draw, _ in told["rounds"][-2]]
        scores = self._score(f"MLP, {depth} layers", None, finals, self.longest)
        return care.best_of(scores, 1)[0]

    @piece
    def as_set(self, name: str, draw: Draw, world: World) -> dict:
        """A setting in a world, fitted anew for as many epochs as its validation likes."""
        epochs = self.tried(name, draw, world, self.longest)["epochs"]
        model, _ = race.fit(name, course(world).judge.refit, draw, world[0], epochs)
        return course(world).shares(model) | {"epochs": epochs}

    def figures(self) -> dict:
        """What the record holds: shares of the learnable in every world."""
        search = read_record("ch03/race")["figures"]["search"]
        draws = {depth: self.of_depth(depth) for depth in DEPTHS}
        wait_for(*draws.values())
        depth = {
            str(n): [self.as_set(f"MLP, {n} layers", draw, (seed, None)) for seed in SEEDS]
            for n, draw in draws.items()
        }
        negatives = {}
        for name in MODELS:
            best = Draw(**search[name]["best"])
            negatives[name] = {
                str(n): [
                    self.as_set(name, replace(best, n_negatives=n), (seed, None)) for seed in SEEDS
                ]
                for n in NEGATIVES
            }
        rows = [*depth.values(), *(row for of in negatives.values() for row in of.values())]
        wait_for(*(one for row in rows for one in row))
        chosen = {str(n): asdict(draw) for n, draw in draws.items()}
        return {"by depth": chosen, "depth": depth, "negatives": negatives}


def report(figures: dict) -> None:
    """Print what was found."""
    for what in (figures["depth"], *figures["negatives"].values()):
        print({n: round(mean(one["ndcg"] for one in row), 4) for n, row in what.items()})
