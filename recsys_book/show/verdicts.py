"""The verdicts of claims, drawn once for the page that explains them."""

from __future__ import annotations

import matplotlib.pyplot as plt

from recsys_book.show.plots import PALETTE, Picture, show

MARGIN = 1.0
#: What is drawn: the mark, what it means, and an interval (middle, half) that earns it.
DRAWN = (
    ("✓", "A is ahead: every value in the interval says so", 1.7, 1.3),
    ("≈", "not told apart: A may be ahead by 2, or behind by 1.4", 0.3, 1.7),
    ("=", "equal within the margin that was set before the run", 0.2, 0.5),
)


def verdicts() -> Picture:
    """Three intervals of a difference A − B, and the mark that each of them earns."""
    figure, ax = plt.subplots(figsize=(7.4, 2.3))
    margin = plt.Rectangle(
        (-MARGIN, -0.45), 2 * MARGIN, 0.9, color=PALETTE["grey"], alpha=0.2, lw=0
    )
    ax.add_patch(margin)  # of the last verdict alone
    ax.axvline(0, color=PALETTE["grey"], lw=1)
    told = []
    for y, (mark, words, middle, half) in zip((2, 1, 0), DRAWN, strict=True):
        ax.errorbar(middle, y, xerr=half, fmt="o", color=PALETTE["blue"], capsize=4, ms=6)
        ax.text(3.7, y, f"{mark}  {words}", va="center", fontsize=9)
        told.append(f"{mark}, {words}: from {middle - half:.1f} to {middle + half:.1f}")
    ax.text(-0.95, -0.7, "margin", ha="left", va="center", fontsize=8, color="#555555")
    ax.set(xlim=(-1.6, 10.2), ylim=(-1.1, 2.6), yticks=[])
    ax.set_xticks([-1, 0, 1, 2, 3], ["−1", "0", "1", "2", "3"])
    ax.set_xlabel("difference A − B", loc="left")
    ax.grid(visible=False)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return show(figure, alt="Intervals of a difference A − B. " + "; ".join(told))
