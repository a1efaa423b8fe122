"""Figures of chapter 06 on metrics that are fooled."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from recsys_book.chapters.ch06_training_discipline.fooled import Case, fooled_table
from recsys_book.show.plots import PALETTE, Picture, show

TRICKSTER, HONEST = PALETTE["vermilion"], PALETTE["blue"]


def fooled_figure(runs: Sequence[Sequence[Case]], chosen: Sequence[int] | None = None) -> Picture:
    """A row a case: on the left both models by the metric as it is often taken, on the right by the
    mended one. In every panel, of a scale of its own, right is better.

    Args:
        runs: `fool` of each world.
        chosen: places of the cases to draw; None for all.
    """
    every = list(zip(*runs, strict=True))
    chosen = range(len(every)) if chosen is None else chosen
    table = fooled_table(runs)
    figure, axes = plt.subplots(
        len(chosen), 2, figsize=(8.0, 0.95 * len(chosen) + 0.9), squeeze=False
    )
    told = []
    for (left, right), place in zip(axes, chosen, strict=True):
        cases, row = every[place], table.iloc[place]
        _two_dots(left, [c.figures for c in cases], cases[0].up, cases[0].metric)
        _two_dots(
            right, [c.repaired_figures for c in cases], cases[0].repaired_up, cases[0].repaired
        )
        told.append(
            f"{row.metric}: {row.trickster} {row['trickster figure']:.3g}, {row.honest} "
            f"{row['honest figure']:.3g}; {row['repaired metric']}: "
            f"{row['trickster, repaired']:.3g} and {row['honest, repaired']:.3g}"
        )
    handles = [
        plt.Line2D([], [], marker="D", ls="", color=TRICKSTER, label="trickster"),
        plt.Line2D([], [], marker="o", ls="", color=HONEST, label="honest"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return show(
        figure,
        alt=f"Metrics fooled and mended, {len(runs)} worlds; right is better in each panel. "
        + ". ".join(told),
    )


def _two_dots(ax: plt.Axes, figures: Sequence[tuple[float, float]], up: bool, title: str) -> None:
    values = np.array(figures)  # [worlds, 2]
    for who, (color, marker) in enumerate(((TRICKSTER, "D"), (HONEST, "o"))):
        ax.plot(values[:, who], [1 - who] * len(values), marker, color=color, ms=6, alpha=0.7)
    room = 0.12 * max(np.ptp(values), 1e-9)
    low, high = values.min() - room, values.max() + room
    ax.set_xlim((low, high) if up else (high, low))
    ax.set(ylim=(-0.7, 1.7), yticks=[])
    ax.set_title(title, fontsize=9, loc="left")
    ax.tick_params(labelsize=8)
    sns.despine(ax=ax, left=True)
