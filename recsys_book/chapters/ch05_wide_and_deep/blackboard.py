"""Chapter 05's drawings: a one-hot with its cross, the soft threshold, who writes the log."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from recsys_book.optim import ftrl_update
from recsys_book.show.plots import PALETTE, Picture, show

FILMS = ("part one", "part two", "a western")
#: The rows that are drawn: what was watched, what is shown.
ROWS = (("part one", "part two"), ("a western", "part two"), ("part one", "a western"))


def crossed(watched: str, shown: str) -> list[int]:
    """The one-hots of the film watched and the film shown, and then of the pair: `[3 + 3 + 9]`."""
    left = [int(film == watched) for film in FILMS]
    right = [int(film == shown) for film in FILMS]
    return left + right + [a * b for a in left for b in right]


def one_hot_with_cross() -> Picture:
    """Three examples as rows of zeros and ones: the film watched, the film shown, the pair."""
    table = np.array([crossed(*row) for row in ROWS])
    n = len(FILMS)
    figure, ax = plt.subplots(figsize=(7.6, 2.7))
    groups = {"watched": (0, n, "blue"), "shown": (n, 2 * n, "orange"),
              "the cross: watched × shown": (2 * n, 2 * n + n * n, "green")}  # fmt: skip
    for x in range(table.shape[1]):
        colour = next(c for a, b, c in groups.values() if a <= x < b)
        gap = 0.5 * (x >= n) + 0.5 * (x >= 2 * n)
        for y, row in enumerate(table):
            on = bool(row[x])
            face = PALETTE[colour] if on else "#F2F2F2"
            box = FancyBboxPatch((x + gap, -y), 0.82, 0.82, boxstyle="round,pad=0.02", fc=face)
            box.set_edgecolor("#CCCCCC")
            ax.add_patch(box)
            ax.text(x + gap + 0.41, -y + 0.41, str(row[x]), ha="center", va="center",
                    color="white" if on else "#777777", fontsize=10)  # fmt: skip
    for words, (a, b, colour) in groups.items():
        gap = 0.5 * (a >= n) + 0.5 * (a >= 2 * n)
        ax.text((a + b) / 2 + gap, 1.15, words, ha="center", fontsize=11, color=PALETTE[colour])
    for y, (watched, shown) in enumerate(ROWS):
        ax.text(-0.3, -y + 0.41, f"watched {watched},\nshown {shown}", ha="right", va="center",
                fontsize=9)  # fmt: skip
    ax.set(xlim=(-4.6, table.shape[1] + 1.2), ylim=(-len(ROWS) + 0.8, 1.7))
    ax.axis("off")
    pair = FILMS.index("part one") * n + FILMS.index("part two")
    alt = (
        f"Three examples as rows: {n} columns for the film watched, {n} for the film shown, "
        f"{n * n} for their pairs. Each row has a single 1 in each group. The first row alone has "
        f"a 1 in column {pair + 1} of the pairs, part one with part two"
    )
    return show(figure, alt=alt)


def soft_threshold(l1: float = 1.0) -> Picture:
    """FTRL's weight by the evidence for it: zero between −L1 and L1, beyond it a line.

    Drawn by `ftrl_update` itself: one step from zero with the gradient that leaves the evidence.
    """
    evidence = torch.linspace(-3, 3, 241)
    weights = []
    for strength in (0.0, l1):
        weight, z, n, d = (torch.zeros(len(evidence)) for _ in range(4))
        n += 1_000.0  # so large a sum of squares that the step's own square hardly counts
        group = {"lr": 1_000.0**0.5, "l1": strength, "l2": 0.0, "beta": 0.0}
        ftrl_update(weight, z, n, d, -evidence, group)
        weights.append(weight)
    figure, ax = plt.subplots(figsize=(5.2, 3.3))
    plain, soft = weights
    ax.plot(evidence, plain, "--", color=PALETTE["grey"], label="without L1")
    ax.plot(evidence, soft, color=PALETTE["blue"], lw=2.5, label=f"with an L1 of {l1:g}")
    ax.axvspan(-l1, l1, color=PALETTE["blue"], alpha=0.08)
    ax.text(0, 1.5, "exactly zero", ha="center", color=PALETTE["blue"])
    ax.set(xlabel="evidence: gradients added up, with the sign turned", ylabel="weight")
    ax.legend(loc="lower right")
    zero = evidence[soft == 0]
    return show(
        figure,
        alt=f"The weight is zero where the evidence lies between {float(zero.min()):.1f} and "
        f"{float(zero.max()):.1f}; beyond, it follows the line without L1, shifted towards zero",
    )


def who_asks_whom(logs: Sequence[str] = ("the service", "a wide model", "chance")) -> Picture:
    """Who writes the log → what is trained → who is asked what.

    Args:
        logs: who filled the lists.
    """
    figure, ax = plt.subplots(figsize=(7.4, 2.9), layout="none")
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)

    def box(x: float, y: float, words: str, colour: str, width: float = 2.1) -> None:
        ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - 0.36),
                width,
                0.72,
                boxstyle="round,pad=0.06",
                fc=PALETTE[colour],
                ec="none",
                alpha=0.22,
            )
        )
        ax.text(x, y, words, ha="center", va="center", fontsize=10)

    def arrow(a: tuple[float, float], b: tuple[float, float]) -> None:
        ax.add_patch(FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=14, color="#888888"))

    titles = {1.1: "who fills the lists", 4.3: "a log of theirs trains", 8.3: "and is asked"}
    for x, words in titles.items():
        ax.text(x, 3.75, words, ha="center", fontsize=11, weight="bold")
    for i, who in enumerate(logs):
        y = 2.9 - 1.15 * i
        box(1.1, y, who, "blue")
        arrow((2.25, y), (3.1, 1.75 + 0.1 * (1 - i)))
    box(4.3, 1.75, "wide, deep,\nwide & deep", "orange", 2.2)
    arrow((5.5, 1.95), (6.6, 2.7))
    arrow((5.5, 1.55), (6.6, 0.8))
    box(8.3, 2.75, "offline: about the films\nthat were shown", "green", 3.1)
    box(8.3, 0.75, "in charge: about all films,\nby people who click", "green", 3.1)
    ax.set(xlim=(-0.2, 10.1), ylim=(0.1, 4.1))
    ax.axis("off")
    return show(
        figure,
        alt=f"Who fills the lists ({', '.join(logs)}) writes a log; the log trains wide, deep, and "
        "wide & deep; they are asked offline, about the films that were shown, and in charge, "
        "about all films",
    )
