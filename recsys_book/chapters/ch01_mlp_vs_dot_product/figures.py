"""Figures and widgets of chapter 01."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import Tensor

from recsys_book.chapters.ch01_mlp_vs_dot_product.lab import Boundaries
from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import one_true_love_in_three, parity, xor
from recsys_book.reproduce import read_table
from recsys_book.show.plots import PALETTE, Picture, show, to_png
from recsys_book.widgets import Frames


def plane_figure(count: Tensor, both: Tensor, likes: Tensor) -> Picture:
    """What two hidden units do to XOR: the four pairs in the plane of the inputs, and in that of
    the units (count, both), where a straight line separates likes from dislikes.

    Args:
        count, both: `[4]` the two hidden units.
        likes: `[4]` 0 or 1.
    """
    ids = xor()[0].float()
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.3))
    planes = ((ids[:, 0], ids[:, 1], "user", "film"), (count, both, "count", "both"))
    for ax, (x, y, across, up) in zip(axes, planes, strict=True):
        for value, color, word in ((0.0, "blue", "dislike"), (1.0, "orange", "like")):
            rows = likes == value
            ax.scatter(x[rows], y[rows], s=130, color=PALETTE[color], label=word, zorder=3)
        ax.set(xlabel=across, ylabel=up, xlim=(-0.5, 2.5), ylim=(-0.5, 1.5))
        ax.set_xticks([0, 1, 2] if across == "count" else [0, 1])
        ax.set_yticks([0, 1])
    axes[0].set(xlim=(-0.5, 1.5), title="inputs: no straight line")
    line = np.array([0.15, 2.35])
    axes[1].plot(line, (line - 0.5) / 2, color=PALETTE["black"], lw=1.5)
    axes[1].set_title("hidden units: one straight line")
    axes[1].text(1, -0.16, "both of the likes", fontsize=9, ha="center", va="top")
    axes[1].legend(loc="upper left", fontsize=9, markerscale=0.6)
    return show(
        figure,
        alt="The four pairs of XOR. In the plane of user and film likes and dislikes stand on "
        "opposite diagonals. In the plane of count and both the two likes meet at (1, 0), the "
        "dislikes are at (0, 0) and (2, 1), and a straight line separates them",
    )


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
        f"64; the MLP ends at {max(mlp):.4f} or less",
    )


def hits_of(record: dict) -> dict[str, np.ndarray]:
    """Model → `[trainings, people]` 0 or 1: whether each person's film was in the top ten.

    Args:
        record: of `python -m recsys_book.reproduce ch01/additive`.
    """
    found: dict[str, list] = {}
    frame = read_table(record, "hits")
    for model, hits in zip(frame["model"], frame["hits"], strict=True):
        found.setdefault(model, []).append(np.array(list(hits), dtype=float))
    return {model: np.array(rows) for model, rows in found.items()}


def errors_of(record: dict) -> Callable[[int, int, int], list[float]]:
    """`errors(width, n_examples, steps)`: RMSE of an MLP on a dot product, one per start."""
    sweep = read_table(record, "dot_product").set_index(["width", "n_examples", "steps"])
    return lambda *point: sweep.loc[[point], "rmse"].tolist()


def dot_product_figure(record: dict, bilinear: tuple[int, float]) -> Picture:
    """Recorded error of MLPs on a dot product, by number of examples: three widths with the same
    steps, and one of them with eight times as many.

    Args:
        record: of `python -m recsys_book.reproduce ch01/xor`.
        bilinear: examples and error of the rival that learns a weight for every product.
    """
    sweep = read_table(record, "dot_product")
    figure, ax = plt.subplots(figsize=(6.6, 3.6))
    told = []
    colors = {16: "grey", 64: "blue", 256: "green"}
    for (steps, width), rows in sweep.groupby(["steps", "width"]):
        means = rows.groupby("n_examples").rmse.mean()
        longest = steps == sweep.steps.max()
        name = f"{width} units, {steps:,} steps"
        ax.plot(
            means.index, means, "D-" if longest else "o--", ms=5,
            color=PALETTE[colors[width]], label=name,
        )  # fmt: skip
        told.append(
            f"{width} units and {steps:,} steps from {means.max():.2f} to {means.min():.2f}"
        )
    ax.axhline(1, color=PALETTE["grey"], ls=":", lw=1)
    ax.axhline(0, color=PALETTE["black"], lw=1.2)
    ax.plot(
        *bilinear,
        "s",
        ms=8,
        color=PALETTE["vermilion"],
        label="bilinear, 256 parameters",
        clip_on=False,
    )
    told.append(f"bilinear with {bilinear[0]} examples {bilinear[1]:.2f}")
    ax.text(2_000, -0.03, "a dot product: 0", fontsize=9, va="top")
    ax.text(sweep.n_examples.max(), 1.03, "always the mean: 1", fontsize=9, ha="right")
    ax.set(xscale="log", xlabel="training examples", ylabel="RMSE on new pairs", ylim=(-0.14, 1.4))
    counts = sorted(sweep.n_examples.unique())
    ax.set_xticks(counts, [f"{n:,}" for n in counts], fontsize=8.5)
    ax.minorticks_off()
    ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return show(figure, alt=f"Error of an MLP on a dot product by examples: {'; '.join(told)}")


def circle_figure(n: int, user: int = 3) -> Picture:
    """Films on a circle, and the line that cuts one user's film off from all others, each beside
    its vector."""
    users, films = (t.numpy() for t in one_true_love_in_three(n))
    figure, ax = plt.subplots(figsize=(5.4, 3.8))
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, ls=":", color=PALETTE["grey"]))
    ax.scatter(films[:, 0], films[:, 1], s=50, color=PALETTE["blue"])
    x, y = films[user, :2]
    ax.scatter(x, y, color=PALETTE["orange"], s=110, zorder=3)
    normal, cut = users[user, :2], -users[user, 2]
    along = np.array([-normal[1], normal[0]])
    ends = np.stack([cut * normal - 0.6 * along, cut * normal + 0.6 * along])
    ax.plot(*ends.T, color=PALETTE["vermilion"], lw=2)
    ax.text(x - 0.1, y + 0.02, "the film\n$(x, y, 1)$", ha="right", va="center", fontsize=9)
    ax.text(
        *(cut * normal - 0.65 * along + [-0.05, 0.02]), "its fan's line\n$(a, b, -c)$",
        color=PALETTE["vermilion"], ha="right", va="bottom", fontsize=9,
    )  # fmt: skip
    words = "below 0 on this side:\nall other films"
    ax.text(0, -0.1, words, ha="center", va="center", fontsize=9)
    ax.set(aspect="equal", xticks=[], yticks=[], xlim=(-2.1, 1.3), ylim=(-1.2, 1.3))
    sns.despine(ax=ax, left=True, bottom=True)
    return show(
        figure,
        alt=f"{n} films on a circle. A straight line, the fan's vector (a, b, −c), cuts one "
        "film, whose vector is (x, y, 1), off from all others",
    )


def boundary_frames(
    boundaries: Boundaries, start: tuple[int, int] | None = None, failing: Boundaries | None = None
) -> Frames:
    """The widget: hidden width and step of training, and the plane as the network sees it.

    Args:
        boundaries: what was watched.
        start: places of the controls at first; None for the ends.
        failing: of one of the widths, a start that does not find the answer; shown before it.
    """
    ids, labels = xor()
    n_starts = boundaries.final.shape[1]
    fitted = (boundaries.final < 0.01).sum(1).tolist()
    rows = []  # (width, which start, fitted, whose pictures, at which width)
    for w, (width, fits) in enumerate(zip(boundaries.widths, fitted, strict=True)):
        best = ""
        if failing is not None and failing.widths[0] == width:
            rows.append((width, ", a start that fails", fits, failing, 0))
            best = ", the best start"
        rows.append((width, best, fits, boundaries, w))
    captions, alts = [], []
    for width, which, fits, kept, w in rows:
        for s, step in enumerate(kept.steps):
            told = f"log-loss {kept.loss[w, s]:.3f}, {int(kept.right[w, s])} of 4 cells right"
            shown = "" if which else "; the best one is shown"
            fit = f"At the end {fits} of {n_starts} starts fit XOR{shown}."
            captions.append(f"{told}. {fit}" if n_starts > 1 else told)
            units = f"{width} hidden unit{'s' if width > 1 else ''}{which}"
            alts.append(f"The plane as seen by a network with {units}, after {step} steps: {told}")
    axes: dict[str, list] = {"step of training": list(boundaries.steps)}
    probability = torch.stack([kept.probability[w] for *_, kept, w in rows])
    if len(rows) > 1:
        names = [f"{n}{which}" for n, which, *_ in rows] if failing else list(boundaries.widths)
        axes = {"hidden units": names, **axes}
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
        x_label="user (Ada 0, Ben 1)",
        y_label="film",
        legend=("dislikes", "likes"),
        smooth=True,
        start=[len(labels) - 1 for labels in axes.values()] if start is None else list(start),
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
            alts.append(f"The table “{name}” with vectors of length {d + 1}: {told}")
    limit = float(values.abs().max().clamp(min=1))
    return Frames.from_arrays(
        torch.stack([wanted, values, signs], dim=2).flip(-2).numpy(),
        {"table": list(tables), "length d": list(range(1, n + 1))},
        alts,
        title="How long must the vectors be?",
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
    """The widget: the t-SNE map before training beside that of a later step, coloured by label or
    by corner.

    Args:
        maps: S arrays `[n, 2]`.
        steps: S steps of training.
        corner: `[n]` which corner each point belongs to.
        label: `[n]` 0 or 1.
        purity: S neighbour purities, by label.
        cut: S accuracies of a straight cut.
        trust: S trustworthinesses of the maps.
    """
    likes = [(label == value).numpy() for value in (0, 1)]
    bits = ["".join(str(int(bit)) for bit in row) for row in parity(3)[0]]
    corners = [(corner == i).numpy() for i in range(len(bits))]
    colored = {
        "label": (("dislike", "like"), likes, "oo"),
        "corner": (bits, corners, "os^Dvp*X"),
    }
    figures, alts, captions = [], [], []
    for by, (names, groups, markers) in colored.items():
        for points, step, share, line, t in zip(maps, steps, purity, cut, trust, strict=True):
            figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.9))
            for ax, shown, when in ((axes[0], maps[0], steps[0]), (axes[1], points, step)):
                for i, (name, rows) in enumerate(zip(names, groups, strict=True)):
                    ax.scatter(
                        *shown[rows].T, s=9, color=list(PALETTE.values())[i], label=name, lw=0,
                        marker=markers[i],
                    )  # fmt: skip
                told = f"after {when} steps" if when else "before training"
                ax.set(xticks=[], yticks=[], title=told)
                ax.legend(
                    loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, fontsize=8,
                    markerscale=2.5, handletextpad=0, columnspacing=0.8,
                )  # fmt: skip
            figures.append(to_png(figure))
            told = f"neighbour purity {share:.2f}; a straight cut gets {line:.0%} right"
            told += f" (before training {purity[0]:.2f} and {cut[0]:.0%})" if step else ""
            captions.append(
                f"In the 16 dimensions after {step} steps: {told}. "
                f"Trustworthiness of this map: {t:.2f}."
            )
            alts.append(
                f"Two maps of 800 points in the hidden layer by {by}, before training and after "
                f"{step} steps: {told}"
            )
    return Frames.from_images(
        figures,
        {"coloured by": list(colored), "step of training": list(steps)},
        alts,
        title="The last hidden layer before and after it has learned parity",
        captions=captions,
        start=[0, len(steps) - 1],
    )
