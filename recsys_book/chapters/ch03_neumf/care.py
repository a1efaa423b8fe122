"""Chapter 03: equal care. Every model draws its settings from one box, and the box holds the size.

What is drawn is in `Draw`; a model uses the part that concerns it. All draws of a model begin, the
better ones go on, and the best of those are trained for as long as validation asks (successive
halving over epochs: Jamieson and Talwalkar, AISTATS 2016). Where the best draw has a knob at an
edge of the box, the search goes on beyond it, one step at a time, for as long as that helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from recsys_book.chapters.ch03_neumf import contest
from recsys_book.data.interactions import Interactions
from recsys_book.models.baselines import EASE, IALS, ItemKNN
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.train import History, seeded

LEARNED = ("MF", "GMF", "MLP", "NeuMF")
#: What a model has no use for, which no search of its own has to look beyond.
WITHOUT = {"MF": {"tower"}, "GMF": {"tower"}, "MLP": {"factors"}, "NeuMF": set()}
#: Ends that are none: there is no rate that rises with the epochs, and no fewer than one negative.
NATURAL = {("decay", 1), ("n_negatives", -1), ("weight_decay", -1)}


@dataclass(frozen=True)
class Draw:
    """One setting of a model that learns by gradient.

    Attributes:
        factors: length of the vectors of MF and GMF, of NeuMF's GMF among them.
        tower: width of the tower's last layer; its vectors are twice as long, as in the paper.
        lr: Adam's, in the first epoch.
        weight_decay: Adam's L2.
        n_negatives: per observed pair.
        batch_size: observed pairs a step.
        decay: the learning rate is multiplied by it after every epoch.
    """

    factors: int
    tower: int
    lr: float
    weight_decay: float
    n_negatives: int
    batch_size: int
    decay: float


@dataclass(frozen=True)
class Box:
    """Where settings are drawn from.

    Attributes:
        choices: knob of `Draw` → its values, from the lowest.
        ranges: knob → the two ends of a range that is drawn from evenly in its logarithm.
    """

    choices: Mapping[str, tuple]
    ranges: Mapping[str, tuple[float, float]]

    def draws(self, n: int, seed: int) -> list[Draw]:
        """n settings, the same for every model; the first of a longer list are a shorter one's."""
        random = np.random.RandomState(seed)
        found = []
        for _ in range(n):
            chosen = {knob: of[random.randint(len(of))] for knob, of in self.choices.items()}
            drawn = {
                name: float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.3g}")
                for name, (low, high) in self.ranges.items()
            }
            found.append(Draw(**chosen, **drawn))
        return found

    def beyond(self, name: str, draw: Draw) -> list[Draw]:
        """Settings one step outside, for every knob of a model that lies at an edge."""
        found = []
        for knob, ladder in self.choices.items():
            value = getattr(draw, knob)
            for way, edge, step in ((-1, ladder[0], 0.5), (1, ladder[-1], 2.0)):
                at_edge = value <= edge if way < 0 else value >= edge
                if at_edge and knob not in WITHOUT[name] and (knob, way) not in NATURAL:
                    moved = value - 0.1 if knob == "decay" else int(value * step)
                    found += [replace(draw, **{knob: moved})] if moved > 0 else []
        for knob, (low, high) in self.ranges.items():
            value = getattr(draw, knob)
            for way, near, step in ((-1, value < low * 1.5, 0.5), (1, value > high / 1.5, 2.0)):
                if near and (knob, way) not in NATURAL:
                    found.append(replace(draw, **{knob: value * step}))
        return found


#: On the NCF split, of a million pairs.
ON_MOVIELENS = Box(
    choices={
        "factors": (8, 16, 32, 64, 128, 256), "tower": (8, 16, 32, 64),
        "n_negatives": (1, 2, 4, 8, 16), "batch_size": (256, 1_024, 4_096),
        "decay": (0.7, 0.8, 0.9, 1.0),
    },
    ranges={"lr": (3e-4, 3e-2), "weight_decay": (1e-9, 1e-4)},
)  # fmt: skip


def make(name: str, log: Interactions, draw: Draw, seed: int) -> nn.Module:
    """MF with biases, GMF, MLP or NeuMF in the sizes of a draw."""
    u, n, w = log.n_users, log.n_items, draw.tower
    with seeded(seed):
        if name == "MF":
            return MatrixFactorization(u, n, draw.factors)
        if name == "GMF":
            return GMF(u, n, draw.factors)
        if name == "MLP":
            return NCFMLP(u, n, 2 * w, (4 * w, 2 * w, w))
        if name == "NeuMF":
            return NeuMF(u, n, draw.factors, 2 * w, (4 * w, 2 * w, w))
    raise ValueError(f"name is {name!r}; it must be one of {', '.join(LEARNED)}")


def train(
    name: str, log: Interactions, draw: Draw, seed: int, epochs: int, **more: Any
) -> tuple[nn.Module, History]:
    """A model under a draw; `more` is for `train_implicit`."""
    setting = contest.Setting(
        draw.factors, draw.lr, draw.batch_size, draw.n_negatives, draw.weight_decay, draw.decay
    )
    model = make(name, log, draw, seed)
    history = contest.adam(model, log, setting, seed, epochs, **more)
    return model.eval(), history


def fuse(gmf: tuple[Draw, dict], mlp: tuple[Draw, dict], log: Interactions, alpha: float) -> NeuMF:
    """NeuMF of a GMF and an MLP that were trained, each a draw and weights."""
    parts = []
    for name, (draw, weights) in (("GMF", gmf), ("MLP", mlp)):
        part = make(name, log, draw, 0)
        part.load_state_dict(weights)
        parts.append(part)
    return NeuMF.from_pretrained(*parts, alpha=alpha).eval()


# ---------------------------------------------------------------- models without gradients

#: name → how to build it, and the ends of its ranges; an int is drawn as an int.
CLOSED: dict[str, tuple[Callable, dict[str, tuple]]] = {
    "ItemKNN": (ItemKNN, {"k": (10, 1_000), "shrinkage": (0.1, 1_000.0), "damping": (0.0, 1.0)}),
    "EASE": (EASE, {"l2": (1.0, 100_000.0)}),
    "IALS": (
        IALS,
        {
            "dim": (16, 256), "unobserved_weight": (0.02, 2.0), "l2": (3e-4, 0.3),
            "frequency_exponent": (0.0, 1.0), "sweeps": (4, 24),
        },
    ),
}  # fmt: skip
#: Drawn evenly, not in the logarithm.
EVEN = ("damping", "frequency_exponent")


#: Knobs and values of a model that is solved or counted, in pairs: it can be a key.
Options = tuple[tuple[str, float], ...]


def closed_draws(name: str, n: int, seed: int) -> list[Options]:
    """n settings of a model that is solved or counted."""
    random = np.random.RandomState(seed)
    return [tuple(_closed_draw(CLOSED[name][1], random).items()) for _ in range(n)]


def _closed_draw(ranges: Mapping[str, tuple], random: np.random.RandomState) -> dict[str, float]:
    found: dict[str, float] = {}
    for knob, (low, high) in ranges.items():
        if knob in EVEN:
            found[knob] = round(float(random.uniform(low, high)), 3)
        else:
            value = math.exp(random.uniform(math.log(low), math.log(high)))
            found[knob] = round(value) if isinstance(low, int) else float(f"{value:.3g}")
    return found


def closed_beyond(name: str, setting: Options) -> list[Options]:
    """Settings one step outside the box, for every knob within a third of an end."""
    found, options = [], dict(setting)
    for knob, (low, high) in CLOSED[name][1].items():
        if knob in EVEN:
            continue  # 0 and 1 are ends of the matter, not of the box
        value = options[knob]
        for near, step in ((value < low * 1.5, 0.5), (value > high / 1.5, 2.0)):
            if near:
                moved = value * step
                moved = round(moved) if isinstance(low, int) else moved
                found.append(tuple({**options, knob: moved}.items()))
    return found


def best_of(scores: Mapping[Any, float], n: int) -> Sequence[Any]:
    """The n with the highest scores, best first."""
    return sorted(scores, key=lambda key: -scores[key])[:n]


def halving(
    settings: Sequence[Any], rounds: Sequence[tuple[int, int]], score: Callable
) -> list[dict[Any, float]]:
    """Successive halving: few epochs for all, more for those that did well.

    Args:
        settings: all that begin.
        rounds: how many take part, and for how many epochs at most.
        score: (settings, epochs) → what each scores.

    Returns:
        a round each: setting → score.
    """
    found: list[dict[Any, float]] = []
    for n, epochs in rounds:
        found.append(score(settings[:n], epochs))
        settings = best_of(found[-1], n)
    return found


def climb_out(
    known: Mapping[Any, float], outside: Callable, score: Callable, steps: int
) -> dict[Any, float]:
    """Go on beyond the edges of a box for as long as that helps.

    Args:
        known: setting → score.
        outside: setting → those one step outside the box.
        score: settings → what each scores.
        steps: at most.

    Returns:
        what was known and what was tried beyond.
    """
    known = dict(known)
    for _ in range(steps):
        best = best_of(known, 1)[0]
        new = [setting for setting in outside(best) if setting not in known]
        if not new:
            break
        known |= score(new)
        if best_of(known, 1)[0] == best:
            break
    return known
