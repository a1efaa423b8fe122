"""Chapter 05: one sequel, and two models that see the same people one after the other.

A small stream of impressions: everybody has watched eight films and is shown a ninth. Whoever has
watched film 0, part one, clicks film 1, part two, far more often than anybody else. A wide and a
deep model learn from the stream, a few impressions at a time, and after each meeting of the two
parts it is asked what part one in the history adds to the logit of part two.
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.arguments import check_positive
from recsys_book.layers import MLP
from recsys_book.losses import bce
from recsys_book.models.wide_and_deep import Bag, Wide
from recsys_book.show.plots import PALETTE, Picture, show
from recsys_book.train import seeded

ONE, TWO = 0, 1  # parts one and two
FILMS, WATCHED = 40, 8
BASE, EFFECT = -1.4, 3.0  # log-odds of a click, and what part one adds to part two's
BATCH = 8


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


def lifts(seed: int = 0, n: int = 6_000) -> tuple[list[float], list[float]]:
    """What part one adds to the logit of part two, after each meeting of the two in the stream.

    Args:
        seed: of the stream and of both models.
        n: impressions.

    Returns:
        of the wide model (one AdaGrad) and of the deep one (Adam).
    """
    log = stream(seed, n)
    with seeded(seed):
        wide, deep = Wide([FILMS], crosses=[(Bag(0), 0)]), Deep()
    optimizers = (
        torch.optim.Adagrad(wide.parameters(), lr=0.5),
        torch.optim.Adam(deep.parameters(), lr=0.01),
    )
    rest = torch.arange(10, 10 + WATCHED - 1)
    history = torch.stack([torch.cat([torch.tensor([first]), rest]) for first in (ONE, 9)])
    asked, found = torch.full((2,), TWO), ([], [])
    meetings = log.sequel
    for rows in torch.arange(n).split(BATCH):
        for optimizer, score in zip(
            optimizers, (lambda *pair: wide_logits(wide, *pair), deep), strict=True
        ):
            optimizer.zero_grad()
            bce(score(log.history[rows], log.shown[rows]), log.clicked[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            for one, score in zip(found, (wide_logits(wide, history, asked), deep(history, asked)),
                                  strict=True):  # fmt: skip
                one += [float(score[0] - score[1])] * int(meetings[rows].sum())
    return found


def memory_figure(seeds: tuple[int, ...] = (0, 1, 2)) -> Picture:
    """The lift of both models by the number of meetings, a line a stream."""
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    last: dict[str, list[float]] = {"wide": [], "deep": []}
    for seed in seeds:
        for (name, ends), values, colour in zip(
            last.items(), lifts(seed), ("orange", "blue"), strict=True
        ):
            label = {"wide": "the wide side's weight of the pair", "deep": "the deep side"}[name]
            ax.plot(
                range(1, len(values) + 1), values, color=PALETTE[colour], lw=1.8,
                label=label if seed == seeds[0] else None,
            )  # fmt: skip
            ends.append(values[-1])
    ax.axhline(EFFECT, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(1, EFFECT - 0.22, "the truth", color=PALETTE["grey"])
    ax.set(
        xlabel="people who had watched part one and were shown part two",
        ylabel="what part one adds\nto the logit",
    )
    ax.legend(loc=(0.42, 0.1))
    told = "; ".join(f"{name} {np.mean(ends):.1f}" for name, ends in last.items())
    return show(figure, alt=f"What part one adds to the logit of part two, at the end: {told}")
