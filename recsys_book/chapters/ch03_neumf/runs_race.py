"""Chapter 03 where the truth is known: eight models with equal care, in ten worlds.

Settings are chosen in worlds 100 to 102, which no figure comes from, by held-out clicks. Every
model that learns by gradient begins with the same 24 settings, drawn from one box that holds the
size: all of them for four epochs in the first world, the better eight for twelve, and the best
four, in all three worlds, until validation has not risen for four epochs; the mean decides. Models
without gradients have 24 draws of their own knobs, the best four of them tried in all three worlds.
Where the best lies at an edge of the box, the search goes on beyond it, three steps at most.

Then each model is fitted in ten worlds, none of them one of the closing leaderboard's: the number
of epochs is chosen by the clicks of days 20 to 23, the model is fitted anew on everything before
the test, and the oracle is asked once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from statistics import mean
from typing import Any

from recsys_book.chapters.ch03_neumf import care, race
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.service import simulate

NAME = "ch03/race"
SEEDS, TUNING_WORLDS = (*range(5), *range(10, 15)), (100, 101, 102)
DRAWS, DRAWN_WITH = 24, 0
#: How many take part, and for how many epochs at most.
ROUNDS = ((DRAWS, 4), (8, 12), (4, 40))
FINALISTS, LONGEST = ROUNDS[-1]
PATIENCE, STEPS = 4, 3
PARTS = ("GMF", "MLP")
SGD_RATES, SGD_EPOCHS, SGD_PATIENCE = (0.01, 0.03, 0.1, 0.3, 1.0), 12, 2
ALPHA = 0.5


@cache
def course(seed: int) -> race.Course:
    """One world to race in."""
    return race.course(simulate(seed=seed))


class Work(Pieces):
    """The run: search, then ten worlds."""

    # ------------------------------------------------------------ choosing

    @piece
    def tried(self, name: str, draw: Draw, world: int, epochs: int) -> dict:
        """A draw on the training part of a world's clicks, validated after every epoch."""
        found = race.choose(course(world).judge, name, draw, world, epochs, PATIENCE)
        model, score, best = found
        weights = model.state_dict() if name in PARTS and epochs == LONGEST else None
        return {"score": score, "epochs": best, "weights": weights}

    def _score(self, name: str, draws: Sequence[Draw], epochs: int) -> dict[Draw, float]:
        worlds = TUNING_WORLDS if epochs == LONGEST else TUNING_WORLDS[:1]
        found = [[self.tried(name, draw, world, epochs) for world in worlds] for draw in draws]
        wait_for(*(one for row in found for one in row))
        means = [mean(one["score"] for one in row) for row in found]
        return dict(zip(draws, means, strict=True))

    @piece
    def search(self, name: str) -> dict:
        """Every round of halving, and what was tried beyond the box; the best."""
        score, box = partial(self._score, name), race.ON_CLICKS
        rounds = care.halving(box.draws(DRAWS, DRAWN_WITH), ROUNDS, score)
        longest = partial(score, epochs=LONGEST)
        rounds.append(care.climb_out(rounds[-1], partial(box.beyond, name), longest, STEPS))
        return _told(rounds, partial(box.beyond, name), asdict)

    @piece
    def closed_tried(self, name: str, options: care.Options, world: int) -> float:
        """NDCG@10 on the clicks held out to choose by."""
        judge = course(world).judge
        return judge.validate(care.CLOSED[name][0](judge.train, **dict(options)))

    def _closed_score(
        self, name: str, settings: Sequence[care.Options], epochs: int
    ) -> dict[care.Options, float]:
        worlds = TUNING_WORLDS if epochs == LONGEST else TUNING_WORLDS[:1]
        found = [[self.closed_tried(name, one, world) for world in worlds] for one in settings]
        wait_for(*(one for row in found for one in row))
        return dict(zip(settings, map(mean, found), strict=True))

    @piece
    def closed_search(self, name: str) -> dict:
        """Draws of a model without gradients, and what was tried beyond the box; the best."""
        score, beyond = partial(self._closed_score, name), partial(care.closed_beyond, name)
        draws = care.closed_draws(name, DRAWS, DRAWN_WITH)
        rounds = care.halving(draws, (ROUNDS[0], ROUNDS[-1]), score)
        longest = partial(score, epochs=LONGEST)
        rounds.append(care.climb_out(rounds[-1], beyond, longest, STEPS))
        return _told(rounds, beyond, dict)

    # ------------------------------------------------------------ ten worlds

    @piece
    def tested(self, name: str, world: int) -> dict:
        """The chosen setting in a world, fitted anew for as many epochs as its validation likes."""
        best = self.search(name)["best"]
        epochs = self.tried(name, best, world, LONGEST)["epochs"]
        model, _ = race.fit(name, course(world).judge.refit, best, world, epochs)
        weights = model.state_dict() if name in PARTS else None
        return course(world).shares(model) | {"epochs": epochs, "weights": weights}

    @piece
    def closed_tested(self, name: str, world: int) -> dict:
        """The chosen setting in a world."""
        options = dict(self.closed_search(name)["best"])
        if name == "IALS":
            options["seed"] = world
        return course(world).shares(care.CLOSED[name][0](course(world).judge.refit, **options))

    # ------------------------------------------------------------ pre-training

    def _fused(self, halves: Sequence[dict], world: int, which: str) -> Any:
        bests = [self.search(part)["best"] for part in PARTS]
        pairs = [(best, half["weights"]) for best, half in zip(bests, halves, strict=True)]
        return race.fuse(pairs, getattr(course(world).judge, which), ALPHA)

    @piece
    def went_on(self, rate: float, world: int) -> dict:
        """Fused, and on with SGD on the training part; 0 epochs where none betters the start."""
        bests = [self.search(part) for part in PARTS]
        wait_for(*bests)
        halves = [
            self.tried(part, found["best"], world, LONGEST)
            for part, found in zip(PARTS, bests, strict=True)
        ]
        wait_for(*halves)
        model = self._fused(halves, world, "train")
        judge = course(world).judge
        score, epochs = race.choose_sgd(judge, model, rate, world, SGD_EPOCHS, SGD_PATIENCE)
        return {"score": score, "epochs": epochs}

    @piece
    def sgd_rate(self) -> float:
        """The best by validation over the worlds kept for that."""
        tried = {rate: [self.went_on(rate, world) for world in TUNING_WORLDS] for rate in SGD_RATES}
        wait_for(*(one for row in tried.values() for one in row))
        means = {rate: mean(one["score"] for one in row) for rate, row in tried.items()}
        return care.best_of(means, 1)[0]

    @piece
    def pretrained(self, world: int) -> dict:
        """NeuMF of the tested halves, on with SGD for as many epochs as were best."""
        halves, rate = [self.tested(part, world) for part in PARTS], self.sgd_rate()
        wait_for(*halves, rate)
        epochs, judge = self.went_on(rate, world)["epochs"], course(world).judge
        model = self._fused(halves, world, "refit")
        start = course(world).shares(model)
        if epochs:
            race.go_on(model, judge.refit, rate, world, epochs)
        return course(world).shares(model.eval()) | {"start": start, "epochs": epochs}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds: every model's search, and its shares in every world."""
        searches = {name: self.search(name) for name in care.LEARNED}
        searches |= {name: self.closed_search(name) for name in care.CLOSED}
        rows = {name: [self.tested(name, seed) for seed in SEEDS] for name in care.LEARNED}
        rows |= {name: [self.closed_tested(name, seed) for seed in SEEDS] for name in care.CLOSED}
        rows["NeuMF, pre-trained"] = [self.pretrained(seed) for seed in SEEDS]
        rates = {rate: [self.went_on(rate, seed) for seed in TUNING_WORLDS] for rate in SGD_RATES}
        every = [one for row in (*rows.values(), *rates.values()) for one in row]
        wait_for(*searches.values(), *every)
        without = lambda told: {key: value for key, value in told.items() if key != "weights"}
        chosen = {
            name: {
                "best": asdict(found["best"]) if name in care.LEARNED else dict(found["best"]),
                "rounds": found["rounds"], "at an edge": found["edge"],
            }
            for name, found in searches.items()
        }  # fmt: skip
        return {
            "search": chosen,
            "SGD": {str(rate): [one["score"] for one in row] for rate, row in rates.items()},
            "worlds": {name: [without(one) for one in row] for name, row in rows.items()},
        }


def _told(rounds: Sequence[dict], beyond: Callable, as_dict: Callable) -> dict:
    best = care.best_of(rounds[-1], 1)[0]
    told = [[[as_dict(one), score] for one, score in scores.items()] for scores in rounds]
    return {"best": best, "rounds": told, "edge": beyond(best) != []}


def report(figures: dict) -> None:
    """Print what was found."""
    for name, row in figures["worlds"].items():
        ndcg, clicks = (mean(one[how] for one in row) for how in race.MEASURES)
        print(f"{name}: NDCG {ndcg:.4f}, clicks {clicks:.4f} of the learnable")
    for name, found in figures["search"].items():
        print(f"{name}: {found['best']}{', at an edge' if found['at an edge'] else ''}")
