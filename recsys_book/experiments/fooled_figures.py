"""Figures of chapter 06 on metrics that are fooled."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch

from recsys_book.calibration import calibration_curve
from recsys_book.experiments.fooled import Case, Look, fooled_table
from recsys_book.plots import PALETTE, Picture, show

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


def batch_auc_figure(found: pd.DataFrame) -> Picture:
    """Mean of batch AUCs by size of the batch, one line an order, beside the AUC over everything.

    Args:
        found: from `batch_aucs`.
    """
    figure, ax = plt.subplots()
    sns.lineplot(
        found, x="batch_size", y="auc", hue="order", style="order", markers=True, dashes=False,
        palette=[PALETTE[c] for c in ("blue", "green", "purple", "orange")], ax=ax,
    )  # fmt: skip
    whole = found.whole.iloc[0]
    ax.axhline(whole, color=PALETTE["black"], ls="--", lw=1)
    ax.text(found.batch_size.min(), whole - 0.011, f"over everything: {whole:.3f}", fontsize=9)
    ax.set(xscale="log", xlabel="examples in a batch", ylabel="mean of batch AUCs")
    ax.set_xticks(found.batch_size.unique(), [f"{n:,}" for n in found.batch_size.unique()])
    ax.minorticks_off()
    ax.legend(title="order", loc="center left", bbox_to_anchor=(1, 0.5))
    told = [
        f"{name} from {part.auc.min():.3f} to {part.auc.max():.3f}"
        for name, part in found.groupby("order", sort=False)
    ]
    return show(
        figure,
        alt=f"Mean of batch AUCs of one score on one test, whose AUC over everything is "
        f"{whole:.3f}, by order of the examples: " + ", ".join(told),
    )


def climate_figure(at: Look) -> Picture:
    """Reliability of a constant, which lies on the diagonal and says one thing, and of the oracle
    with noise, which is off it and tells impressions apart."""
    labels, test = at.label[at.test], at.test
    noisy = (at.oracle[test] + at.noise(at.oracle[test], 1.0)).sigmoid()
    constant = torch.full_like(labels, float(at.label[~test].mean()))
    figure, ax = plt.subplots(figsize=(5.0, 3.8))
    ax.plot([0, 1], [0, 1], ls="--", lw=1, color=PALETTE["grey"])
    told = []
    for name, chances, color, marker in (
        ("a constant", constant, TRICKSTER, "D"),
        ("oracle, with noise", noisy, HONEST, "o"),
    ):
        curve = calibration_curve(labels, chances)
        label = f"{name}: error {curve.error():.3f}"
        ax.plot(curve.predicted, curve.observed, marker=marker, color=color, label=label)
        told.append(f"{label}, predictions from {curve.predicted[0]:.2f} to "
                    f"{curve.predicted[-1]:.2f}")  # fmt: skip
    top = float(max(calibration_curve(labels, noisy).predicted)) + 0.05
    ax.set(xlim=(0, top), ylim=(0, top), xlabel="predicted chance", ylabel="share clicked")
    ax.legend(loc="upper left")
    return show(figure, alt="Observed against predicted clicks; " + "; ".join(told))
