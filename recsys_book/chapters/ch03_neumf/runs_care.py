"""The honest table on the NCF split: eight models with equal care.

MF, GMF, MLP and NeuMF have the same 24 draws from one box (`care`), by successive halving: all for
two epochs, six for five, two for as long as validation asks. NeuMF pre-trained has GMF and MLP as
they were chosen, and 24 draws of alpha and of the rate of plain SGD. iALS, EASE and ItemKNN have 24
draws each from boxes of their own. Where the best lies at an edge of its box, the search goes on
beyond. Everything is chosen on the validation item, by NDCG@10; models are trained anew on training
and validation pairs, and the test item is looked for. Everything tried is in the record.

"MF, untuned" is one training at PyTorch's own default rate of Adam with NeuMF's usual 32 factors:
what a comparison looks like in which nobody took care of the rival.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch

from recsys_book.chapters.ch03_neumf import care, contest
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.data import load
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.machine import keep_freed_memory
from recsys_book.models.baselines import Popularity
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.train import NotFinite

NAME = "ch03/care"
SEEDS = (0, 1, 2)
BOX = care.ON_MOVIELENS
DRAWS, DRAW_SEED = 24, 20_170_403
FIRST, SECOND = (2, 6), (5, 2)  # epochs, and how many draws go on after them
MAX_EPOCHS, PATIENCE = 60, 3
STEPS_BEYOND = 4  # outside the box, at most
SGD_EPOCHS = (2, 10)  # of every draw, and at most of the best four
BROKE_DOWN = -1.0  # the score of a training whose numbers are no longer finite
UNTUNED = Draw(32, 32, 0.001, 0.0, 4, 256, 1.0)


class Work(Pieces):
    """The run: searches, and what they chose trained anew and tested."""

    @cached_property
    def split(self) -> NCFSplit:
        """The paper's."""
        return prepare()

    @cached_property
    def judge(self) -> contest.Judge:
        """Of the split."""
        return contest.make_judge(self.split)

    # ------------------------------------------------------------ models that learn by gradient

    @piece
    def tried(self, name: str, draw: Draw, epochs: int, patience: int | None) -> list[float]:
        """The best NDCG@10 on validation within so many epochs, and after how many."""
        try:
            _, history = care.train(
                name, self.split.train, draw, 0, epochs, validate=self.judge.validation,
                patience=patience,
            )  # fmt: skip
        except NotFinite:
            return [BROKE_DOWN, 0]
        return [history.best_score, history.best_epoch + 1]

    @piece
    def search(self, name: str) -> dict:
        """The best draw: "best" with its "epochs" and "score", and every rung of the halving."""
        at_work, rungs = BOX.draws(DRAWS, DRAW_SEED), []
        for epochs, go_on in (FIRST, SECOND):
            found = {draw: self.tried(name, draw, epochs, None) for draw in at_work}
            wait_for(*found.values())
            scores = {draw: float(score) for draw, (score, _) in found.items()}
            rungs.append([asdict(draw) | {"score": scores[draw]} for draw in at_work])
            at_work = list(care.best_of(scores, go_on))
        ended = {draw: self.tried(name, draw, MAX_EPOCHS, PATIENCE) for draw in at_work}
        wait_for(*ended.values())
        [best] = care.best_of({draw: found[0] for draw, found in ended.items()}, 1)
        for _ in range(STEPS_BEYOND):
            outside = {
                draw: self.tried(name, draw, MAX_EPOCHS, PATIENCE)
                for draw in BOX.beyond(name, best)
                if draw not in ended
            }
            wait_for(*outside.values())
            ended |= outside
            [after] = care.best_of({draw: found[0] for draw, found in ended.items()}, 1)
            if after == best:
                break
            best = after
        score, epochs = ended[best]
        rungs.append([asdict(d) | {"score": f[0], "epochs": f[1]} for d, f in ended.items()])
        return {"best": asdict(best), "score": score, "epochs": int(epochs), "tried": rungs}

    @piece
    def learned(self, name: str, seed: int) -> dict:
        """What was chosen, trained anew on everything, and tested; weights are kept."""
        chosen = self.search(name)
        draw, log = Draw(**chosen["best"]), self.split.train_and_validation
        model, history = care.train(name, log, draw, seed, chosen["epochs"])
        self.store.keep(("weights", "refit", name, seed), model.state_dict)
        return self._tested(model, sum(history.seconds))

    @piece
    def alone(self, name: str, seed: int) -> bool:
        """GMF or MLP as chosen, without the validation pairs; the weights are kept."""
        chosen = self.search(name)
        draw = Draw(**chosen["best"])
        model, _ = care.train(name, self.split.train, draw, seed, chosen["epochs"])
        self.store.keep(("weights", "alone", name, seed), model.state_dict)
        return True

    @piece
    def untuned(self, seed: int) -> dict:
        """MF that nobody took care of; only its epoch is chosen."""
        _, epochs = self.tried("MF", UNTUNED, MAX_EPOCHS, PATIENCE)
        log = self.split.train_and_validation
        model, history = care.train("MF", log, UNTUNED, seed, int(epochs))
        return self._tested(model, sum(history.seconds)) | {"epochs": int(epochs)}

    # ------------------------------------------------------------ fused

    def _fused(self, which: str, alpha: float, seed: int) -> torch.nn.Module:
        parts = [
            (Draw(**self.search(name)["best"]), self.store["weights", which, name, seed])
            for name in ("GMF", "MLP")
        ]
        return care.fuse(*parts, self.split.train, alpha)

    @piece
    def fused_tried(self, alpha: float, lr: float, epochs: int) -> list[float]:
        """The best NDCG@10 on validation, and after how many epochs of SGD; 0 is the start."""
        wait_for(*(self.alone(name, 0) for name in ("GMF", "MLP")))
        model = self._fused("alone", alpha, 0)
        try:
            found = contest.choose_sgd(
                self.judge, model, lr=lr, batch_size=1_024, epochs=epochs, seed=0, patience=2
            )
        except NotFinite:
            return [BROKE_DOWN, 0]
        return [max(found.validation), found.epochs]

    @piece
    def fused_search(self) -> dict:
        """The best of so many draws of alpha and the rate."""
        random = np.random.RandomState(DRAW_SEED)
        pairs = [
            (round(float(random.uniform(0, 1)), 2), float(f"{10 ** random.uniform(-3, 0.5):.2g}"))
            for _ in range(DRAWS)
        ]
        begun = {pair: self.fused_tried(*pair, SGD_EPOCHS[0]) for pair in pairs}
        wait_for(*begun.values())
        best = care.best_of({pair: found[0] for pair, found in begun.items()}, 4)
        ended = {pair: self.fused_tried(*pair, SGD_EPOCHS[1]) for pair in best}
        wait_for(*ended.values())
        [(alpha, lr)] = care.best_of({pair: found[0] for pair, found in ended.items()}, 1)
        rungs = [
            [{"alpha": a, "lr": r, "score": f[0], "epochs": f[1]} for (a, r), f in found.items()]
            for found in (begun, ended)
        ]
        score, epochs = ended[alpha, lr]
        best_of_all = {"alpha": alpha, "lr": lr}
        return {"best": best_of_all, "score": score, "epochs": int(epochs), "tried": rungs}

    @piece
    def fused(self, seed: int) -> dict:
        """NeuMF of both halves as chosen, trained on by SGD, and tested."""
        chosen = self.fused_search()
        wait_for(chosen, *(self.learned(name, seed) for name in ("GMF", "MLP")))
        model, seconds = self._fused("refit", chosen["best"]["alpha"], seed), 0.0
        if chosen["epochs"]:
            history = contest.sgd(
                model, self.split.train_and_validation, lr=chosen["best"]["lr"],
                batch_size=1_024, epochs=chosen["epochs"], seed=seed,
            )  # fmt: skip
            seconds = sum(history.seconds)
        return self._tested(model.eval(), seconds)

    # ------------------------------------------------------------ counts and closed forms

    @piece
    def closed_tried(self, name: str, options: tuple) -> float:
        """NDCG@10 on validation."""
        model = care.CLOSED[name][0](self.split.train, **dict(options))
        return self.judge.validation(model)

    @piece
    def closed_search(self, name: str) -> dict:
        """The best draw, and everything tried."""
        found = {tuple(draw.items()) for draw in care.closed_draws(name, DRAWS, DRAW_SEED)}
        tried = {options: self.closed_tried(name, options) for options in sorted(found)}
        wait_for(*tried.values())
        [best] = care.best_of(tried, 1)
        for _ in range(STEPS_BEYOND):
            moved = [tuple(draw.items()) for draw in care.closed_beyond(name, dict(best))]
            outside = {
                options: self.closed_tried(name, options)
                for options in moved
                if options not in tried
            }
            wait_for(*outside.values())
            tried |= outside
            [after] = care.best_of(tried, 1)
            if after == best:
                break
            best = after
        told = [dict(options) | {"score": score} for options, score in tried.items()]
        return {"best": dict(best), "score": tried[best], "tried": [told]}

    @piece
    def closed(self, name: str, seed: int) -> dict:
        """What was chosen, solved with everything, and tested."""
        best = dict(self.closed_search(name)["best"])
        more = {"seed": seed} if name == "IALS" else {}
        return self._tested(
            care.CLOSED[name][0](self.split.train_and_validation, **best, **more), math.nan
        )

    @piece
    def popularity(self) -> dict:
        """The list of the most watched."""
        return self._tested(Popularity(self.split.train_and_validation), math.nan)

    def _tested(self, model: Any, seconds: float) -> dict:
        found = {"test": self.judge.test(model), "places": self.judge.places(model)}
        return found if math.isnan(seconds) else found | {"seconds": seconds}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        runs = {"Popularity": [self.popularity()]}
        for name in care.CLOSED:
            seeds = SEEDS if name == "IALS" else SEEDS[:1]
            runs[name] = [self.closed(name, seed) for seed in seeds]
        for name in care.LEARNED:
            runs[name] = [self.learned(name, seed) for seed in SEEDS]
        runs["NeuMF-pre"] = [self.fused(seed) for seed in SEEDS]
        runs["MF, untuned"] = [self.untuned(seed) for seed in SEEDS]
        searches = {name: self.closed_search(name) for name in care.CLOSED}
        searches |= {name: self.search(name) for name in care.LEARNED}
        searches["NeuMF-pre"] = self.fused_search()
        return {"runs": runs, "searches": searches, "untuned": asdict(UNTUNED)}


def prepare() -> NCFSplit:
    """The split, and the process set for speed."""
    torch.set_flush_denormal(True)
    keep_freed_memory()
    return load("ncf-ml-1m")


def ready() -> None:
    """What is missing is told before processes start."""
    print(prepare())


def settings() -> dict:
    """What decides the figures besides the code."""
    return {
        "draws": (DRAWS, DRAW_SEED), "halving": (FIRST, SECOND, MAX_EPOCHS, PATIENCE),
        "box": asdict(BOX), "sgd": SGD_EPOCHS, "seeds": SEEDS,
    }  # fmt: skip


def report(figures: dict) -> None:
    """Print what was found."""
    for name, found in figures["runs"].items():
        pairs = ", ".join(f"{row['test'][0]:.4f}/{row['test'][1]:.4f}" for row in found)
        print(f"{name}: {pairs}  {figures['searches'].get(name, {}).get('best', '')}")
