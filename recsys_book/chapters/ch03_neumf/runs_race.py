"""Chapter 03 on the simulated service: who ranks better with equal care, in ten worlds.

Settings are chosen in worlds 100 to 102, which no figure comes from, by NDCG@10 on validation. MF,
GMF, MLP and NeuMF have the same 24 draws from one box; all are tried in the first world, the best
six in the other two as well, and the mean decides. ItemKNN, EASE and iALS have 24 draws each in all
three. NeuMF pre-trained has GMF and MLP as they were chosen, and 24 draws of alpha and of SGD's
rate. Where the best lies at an edge of its box, the search goes on beyond. Everything tried is in
the record. Figures come from worlds 0 to 9; those of the tower's depth, of the number of negatives
and of the amount of data from the first five, the amount being changed on worlds of 112 days, of
whose clicks a random share is kept. There every depth and every amount has settings of its own, of
the first 12 draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import torch

from recsys_book.chapters.ch03_neumf import care, race
from recsys_book.chapters.ch03_neumf.care import CLOSED, LEARNED, Draw
from recsys_book.chapters.ch03_neumf.race import Course
from recsys_book.machine import keep_freed_memory
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.service import simulate
from recsys_book.train import NotFinite

NAME = "ch03/race"
SEEDS, TUNING = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (100, 101, 102)
FEW = SEEDS[:5]  # worlds of the side questions
BOX = race.ON_CLICKS
DRAWS, DRAW_SEED, FINALISTS = 24, 20_170_403, 6
FEWER_DRAWS, FEWER_FINALISTS = 12, 3
MAX_EPOCHS, PATIENCE = 40, 5
SGD_EPOCHS, SGD_PATIENCE = 10, 2
STEPS_BEYOND = 4  # outside the box, at most
BROKE_DOWN = -1.0  # the score of a training whose numbers are no longer finite
NEGATIVES = (1, 2, 4, 8, 16, 32)
DEPTHS = (0, 1, 2, 3, 4)
DAYS, AMOUNTS = 112, (1 / 27, 1 / 9, 1 / 3, 1.0)
SIZE: dict = {}  # of the worlds, for tests


@lru_cache(maxsize=2)
def course_of(seed: int) -> Course:
    """A world of 28 days."""
    return race.course(simulate(seed=seed, **SIZE))


@lru_cache(maxsize=2)
def course_of_amount(seed: int, share: float) -> Course:
    """A share of the clicks of a world of 112 days."""
    return race.course_of_share(simulate(seed=seed, days=DAYS, **SIZE), share)


class Work(Pieces):
    """The run: searches, ten worlds, and the side questions."""

    # ------------------------------------------------------------ choosing

    @piece
    def tried(self, name: str, draw: Draw, world: int, amount: float | None) -> list[float]:
        """NDCG@10 on validation under a draw, and after how many epochs."""
        judge = _course(world, amount).judge
        try:
            return list(race.choose(judge, name, draw, 0, MAX_EPOCHS, PATIENCE)[1:])
        except NotFinite:
            return [BROKE_DOWN, 0]

    @piece
    def search(self, name: str, n: int, finalists: int, amount: float | None) -> dict:
        """The best of the first n draws: "best", and everything tried, a score a world."""
        draws = BOX.draws(n, DRAW_SEED)
        first = {draw: self.tried(name, draw, TUNING[0], amount) for draw in draws}
        wait_for(*first.values())
        going_on = care.best_of({draw: found[0] for draw, found in first.items()}, finalists)
        finals = dict(zip(going_on, self._in_all(name, going_on, amount), strict=True))
        best = race.climb_out(
            race.best_mean(finals), finals, lambda draw: BOX.beyond(name.partition(", ")[0], draw),
            lambda new: self._in_all(name, new, amount), STEPS_BEYOND,
        )  # fmt: skip
        tried = [asdict(draw) | {"scores": finals.get(draw, [first[draw][0]])} for draw in draws]
        tried += [asdict(draw) | {"scores": s} for draw, s in finals.items() if draw not in first]
        return {"best": asdict(best), "tried": tried}

    def _in_all(self, name: str, draws: Sequence[Draw], amount: float | None) -> list[list[float]]:
        found = [[self.tried(name, draw, world, amount) for world in TUNING] for draw in draws]
        wait_for(*(one for row in found for one in row))
        return [[one[0] for one in row] for row in found]

    @piece
    def closed_tried(self, name: str, options: tuple, world: int, amount: float | None) -> float:
        """NDCG@10 on validation of a model that is solved or counted."""
        judge = _course(world, amount).judge
        return judge.validate(CLOSED[name][0](judge.train, **dict(options)))

    @piece
    def closed_search(self, name: str, amount: float | None) -> dict:
        """The best of 24 draws over the three worlds, and everything tried."""
        drawn = {tuple(one.items()) for one in care.closed_draws(name, DRAWS, DRAW_SEED)}
        options = sorted(drawn)

        def score(new: Sequence[tuple]) -> list[list[float]]:
            rows = [[self.closed_tried(name, one, w, amount) for w in TUNING] for one in new]
            wait_for(*(one for row in rows for one in row))
            return rows

        known = dict(zip(options, score(options), strict=True))
        outside = lambda one: [tuple(o.items()) for o in care.closed_beyond(name, dict(one))]
        best = race.climb_out(race.best_mean(known), known, outside, score, STEPS_BEYOND)
        tried = [dict(one) | {"scores": scores} for one, scores in known.items()]
        return {"best": dict(best), "tried": tried}

    def _draw(self, name: str) -> Draw:
        return Draw(**self.search(name, DRAWS, FINALISTS, None)["best"])

    # ------------------------------------------------------------ NeuMF pre-trained

    @piece
    def half(self, name: str, world: int) -> int:
        """GMF or MLP without what is held out; the weights are kept, and the epochs told."""
        draw = self._draw(name)
        model, _, epochs = race.choose(_course(world).judge, name, draw, 0, MAX_EPOCHS, PATIENCE)
        self.store.keep(("weights", "half", name, world), model.state_dict)
        return epochs

    def _fused(self, which: str, alpha: float, world: int) -> torch.nn.Module:
        halves = [
            (self._draw(name), self.store["weights", which, name, world]) for name in ("GMF", "MLP")
        ]
        return race.fuse(halves, _course(world).judge.train, alpha)

    @piece
    def fused_tried(self, alpha: float, lr: float, world: int) -> list[float]:
        """NDCG@10 on validation, and after how many epochs of SGD; 0 is the start."""
        wait_for(*(self.half(name, world) for name in ("GMF", "MLP")))
        model, judge = self._fused("half", alpha, world), _course(world).judge
        try:
            return list(race.choose_sgd(judge, model, lr, 0, SGD_EPOCHS, SGD_PATIENCE))
        except NotFinite:
            return [BROKE_DOWN, 0]

    @piece
    def fused_search(self) -> dict:
        """The best of 24 draws of alpha and the rate of SGD."""
        random = np.random.RandomState(DRAW_SEED)
        pairs = [
            (round(float(random.uniform(0, 1)), 2), float(f"{10 ** random.uniform(-3, 0.5):.2g}"))
            for _ in range(DRAWS)
        ]
        first = {pair: self.fused_tried(*pair, TUNING[0]) for pair in pairs}
        wait_for(*first.values())
        leading = care.best_of({pair: found[0] for pair, found in first.items()}, FINALISTS)
        finals = {pair: [self.fused_tried(*pair, world) for world in TUNING] for pair in leading}
        wait_for(*(one for row in finals.values() for one in row))
        scores = {pair: [one[0] for one in row] for pair, row in finals.items()}
        alpha, lr = race.best_mean(scores)
        tried = [
            {"alpha": a, "lr": r, "scores": scores.get((a, r), [found[0]])}
            for (a, r), found in first.items()
        ]
        return {"best": {"alpha": alpha, "lr": lr}, "tried": tried}

    @piece
    def fused(self, seed: int) -> dict:
        """In a world that figures come from."""
        chosen = self.fused_search()["best"]
        halves = [self.half(name, seed) for name in ("GMF", "MLP")]
        wait_for(*halves, *(self.tested(name, seed) for name in ("GMF", "MLP")))
        course = _course(seed)
        model = self._fused("half", chosen["alpha"], seed)
        _, epochs = race.choose_sgd(
            course.judge, model, chosen["lr"], seed, SGD_EPOCHS, SGD_PATIENCE
        )
        model = self._fused("refit", chosen["alpha"], seed)
        if epochs:
            race.go_on(model, course.judge.refit, chosen["lr"], seed, epochs)
        return course.shares(model.eval()) | {"epochs": epochs}

    # ------------------------------------------------------------ the worlds of the figures

    @piece
    def tested(self, name: str, seed: int) -> dict:
        """A model as chosen: its epochs by validation, fitted anew, tested; halves are kept."""
        found, model = _tested(name, self._draw(name), seed, _course(seed))
        if name in ("GMF", "MLP"):
            self.store.keep(("weights", "refit", name, seed), model.state_dict)
        return found

    @piece
    def closed(self, name: str, seed: int) -> dict:
        """What was chosen, solved with everything, and tested."""
        course, best = _course(seed), dict(self.closed_search(name, None)["best"])
        more = {"seed": seed} if name == "IALS" else {}
        return course.shares(CLOSED[name][0](course.judge.refit, **best, **more))

    # ------------------------------------------------------------ side questions

    @piece
    def negatives(self, name: str, n: int, seed: int) -> dict:
        """With another number of negatives, all else as chosen."""
        draw = replace(self._draw(name), n_negatives=n)
        return _tested(name, draw, seed, _course(seed))[0]

    @piece
    def depth(self, layers: int, seed: int) -> dict:
        """An MLP with so many hidden layers."""
        name = _deep(layers)
        draw = Draw(**self.search(name, FEWER_DRAWS, FEWER_FINALISTS, None)["best"])
        return _tested(name, draw, seed, _course(seed))[0]

    @piece
    def amount(self, name: str, share: float, seed: int) -> dict:
        """With a share of the clicks of 112 days."""
        if name in CLOSED:
            best = self.closed_search(name, share)["best"]
        else:
            best = self.search(name, FEWER_DRAWS, FEWER_FINALISTS, share)["best"]
        course = _course(seed, share)
        clicks = {"clicks in the log": len(course.judge.refit)}
        if name in CLOSED:
            return course.shares(CLOSED[name][0](course.judge.refit, **best)) | clicks
        return _tested(name, Draw(**best), seed, course)[0] | clicks

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        worlds = {name: [self.closed(name, seed) for seed in SEEDS] for name in CLOSED}
        worlds |= {name: [self.tested(name, seed) for seed in SEEDS] for name in LEARNED}
        worlds["NeuMF-pre"] = [self.fused(seed) for seed in SEEDS]
        searches = {name: self.closed_search(name, None) for name in CLOSED}
        searches |= {name: self.search(name, DRAWS, FINALISTS, None) for name in LEARNED}
        searches["NeuMF-pre"] = self.fused_search()
        negatives = {
            name: {str(n): [self.negatives(name, n, seed) for seed in FEW] for n in NEGATIVES}
            for name in ("MF", "NeuMF")
        }
        depth = {str(n): [self.depth(n, seed) for seed in FEW] for n in DEPTHS}
        amounts = {
            name: {
                f"{share:.4f}": [self.amount(name, share, seed) for seed in FEW]
                for share in AMOUNTS
            }
            for name in ("MF", "NeuMF", "EASE")
        }
        searches |= {
            f"MLP, {n} layers": self.search(_deep(n), FEWER_DRAWS, FEWER_FINALISTS, None)
            for n in DEPTHS
        }
        for share in AMOUNTS:
            for name in ("MF", "NeuMF"):
                found = self.search(name, FEWER_DRAWS, FEWER_FINALISTS, share)
                searches[f"{name}, {share:.4f} of the clicks"] = found
            searches[f"EASE, {share:.4f} of the clicks"] = self.closed_search("EASE", share)
        return {
            "worlds": worlds, "searches": searches, "negatives": negatives, "depth": depth,
            "amounts": amounts,
        }  # fmt: skip


def _course(seed: int, amount: float | None = None) -> Course:
    torch.set_flush_denormal(True)
    keep_freed_memory()
    return course_of(seed) if amount is None else course_of_amount(seed, amount)


def _deep(layers: int) -> str:
    return f"MLP, {layers} layers"


def _tested(name: str, draw: Draw, seed: int, course: Course) -> tuple[dict, torch.nn.Module]:
    _, score, epochs = race.choose(course.judge, name, draw, seed, MAX_EPOCHS, PATIENCE)
    model, _ = race.fit(name, course.judge.refit, draw, seed, epochs)
    return course.shares(model) | {"epochs": epochs, "validation": score}, model


def settings() -> dict:
    """What decides the figures besides the code."""
    return {
        "draws": (DRAWS, DRAW_SEED, FINALISTS, FEWER_DRAWS, FEWER_FINALISTS), "box": asdict(BOX),
        "epochs": (MAX_EPOCHS, PATIENCE, SGD_EPOCHS, SGD_PATIENCE), "worlds": (SEEDS, TUNING),
        "side questions": (NEGATIVES, DEPTHS, DAYS, AMOUNTS), "steps beyond": STEPS_BEYOND,
    }  # fmt: skip


def report(figures: dict) -> None:
    """Print what was found."""
    for name, rows in figures["worlds"].items():
        means = {how: np.mean([row[how] for row in rows]) for how in race.MEASURES}
        best = figures["searches"].get(name, {}).get("best", "")
        print(name, {how: round(float(mean), 3) for how, mean in means.items()}, best)
