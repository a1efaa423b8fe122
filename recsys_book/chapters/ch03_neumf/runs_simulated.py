"""Chapter 03 on the simulated service: who wins, depth, negatives, alpha, the amount of data.

Settings are chosen in worlds 100 to 102, which no figure comes from. Every model that learns by
gradient descent tries the same 24 settings in the first, drawn at random from one box; the best
four are tried in the other two as well, and the mean decides: a setting that was lucky once, or
trains well in one world and collapses in the next, is no good one. Closed forms have fewer knobs
and no luck: ten settings, one knob at a time. Figures come from worlds 0 to 4. The amount of data
is changed on worlds of 112 days instead of 28, of whose clicks a random share is kept; there every
amount has settings of its own, chosen in the same way from the first twelve draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from recsys_book.chapters.ch03_neumf import race
from recsys_book.chapters.ch03_neumf import simulated as lab
from recsys_book.chapters.ch03_neumf.lab import ALPHAS, Setting, hill_climb, score_of
from recsys_book.chapters.ch03_neumf.runs_paper import times
from recsys_book.models.baselines import EASE, IALS, ItemKNN
from recsys_book.reproduce import Pieces, piece
from recsys_book.service import simulate
from recsys_book.service.judge import Judge, judge_world

NAME = "ch03/simulated"
SEEDS, TUNING_WORLDS = (0, 1, 2, 3, 4), (100, 101, 102)
DRAWS, FINALISTS, BUDGET = 24, 4, 10
LEARNED = ("MF", "GMF", "MLP", "NeuMF")
CLOSED = {"ItemKNN": ItemKNN, "EASE": EASE, "IALS": IALS}
CLOSED_START = {
    "ItemKNN": {"k": 100, "shrinkage": 10.0},
    "EASE": {"l2": 100.0},
    "IALS": {"dim": 16, "l2": 0.02, "unobserved_weight": 0.2},
}
NEGATIVES, MORE_SEEDS = (1, 2, 3, 4, 6, 8, 10), (0, 1, 2)
SHARES, DAYS, AMOUNT_DRAWS = (1 / 27, 1 / 9, 1 / 3, 1.0), 112, 12
AMOUNT_MODELS = ("MF", "NeuMF", "EASE")


def try_draws(judge: Judge, name: str, n: int) -> list[float]:
    """The validation score of the first n drawn settings, in their order."""
    return [lab.validation_score(judge, name, setting) for setting in lab.draw_settings(n)]


def choose_of_finalists(judges: Sequence[Judge], name: str, tried: Sequence[float]) -> dict:
    """The best of a learned model's settings over several worlds.

    Args:
        judges: of the other worlds.
        name: of the model.
        tried: scores of the drawn settings in the first world.

    Returns:
        "best", the setting, and "finals", draw → its scores in every world.
    """
    settings = lab.draw_settings(len(tried))
    places = sorted(range(len(tried)), key=lambda i: -tried[i])[:FINALISTS]
    finals = {
        str(i): [tried[i], *(lab.validation_score(judge, name, settings[i]) for judge in judges)]
        for i in places
    }
    best = max(places, key=lambda i: sum(finals[str(i)]))
    return {"best": asdict(settings[best]), "finals": finals}


def choose_closed(judge: Judge, name: str, budget: int = BUDGET) -> dict:
    """The best of so many settings of a closed form."""
    knobs = CLOSED_START[name]

    every = [times(knob, factor) for knob in knobs for factor in (2, 0.5)]
    score = lambda items: judge.validate(CLOSED[name](judge.train, **dict(items)))
    return dict(hill_climb(score, tuple(knobs.items()), every, budget)[0])


def compare(judge: Judge, settings: dict, sgd: float, seed: int) -> dict:
    """Every model once in one world: shares of the learnable, epochs, and alpha."""
    found = {"share": {}, "epochs": {}, "alpha": {}}
    for name in CLOSED:
        found["share"][name] = lab.learnable(judge, CLOSED[name](judge.refit, **settings[name]))
    parts = {}
    for name in LEARNED:
        setting = Setting(**settings[name])
        result = lab.train_and_test(judge, lab.maker(name, setting, seed), setting, seed)
        parts[name] = result["parts"]
        for what in ("share", "epochs"):
            found[what][name] = result[what]
    for alpha in ALPHAS:
        fused = lab.fuse_and_test(judge, parts["GMF"], parts["MLP"], lr=sgd, seed=seed, alpha=alpha)
        found["alpha"][str(alpha)] = [fused["start"], fused["share"], fused["epochs"]]
    found["share"]["NeuMF-pre"] = found["alpha"]["0.5"][1]
    return found


def choose_sgd(judge: Judge, settings: dict) -> float:
    """SGD's learning rate after pre-training."""
    parts = {
        name: lab.choose_epochs(
            judge, lab.maker(name, Setting(**settings[name]), 0), Setting(**settings[name]), 0
        )[0]
        for name in ("GMF", "MLP")
    }

    def score(lr: float) -> float:
        model = lab.NeuMF.from_pretrained(parts["GMF"], parts["MLP"])
        more = {"epochs": lab.SGD_EPOCHS, "seed": 0, "batch_size": lab.BATCH, "amp": False}
        more["validate"] = judge.validate
        return score_of(lambda: lab.fine_tune(model, judge.train, lr=lr, **more))

    return hill_climb(score, 0.25, [lambda lr: lr / 4, lambda lr: lr * 4], BUDGET)[0]


def choose_by_depth(judge: Judge, places: Sequence[int]) -> dict[str, dict]:
    """For each depth of the tower, the best of the settings that were best for the MLP: what suits
    three layers need not suit one or four.

    Args:
        judge: of a world that no figure comes from.
        places: of these settings among the draws.
    """
    draws, best = lab.draw_settings(DRAWS), {}
    for depth in range(5):
        scored = []
        for place in places:
            setting = draws[place]
            make = lab.deep_maker(race.depths(setting.factors)[depth], setting.factors, 0)
            scored.append((lab.choose_epochs(judge, make, setting, 0)[1].best_score, place))
        best[str(depth)] = asdict(draws[max(scored)[1]])
    return best


def depth_and_negatives(judge: Judge, by_depth: dict, settings: dict, seed: int) -> dict:
    """The tower's depth, each at its own setting; negatives a positive at NeuMF's and MF's."""
    depth, negatives = {}, {}
    for key, knobs in by_depth.items():
        setting = Setting(**knobs)
        make = lab.deep_maker(race.depths(setting.factors)[int(key)], setting.factors, seed)
        depth[key] = lab.train_and_test(judge, make, setting, seed)["share"]
    for name in ("MF", "NeuMF"):
        for n in NEGATIVES:
            setting = replace(Setting(**settings[name]), n_negatives=n)
            result = lab.train_and_test(judge, lab.maker(name, setting, seed), setting, seed)
            negatives[f"{name}/{n}"] = result["share"]
    return {"depth": depth, "negatives": negatives}


def amount(name: str, share: float) -> dict:
    """One model on one amount of data, with settings chosen for it."""
    first, *others = TUNING_WORLDS
    tuning = lambda seed: race.course_of_share(simulate(seed=seed, days=DAYS), share).judge
    if name in CLOSED:
        knobs = choose_closed(tuning(first), name)
    else:
        tried = try_draws(tuning(first), name, AMOUNT_DRAWS)
        knobs = choose_of_finalists([tuning(seed) for seed in others], name, tried)["best"]
    found = {"setting": knobs, "clicks": [], "share": []}
    for seed in SEEDS:
        judge = race.course_of_share(simulate(seed=seed, days=DAYS), share).judge
        if name in CLOSED:
            score = lab.learnable(judge, CLOSED[name](judge.refit, **knobs))
        else:
            setting = Setting(**knobs)
            make = lab.maker(name, setting, seed)
            score = lab.train_and_test(judge, make, setting, seed)["share"]
        found["clicks"].append(len(judge.refit))
        found["share"].append(score)
    return found


class Work(Pieces):
    """The run: settings, five worlds, depth and negatives, the amount of data."""

    @piece
    def tried(self, name: str) -> list[float]:
        """Every drawn setting of a learned model, in the first of the worlds kept for that."""
        judge = lambda: judge_world(simulate(seed=TUNING_WORLDS[0]))
        return try_draws(judge(), name, DRAWS)

    @piece
    def choose(self, name: str) -> dict:
        """A model's setting."""
        if name in LEARNED:
            return self.finalists(name)["best"]
        return choose_closed(judge_world(simulate(seed=TUNING_WORLDS[0])), name)

    @piece
    def finalists(self, name: str) -> dict:
        """Which of the drawn settings is the best over the worlds kept for that."""
        tried = list(self.tried(name))
        others = [judge_world(simulate(seed=seed)) for seed in TUNING_WORLDS[1:]]
        return choose_of_finalists(others, name, tried)

    def settings(self) -> dict[str, dict]:
        """Of every model."""
        return {name: self.choose(name) for name in (*LEARNED, *CLOSED)}

    @piece
    def sgd(self) -> float:
        """SGD's learning rate after pre-training."""
        judge = lambda: judge_world(simulate(seed=TUNING_WORLDS[0]))
        return choose_sgd(judge(), self.settings())

    @piece
    def world(self, seed: int) -> dict:
        """Every model in one world."""
        return compare(judge_world(simulate(seed=seed)), self.settings(), self.sgd(), seed)

    @piece
    def by_depth(self) -> dict[str, dict]:
        """A setting for each depth of the tower."""
        finals = self.finalists("MLP")["finals"]
        judge = judge_world(simulate(seed=TUNING_WORLDS[0]))
        return choose_by_depth(judge, [int(place) for place in finals])

    @piece
    def more(self, seed: int) -> dict:
        """Depth and negatives in one world."""
        judge = judge_world(simulate(seed=seed))
        return depth_and_negatives(judge, self.by_depth(), self.settings(), seed)

    @piece
    def amount(self, name: str, share: float) -> dict:
        """See `amount`."""
        return amount(name, share)

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        return {
            "settings": self.settings(),
            "sgd": self.sgd(),
            "worlds": [self.world(seed) for seed in SEEDS],
            "by_depth": self.by_depth(),
            "more": [self.more(seed) for seed in MORE_SEEDS],
            "amounts": {
                name: {f"{share:.4f}": self.amount(name, share) for share in SHARES}
                for name in AMOUNT_MODELS
            },
        }


def report(figures: dict) -> None:
    """Print what was found."""
    for row in figures["worlds"]:
        print(row["share"])
    for name, rows in figures["amounts"].items():
        print(name, {share: row["share"] for share, row in rows.items()})
