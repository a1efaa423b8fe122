"""Equal care where the truth is known: every model draws its settings from one box.

Settings are chosen in worlds 100 to 102, which no figure comes from, by held-out clicks. Every
model that learns by gradient begins with the same settings, drawn from one box that holds the size:
all of them for few epochs in the first world, the better ones for more, and the best, in all three
worlds, until validation has not risen for four epochs; the mean decides. Models without gradients
have as many draws of their own knobs, the best of them tried in all three worlds. Where the best
lies at an edge of the box, the search goes on beyond it, three steps at most.

Then each model is fitted in other worlds: the number of epochs is chosen by held-out clicks of the
world, the model is fitted anew on everything before the test, and the oracle is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from statistics import mean
from typing import Any, ClassVar

from recsys_book.chapters.ch03_neumf import care, race
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.service import simulate

#: Five, and five more that are none of the closing leaderboard's.
SEEDS, TUNING_WORLDS = (*range(5), *range(10, 15)), (100, 101, 102)
DRAWN_WITH = 0  # seed of the draws
PATIENCE, STEPS = 4, 3
PARTS = ("GMF", "MLP")
SGD_RATES, SGD_EPOCHS, SGD_PATIENCE = (0.01, 0.03, 0.1, 0.3, 1.0), 12, 2
ALPHA = 0.5
#: Days of a world of whose clicks a share is kept.
DAYS = 112

#: Seed, and the share of the clicks that is kept; None where a world has four weeks and all clicks.
World = tuple[int, float | None]


@lru_cache(maxsize=4)
def course(world: World) -> race.Course:
    """One world to race in."""
    seed, share = world
    if share is None:
        return race.course(simulate(seed=seed))
    return race.course_of_share(simulate(seed=seed, days=DAYS), share)


class EqualRace(Pieces):
    """A run: search, then other worlds.

    Attributes:
        rounds: how many settings take part, and for how many epochs at most.
    """

    rounds: ClassVar[tuple[tuple[int, int], ...]] = ((24, 4), (8, 12), (4, 40))

    @property
    def longest(self) -> int:
        """Epochs of the last round, at most."""
        return self.rounds[-1][1]

    # ------------------------------------------------------------ choosing

    @piece
    def tried(self, name: str, setting: Draw | care.Options, world: World, epochs: int) -> dict:
        """A setting on the training part of a world's clicks, by NDCG@10 on those held out."""
        judge = course(world).judge
        if name in care.CLOSED:
            model = care.CLOSED[name][0](judge.train, **dict(setting))
            return {"score": judge.validate(model)}
        found = race.choose(judge, name, setting, world[0], epochs, PATIENCE)
        model, score, best = found
        weights = model.state_dict() if name in PARTS and epochs == self.longest else None
        return {"score": score, "epochs": best, "weights": weights}

    def _score(
        self, name: str, share: float | None, settings: Sequence, epochs: int
    ) -> dict[Any, float]:
        """Mean over the worlds kept for that in the last round, before in the first of them."""
        worlds = [(seed, share) for seed in TUNING_WORLDS]
        worlds = worlds if epochs == self.longest else worlds[:1]
        found = [[self.tried(name, one, world, epochs) for world in worlds] for one in settings]
        wait_for(*(one for row in found for one in row))
        means = [mean(one["score"] for one in row) for row in found]
        return dict(zip(settings, means, strict=True))

    @piece
    def search(self, name: str, share: float | None) -> dict:
        """Every round of halving, and what was tried beyond the box; the best."""
        n, score = self.rounds[0][0], partial(self._score, name, share)
        if name in care.CLOSED:  # there are no epochs to halve over
            draws, as_dict = care.closed_draws(name, n, DRAWN_WITH), dict
            beyond, rounds = partial(care.closed_beyond, name), (self.rounds[0], self.rounds[-1])
        else:
            draws, as_dict = race.ON_CLICKS.draws(n, DRAWN_WITH), asdict
            beyond, rounds = partial(race.ON_CLICKS.beyond, name), self.rounds
        found = care.halving(draws, rounds, score)
        found.append(care.climb_out(found[-1], beyond, partial(score, epochs=self.longest), STEPS))
        best = care.best_of(found[-1], 1)[0]
        told = [[[as_dict(one), score] for one, score in scores.items()] for scores in found]
        return {"best": best, "rounds": told, "at an edge": beyond(best) != []}

    # ------------------------------------------------------------ other worlds

    @piece
    def tested(self, name: str, world: World) -> dict:
        """The chosen setting in a world, fitted anew for as many epochs as its validation likes."""
        seed, share = world
        best = self.search(name, share)["best"]
        if name in care.CLOSED:
            log = course(world).judge.refit
            options = dict(best) | ({"seed": seed} if name == "IALS" else {})
            shares = course(world).shares(care.CLOSED[name][0](log, **options))
            return shares | {"n_clicks": len(log)}
        epochs = self.tried(name, best, world, self.longest)["epochs"]
        log = course(world).judge.refit
        model, _ = race.fit(name, log, best, seed, epochs)
        weights = model.state_dict() if name in PARTS else None
        told = {"n_clicks": len(log), "epochs": epochs, "weights": weights}
        return course(world).shares(model) | told

    # ------------------------------------------------------------ pre-training

    def _fused(self, world: World, which: str) -> Any:
        """Of the halves as they were chosen, "train", or as they were tested, "refit"."""
        bests = [self.search(part, world[1]) for part in PARTS]
        wait_for(*bests)
        settings = [found["best"] for found in bests]
        halves = [
            self.tried(part, setting, world, self.longest)
            if which == "train"
            else self.tested(part, world)
            for part, setting in zip(PARTS, settings, strict=True)
        ]
        wait_for(*halves)
        pairs = [(one, half["weights"]) for one, half in zip(settings, halves, strict=True)]
        return race.fuse(pairs, getattr(course(world).judge, which), ALPHA)

    @piece
    def went_on(self, rate: float, world: World) -> dict:
        """Fused, and on with SGD on the training part; 0 epochs where none betters the start."""
        model, judge = self._fused(world, "train"), course(world).judge
        score, epochs = race.choose_sgd(judge, model, rate, world[0], SGD_EPOCHS, SGD_PATIENCE)
        return {"score": score, "epochs": epochs}

    @piece
    def sgd_rate(self, share: float | None) -> float:
        """The best by validation over the worlds kept for that."""
        tried = {
            rate: [self.went_on(rate, (seed, share)) for seed in TUNING_WORLDS]
            for rate in SGD_RATES
        }
        wait_for(*(one for row in tried.values() for one in row))
        means = {rate: mean(one["score"] for one in row) for rate, row in tried.items()}
        return care.best_of(means, 1)[0]

    @piece
    def pretrained(self, world: World) -> dict:
        """NeuMF of the tested halves, on with SGD for as many epochs as were best."""
        seed, share = world
        rate = self.sgd_rate(share)
        wait_for(rate)
        epochs, model = self.went_on(rate, world)["epochs"], self._fused(world, "refit")
        start = course(world).shares(model)
        if epochs:
            race.go_on(model, course(world).judge.refit, rate, seed, epochs)
        return course(world).shares(model.eval()) | {"start": start, "epochs": epochs}


def told(found: Mapping) -> dict:
    """What a record holds of a search."""
    best = found["best"]
    return dict(found) | {"best": asdict(best) if isinstance(best, Draw) else dict(best)}


def without_weights(piece: Mapping) -> dict:
    """What a record holds of a model that was tested."""
    return {name: value for name, value in piece.items() if name != "weights"}
