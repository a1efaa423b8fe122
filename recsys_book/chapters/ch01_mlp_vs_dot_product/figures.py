"""Figures and widgets of chapter 01."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import Tensor

from recsys_book.chapters.ch01_mlp_vs_dot_product.lab import Boundaries
from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import one_true_love_in_three, parity, xor
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, show
from recsys_book.widgets import Frames


def fits_figure(runs: Boundaries) -> Picture:
    """Bars: how many seeds fit XOR, by number of hidden units."""
    fits = (runs.final < 0.01).sum(1).numpy()
    n_seeds = runs.final.shape[1]
    figure, ax = plt.subplots()
    sns.barplot(x=[str(w) for w in runs.widths], y=fits, color=PALETTE["blue"], ax=ax)
    ax.set(xlabel="hidden units", ylabel=f"seeds of {n_seeds} that fit XOR", ylim=(0, n_seeds))
    told = ", ".join(f"{w}: {n}" for w, n in zip(runs.widths, fits, strict=True))
    return show(figure, alt=f"Seeds of {n_seeds} that fit XOR, by number of hidden units: {told}")


def parity_figure(record: dict) -> Picture:
    """Recorded log-losses on three-way parity: FM by dimension, and an MLP."""
    lowest, mlp = record["figures"]["parity"]["fm"], record["figures"]["parity"]["mlp"]
    rows = [("FM, lowest ever", d, v) for d, values in lowest.items() for v in values]
    rows += [("MLP, at the end", "MLP", v) for v in mlp]
    figure, ax = plt.subplots()
    sns.stripplot(
        pd.DataFrame(rows, columns=["model", "d", "log-loss"]),
        x="d", y="log-loss", hue="model", size=7,
        palette=[PALETTE["blue"], PALETTE["orange"]], ax=ax,
    )  # fmt: skip
    ax.axhline(math.log(2), color=PALETTE["grey"], ls="--", label="coin flip, ln 2")
    ax.set(xlabel="length d of FM's vectors", ylim=(-0.03, 0.8))
    ax.legend(loc="center left")
    least = min(min(values) for values in lowest.values())
    return show(
        figure,
        alt=f"Log-loss on three-way parity, 5 seeds: FM never under {least:.4f} for d from 2 to "
        f"64; the MLP ends under {max(mlp):.4f}",
    )


def hit_rate_figure(popular: float, sums: Sequence[float], dots: Sequence[float]) -> Picture:
    """Recorded HR@10 of the additive model and a dot product, with 95 % t-intervals."""
    figure, ax = plt.subplots(figsize=(5.2, 3.6))
    for place, values in enumerate((sums, dots)):
        interval = t_interval(values)
        half = interval.high - interval.mean
        ax.errorbar(place, interval.mean, half, fmt="o", capsize=6, color=PALETTE["blue"])
        ax.plot([place + 0.12] * len(values), values, ".", color=PALETTE["grey"])
    ax.axhline(popular, color=PALETTE["orange"], ls="--", label=f"popularity, {popular:.3f}")
    ax.set(xlim=(-0.6, 1.6), ylim=(0.4, 0.7), ylabel="HR@10")
    ax.set_xticks([0, 1], ["additive\n(dim 0)", "dot product\n(dim 8)"])
    ax.legend(loc="upper left")
    return show(
        figure,
        alt=f"HR@10 with intervals over seeds: additive {np.mean(sums):.3f}, on the popularity "
        f"line at {popular:.3f}; a dot product of 8 factors {np.mean(dots):.3f}",
    )


def dot_product_figure(record: dict) -> Picture:
    """Recorded error of MLPs on a dot product, by width and number of examples."""
    sweep = pd.DataFrame(record["figures"]["dot_product"]).explode("rmse").astype({"rmse": float})
    n_widths = sweep.width.nunique()
    figure, ax = plt.subplots()
    sns.lineplot(
        sweep, x="n_examples", y="rmse", hue="width", style="width", markers=True, dashes=False,
        palette=list(PALETTE.values())[:n_widths], errorbar=("ci", 95), ax=ax,
    )  # fmt: skip
    ax.axhline(1, color=PALETTE["grey"], ls="--", lw=1)
    ax.axhline(0, color=PALETTE["black"], lw=1.2)
    ax.text(sweep.n_examples.min(), 0.03, "a dot product: 0", fontsize=9)
    ax.text(sweep.n_examples.max(), 1.03, "always the mean: 1", fontsize=9, ha="right")
    ax.set(xscale="log", xlabel="training examples", ylabel="RMSE on fresh pairs")
    ax.set_ylim(-0.05, 1.4)
    ax.legend(title="hidden units", ncols=n_widths, loc="upper right")
    means = sweep.groupby(["width", "n_examples"]).rmse.mean()
    return show(
        figure,
        alt="Error of an MLP on a dot product falls with examples and with width; the best mean, "
        f"at {means.idxmin()[0]} units and {means.idxmin()[1]:,} examples, is {means.min():.3f}",
    )


def circle_figure(n: int, user: int = 3) -> Picture:
    """Films on a circle, and the line that cuts one user's film off from all others."""
    users, films = (t.numpy() for t in one_true_love_in_three(n))
    figure, ax = plt.subplots(figsize=(4.2, 4.2))
    ax.scatter(films[:, 0], films[:, 1], color=PALETTE["blue"], label="films")
    ax.scatter(*films[user, :2], color=PALETTE["orange"], s=90, label=f"user {user}'s film")
    normal, cut = users[user, :2], -users[user, 2]
    along = np.array([-normal[1], normal[0]])
    ends = np.stack([cut * normal - 0.6 * along, cut * normal + 0.6 * along])
    ax.plot(*ends.T, color=PALETTE["vermilion"], label=f"user {user}'s line")
    ax.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.3, 1.3), ylim=(-1.6, 1.3))
    ax.legend(loc="lower center", ncols=3, fontsize=8, columnspacing=1)
    sns.despine(ax=ax, left=True, bottom=True)
    return show(
        figure,
        alt=f"{n} films on a circle; a straight line cuts off user {user}'s film from the others",
    )


def boundary_frames(boundaries: Boundaries) -> Frames:
    """The widget: hidden width and step of training, and the plane as the network sees it."""
    ids, labels = xor()
    places = [(w, s) for w in range(len(boundaries.widths)) for s in range(len(boundaries.steps))]
    fitted = (boundaries.final < 0.01).sum(1)
    captions, alts = [], []
    for w, s in places:
        told = (
            f"log-loss {boundaries.loss[w, s]:.3f}, {int(boundaries.right[w, s])} of 4 cells right"
        )
        n_seeds = boundaries.final.shape[1]
        fit = f"At the end {int(fitted[w])} of {n_seeds} seeds fit XOR; shown is the best."
        captions.append(f"{told}. {fit}" if n_seeds > 1 else told)
        units = f"{boundaries.widths[w]} hidden unit{'s' if boundaries.widths[w] > 1 else ''}"
        alts.append(
            f"The plane as seen by a network with {units} after {boundaries.steps[s]} steps: {told}"
        )
    axes = {"step of training": list(boundaries.steps)}
    probability = boundaries.probability
    if len(boundaries.widths) > 1:
        axes = {"hidden units": list(boundaries.widths), **axes}
    else:
        probability = probability[0]
    return Frames.from_arrays(
        probability.unsqueeze(-3).numpy(),
        axes,
        alts,
        title="A network learns XOR",
        vmin=0,
        vmax=1,
        captions=captions,
        points=[
            {"x": u, "y": f, "text": "+" if like else "−", "dark": not like}
            for (u, f), like in zip(ids.tolist(), labels.tolist(), strict=True)
        ],
        extent=(-0.5, 1.5, -0.5, 1.5),
        x_label="user",
        y_label="film",
        legend=("dislikes", "likes"),
        smooth=True,
        start=[len(labels) - 1 for labels in axes.values()],
    )


def rank_frames(tables: Mapping[str, Tensor], values: Tensor, signs: Tensor) -> Frames:
    """The widget: a table, and what d factors can keep of its values and of its signs.

    Args:
        tables: name → `[n, n]` of ±1.
        values: `[T, n, n, n]`, best approximation of rank d = 1..n of each table.
        signs: `[T, n, n, n]`, best signs found with d = 1..n factors.
    """
    n = values.shape[1]
    wanted = torch.stack(list(tables.values()))[:, None].expand_as(values)  # [T, n, n, n]
    wrong = (signs != wanted).sum((-1, -2))  # [T, n]
    error = (values - wanted).square().mean((-1, -2)).sqrt()  # [T, n]
    captions, alts = [], []
    for t, name in enumerate(tables):
        for d in range(n):
            told = (
                f"values off by {error[t, d]:.2f} (RMSE), {int(wrong[t, d])} of {n * n} signs wrong"
            )
            captions.append(told)
            alts.append(f"The table “{name}” with {d + 1} factors: {told}")
    limit = float(values.abs().max().clamp(min=1))
    return Frames.from_arrays(
        torch.stack([wanted, values, signs], dim=2).flip(-2).numpy(),
        {"table": list(tables), "factors d": list(range(1, n + 1))},
        alts,
        title="How many factors does a table need?",
        vmin=-limit,
        vmax=limit,
        panels=("the table", "nearest values", "signs found"),
        captions=captions,
        legend=("dislike", "like"),
        start=[1, 2],
    )


def map_frames(
    maps: Sequence[np.ndarray],
    steps: Sequence[int],
    corner: Tensor,
    label: Tensor,
    purity: Sequence[float],
    cut: Sequence[float],
    trust: Sequence[float],
) -> Frames:
    """The widget: t-SNE maps by step of training, coloured by label and by corner.

    Args:
        maps: S arrays `[n, 2]`.
        steps: S steps of training.
        corner: `[n]` which corner each point belongs to.
        label: `[n]` 0 or 1.
        purity: S neighbour purities, by label.
        cut: S accuracies of a straight cut.
        trust: S trustworthinesses of the maps.
    """
    colors = np.array(list(PALETTE.values()))
    names = ["".join(str(int(bit)) for bit in row) for row in parity(3)[0]]
    figures, alts, captions = [], [], []
    for points, step, share, line, t in zip(maps, steps, purity, cut, trust, strict=True):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 4.0))
        for value, name in ((0, "dislike"), (1, "like")):
            rows = (label == value).numpy()
            left.scatter(*points[rows].T, s=7, color=colors[value], label=name, lw=0)
        for i, name in enumerate(names):
            rows = (corner == i).numpy()
            right.scatter(*points[rows].T, s=7, color=colors[i], label=name, lw=0)
        for ax, title in ((left, "by label"), (right, "by corner")):
            ax.set(xticks=[], yticks=[], title=title)
            ax.legend(
                loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, fontsize=8,
                markerscale=2.5, handletextpad=0, columnspacing=0.8,
            )  # fmt: skip
        figures.append(figure)
        told = f"neighbour purity {share:.2f}; a straight cut gets {line:.0%} right"
        captions.append(
            f"In the 16 dimensions of the hidden layer: {told}. Trustworthiness of the map: {t:.2f}"
        )
        alts.append(f"Map of 800 points in the hidden layer after {step} steps: {told}")
    return Frames.from_images(
        figures,
        {"step of training": list(steps)},
        alts,
        title="The last hidden layer while it learns parity",
        captions=captions,
        start=[len(steps) - 1],
    )
