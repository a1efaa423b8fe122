"""Chapter 05: one sequel, and how soon a table and a network learn it from the same people.

A small stream of impressions: everybody has watched eight films and is shown a ninth. Whoever has
watched film 0, part one, clicks film 1, part two, far more often than anybody else. A wide and a
deep model go over the stream several times, and after each pass it is asked what part one in the
history adds to the logit of part two.

Both have their settings from `tried`: the best by log-loss on people that neither learns from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.arguments import check_positive
from recsys_book.layers import MLP
from recsys_book.losses import bce
from recsys_book.models.wide_and_deep import Bag, Wide
from recsys_book.optim import FTRL
from recsys_book.show.plots import PALETTE, Picture, show
from recsys_book.train import seeded

ONE, TWO = 0, 1  # parts one and two
FILMS, WATCHED = 40, 8
BASE, EFFECT = -1.4, 3.0  # log-odds of a click, and what part one adds to part two's
BATCH, PASSES = 32, 12
#: Rate of FTRL and its L1 in examples, rate of Adam; the best of `GRID` by held-out log-loss.
WIDE, DEEP = (0.3, 30.0), (0.003,)
GRID = {
    "wide": tuple((lr, l1) for lr in (0.1, 0.3, 1.0) for l1 in (3.0, 10.0, 30.0, 100.0)),
    "deep": ((0.001,), (0.003,), (0.01,), (0.03,)),
}
SEEN, HELD = 100, 101  # the streams that settings are chosen by


@dataclass(frozen=True)
class Stream:
    """Impressions in the order in which they come.

    Attributes:
        history: `[M, 8]` films watched.
        shown: `[M]` the film shown.
        clicked: `[M]` float, 1 for a click.
    """

    history: Tensor
    shown: Tensor
    clicked: Tensor

    @property
    def sequel(self) -> Tensor:
        """`[M]` bool: part two was shown to somebody who has watched part one."""
        return (self.shown == TWO) & (self.history == ONE).any(1)


def stream(seed: int = 0, n: int = 6_000) -> Stream:
    """Draw a stream: part two is shown in 3 % of the impressions, to people half of whom have
    watched part one.

    Args:
        seed: of all that is drawn.
        n: M.
    """
    check_positive("n", n)
    random = np.random.RandomState(seed)
    others = np.arange(2, FILMS)
    history = np.stack([random.permutation(others)[:WATCHED] for _ in range(n)])
    shown = random.choice(others, n)
    shown[random.random_sample(n) < 0.03] = TWO
    share = np.where(shown == TWO, 0.5, 0.15)
    history[random.random_sample(n) < share, 0] = ONE
    sequel = (shown == TWO) & (history == ONE).any(1)
    logit = BASE + 0.6 * np.sin(shown) + EFFECT * sequel
    clicked = random.random_sample(n) < 1 / (1 + np.exp(-logit))
    column = lambda values: torch.from_numpy(values)
    return Stream(column(history), column(shown), column(clicked.astype(np.float32)))


class Deep(nn.Module):
    """A network over the film shown and the mean of the films watched, one table for both."""

    def __init__(self, dim: int = 16, hidden: tuple[int, ...] = (32, 16)) -> None:
        super().__init__()
        self.films = nn.Embedding(FILMS, dim)
        nn.init.normal_(self.films.weight, std=0.1)
        self.mlp = MLP(2 * dim, hidden)

    def forward(self, history: Tensor, shown: Tensor) -> Tensor:
        """Logits `[B]`."""
        both = [self.films(history).mean(1), self.films(shown)]
        return self.mlp(torch.cat(both, dim=1)).squeeze(1)


def wide_logits(wide: Wide, history: Tensor, shown: Tensor) -> Tensor:
    """Logits `[B]` of a wide model of the film shown and its pairs with those watched."""
    return wide(shown[:, None], {0: (history, torch.ones_like(history, dtype=torch.bool))})


@dataclass(frozen=True)
class Told:
    """What a model has learned after each pass.

    Attributes:
        lift: what part one adds to the logit of part two.
        log_loss: on a stream of other people.
    """

    lift: list[float]
    log_loss: list[float]


def learn(kind: str, setting: tuple[float, ...], seed: int, held: int, n: int = 6_000) -> Told:
    """Train one model on a stream, pass by pass.

    Args:
        kind: "wide", by FTRL with rate and L1, or "deep", by Adam with a rate.
        setting: see `GRID`.
        seed: of the stream that is learned from, and of the model.
        held: seed of the stream that the log-loss is of.
        n: impressions of each.
    """
    log, others = stream(seed, n), stream(held, n)
    with seeded(seed):
        model: nn.Module = Wide([FILMS], crosses=[(Bag(0), 0)]) if kind == "wide" else Deep()
    if kind == "wide":
        rate, l1 = setting
        score: Callable = partial(wide_logits, model)
        optimizer: torch.optim.Optimizer = FTRL(model.parameters(), lr=rate, l1=l1 / BATCH)
    else:
        score, optimizer = model, torch.optim.Adam(model.parameters(), lr=setting[0])
    rest = torch.arange(10, 10 + WATCHED - 1)
    both = torch.stack([torch.cat([torch.tensor([first]), rest]) for first in (ONE, 9)])
    told = Told([], [])
    for _ in range(PASSES):
        for rows in torch.arange(n).split(BATCH):
            optimizer.zero_grad()
            bce(score(log.history[rows], log.shown[rows]), log.clicked[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            part_two = score(both, torch.full((2,), TWO))
            told.lift.append(float(part_two[0] - part_two[1]))
            told.log_loss.append(float(bce(score(others.history, others.shown), others.clicked)))
    return told


def tried() -> dict[str, dict[tuple[float, ...], float]]:
    """Kind → setting of `GRID` → its best log-loss on people whom it has not learned from."""
    return {
        kind: {setting: min(learn(kind, setting, SEEN, HELD).log_loss) for setting in settings}
        for kind, settings in GRID.items()
    }


def learned(seeds: tuple[int, ...] = (0, 1, 2)) -> dict[str, list[Told]]:
    """Kind → what it has learned from each stream; the log-loss is of the people of `HELD`."""
    chosen = {"wide": WIDE, "deep": DEEP}
    return {kind: [learn(kind, one, seed, HELD) for seed in seeds] for kind, one in chosen.items()}


NAMES = {"wide": "the wide side's weight of the pair", "deep": "the deep side"}


def memory_figure(told: dict[str, list[Told]]) -> Picture:
    """The lift of both models by passes, a line a stream.

    Args:
        told: of `learned`.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    words = []
    for (kind, runs), colour in zip(told.items(), ("orange", "blue"), strict=True):
        for i, run in enumerate(runs):
            passes = range(1, len(run.lift) + 1)
            label = NAMES[kind] if i == 0 else None
            ax.plot(passes, run.lift, "o-", ms=3, color=PALETTE[colour], lw=1.6, label=label)
        mean = np.mean([run.lift for run in runs], axis=0)
        words.append(f"{kind} {mean[0]:.1f} after one pass, {mean[-1]:.1f} after {len(mean)}")
    ax.axhline(EFFECT, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(1, EFFECT + 0.06, "the truth", color=PALETTE["grey"])
    ax.set(xlabel="passes over the same people", ylabel="what part one adds\nto the logit")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.85))
    alt = f"What part one adds to the logit of part two: {'; '.join(words)}"
    return show(figure, alt=alt)
