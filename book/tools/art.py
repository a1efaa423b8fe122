"""Draw the logo, the favicon and the social card: the XOR table, in the book's two colours."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from recsys_book.show.plots import PALETTE

TARGET = Path(__file__).parents[1] / "_static" / "generated"
TITLE = ["Deep Learning", "Foundations of", "Recommender Systems"]


def mark(ax, x: float, y: float, side: float) -> None:
    """Two users, two films: the four tiles of XOR."""
    gap = side * 0.06
    tile = (side - gap) / 2
    for row in (0, 1):
        for column in (0, 1):
            color = PALETTE["orange"] if row != column else PALETTE["blue"]
            corner = (x + column * (tile + gap), y + (1 - row) * (tile + gap))
            style = f"round,pad=0,rounding_size={tile * 0.18}"
            ax.add_patch(FancyBboxPatch(corner, tile, tile, boxstyle=style, fc=color, ec="none"))


def canvas(width: float, height: float):
    figure = plt.figure(figsize=(width, height), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    ax.axis("off")
    return figure, ax


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    # "Software" and dates in PNG metadata would make every build differ.
    save = {"metadata": {"Software": None}}

    figure, ax = canvas(0.64, 0.64)
    mark(ax, 0.04, 0.04, 0.56)
    figure.savefig(TARGET / "favicon.png", transparent=True, **save)

    figure, ax = canvas(1.6, 1.6)
    mark(ax, 0.1, 0.1, 1.4)
    figure.savefig(TARGET / "logo.png", transparent=True, **save)

    figure, ax = canvas(12, 6.3)
    figure.set_facecolor("white")
    mark(ax, 0.8, 1.65, 3.0)
    for i, line in enumerate(TITLE):
        ax.text(4.6, 4.35 - i * 0.85, line, fontsize=40, weight="bold", va="center", color="#111")
    ax.text(
        4.6,
        1.7,
        "An interactive book. Real PyTorch, checked numbers.",
        fontsize=18,
        va="center",
        color="#333",
    )
    figure.savefig(TARGET / "card.png", **save)
    plt.close("all")


if __name__ == "__main__":
    main()
