"""The book's figures: one style, alt text, and diagrams that cannot drift from the model."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import nn

from recsys_book.train import History

#: Okabe and Ito's palette: told apart with every common form of colour blindness.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "grey": "#666666",
    "black": "#000000",
}

#: Blue for dislikes, orange for likes, white between: for anything with a sign.
SIGNED = LinearSegmentedColormap.from_list(
    "signed", [PALETTE["blue"], "#9CC9E3", "#FFFFFF", "#F5D08A", PALETTE["orange"]]
)


def use_style() -> None:
    """Set the book's style: light, large enough for a phone, colour-blind safe."""
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        palette=list(PALETTE.values()),
        rc={
            "figure.dpi": 100,
            "figure.figsize": (6.4, 3.6),
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
        },
    )


def to_png(figure: Figure, dpi: int = 110, colors: int = 96) -> bytes:
    """Save a figure as a quantized PNG (about a quarter of the size) and close it.

    Args:
        figure: a matplotlib figure.
        dpi: dots per inch.
        colors: size of the PNG's palette, 2..256.
    """
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi, facecolor="white")
    plt.close(figure)
    small = io.BytesIO()
    image = Image.open(raw).convert("RGB")
    image.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()


class Picture:
    """A figure with its alt text, shown the same way in Jupyter, Colab and the book."""

    def __init__(self, png: bytes, alt: str, width: int) -> None:
        self.png, self.alt, self.width = png, alt, width

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return (
            f'<img class="book-figure" alt="{html.escape(self.alt)}" width="{self.width}" '
            f'src="data:image/png;base64,{data}">'
        )


class Fold:
    """A picture or a table under a line that opens, for what is not on the main line."""

    def __init__(self, title: str, picture: Any, words: str) -> None:
        self.title, self.picture, self.words = title, picture, words

    def __repr__(self) -> str:
        return f"[{self.title}: {self.picture!r}]"

    def _repr_html_(self) -> str:
        words = f"<p>{html.escape(self.words)}</p>" if self.words else ""
        return (
            f"<details><summary><b>{html.escape(self.title)}</b></summary>{words}"
            f"{self.picture._repr_html_()}</details>"
        )


def fold(title: str, picture: Any, words: str = "") -> Fold:
    """Show a picture or a table folded, with a line above it that says what it is.

    Args:
        title: the line that stays in sight.
        picture: whatever shows itself as HTML.
        words: above it, once it is open.
    """
    return Fold(title, picture, words)


def show(figure: Figure, alt: str) -> Picture:
    """Turn a matplotlib figure into a picture that carries its alt text.

    Args:
        figure: drawn, not yet closed.
        alt: what the figure shows, in a sentence; may hold figures of the run.

    Raises:
        ValueError: an empty alt text.
    """
    if not alt.strip():
        raise ValueError("alt is empty; say in a sentence what the figure shows")
    width = round(figure.get_size_inches()[0] * 100)
    return Picture(to_png(figure, dpi=200), alt, width)


def seed_dots(ax: plt.Axes, y: float, values: Sequence[float], reach: float, colour: str) -> None:
    """One row of a comparison: a dot a seed, and their mean with an interval.

    Args:
        ax: drawn into.
        y: height of the row.
        values: a figure a seed.
        reach: from the mean to an end of the interval.
        colour: of the row.
    """
    ax.plot(values, [y] * len(values), "o", ms=4, alpha=0.4, color=colour)
    mean = sum(values) / len(values)
    ax.errorbar(mean, y, xerr=reach, fmt="D", ms=5, color=colour, capsize=3)


def training_curves(history: History) -> Picture:
    """Training loss of every epoch, and beside it the score with the best epoch marked.

    Raises:
        ValueError: no epoch is finished yet.
    """
    if not history.loss:
        raise ValueError("history is empty; train for an epoch first")
    curves = {"training loss": history.loss}
    if history.score:
        curves["validation"] = history.score
    figure, axes = plt.subplots(1, len(curves), figsize=(3.3 * len(curves), 2.8), squeeze=False)
    for ax, (name, values) in zip(axes[0], curves.items(), strict=True):
        epochs = range(1, len(values) + 1)
        ax.plot(epochs, values, marker="o", ms=3, color=PALETTE["blue"])
        ax.axvline(history.best_epoch + 1, color=PALETTE["vermilion"], ls="--", lw=1)
        ax.set(title=name, xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    alt = f"Training loss from {history.loss[0]:.4g} to {history.loss[-1]:.4g}"
    alt += f" over {len(history.loss)} epochs"
    if history.score:
        alt += f"; validation best in epoch {history.best_epoch + 1}, at {history.best_score:.4g}"
    return show(figure, alt + "; the dashed line marks the epoch whose weights were kept.")


def sign_table(
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    ax: plt.Axes | None = None,
) -> Figure:
    """A small table of likes (+) and dislikes (−), in colour and in signs.

    Args:
        table: `[rows, columns]`; above 0 is a like.
        rows: names of the rows.
        columns: names of the columns.
        title: over the table.
        ax: where to draw; a new figure by default.
    """
    table = np.asarray(table)
    if ax is None:
        _, ax = plt.subplots(figsize=(1.5 + 1.5 * len(columns), 0.9 + 0.75 * len(rows)))
    for i, j in np.ndindex(*table.shape):
        like = table[i, j] > 0
        color = PALETTE["orange"] if like else PALETTE["blue"]
        ax.add_patch(plt.Rectangle((j, i), 1, 1, facecolor=color + "55", edgecolor="white", lw=3))
        text = "+  likes" if like else "−  dislikes"
        ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=11)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0), title=title)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.grid(False)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax.figure


# ---------------------------------------------------------------- architecture diagrams


@dataclass(frozen=True)
class Box:
    """One box of a diagram.

    Attributes:
        text: what it says; the shape is added under it.
        x: centre, in units of a box's width.
        y: centre, in units of a box's height; larger is higher.
        shape: its output's shape in letters and numbers, such as ("B", "D") or ("B", 1).
        module: name of the submodule whose output this is ("" is the model itself, so its
            logit); None for an input or an operation without a module, whose shape is not checked.
        color: a name in PALETTE.
    """

    text: str
    x: float
    y: float
    shape: tuple[str | int, ...] = ()
    module: str | None = None
    color: str = "grey"


def architecture(
    model: nn.Module,
    inputs: Sequence[torch.Tensor],
    dims: Mapping[str, int],
    boxes: Mapping[str, Box],
    arrows: Sequence[tuple[str, str]],
    title: str = "",
) -> Figure:
    """Draw a model whose stated shapes are held against one real forward pass.

    Args:
        model: the model drawn.
        inputs: what its forward takes.
        dims: the letters used in shapes, such as {"B": 4, "D": 8}.
        boxes: name → Box.
        arrows: (from, to) names of boxes.
        title: over the drawing.

    Raises:
        ValueError: a box names a module that does not exist or never ran, or its shape is not
            what the forward pass gave.
    """
    ran = _output_shapes(model, inputs, [b.module for b in boxes.values() if b.module is not None])
    for name, box in boxes.items():
        if box.module is None:
            continue
        stated = tuple(dims[s] if isinstance(s, str) else s for s in box.shape)
        found = ran[box.module]
        if stated != found:
            raise ValueError(
                f"box {name!r} says {box.shape} = {stated}; module {box.module!r} gave {found}"
            )
    return _draw(boxes, arrows, title)


def _output_shapes(model, inputs, names) -> dict[str, tuple[int, ...]]:
    modules, hooks = dict(model.named_modules()), []
    shapes: dict[str, tuple[int, ...]] = {}
    for name in names:
        if name not in modules:
            raise ValueError(f"a box names module {name!r}; {type(model).__name__} has none")
        record = lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape))
        hooks.append(modules[name].register_forward_hook(record))
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for name in names:
        if name not in shapes:
            raise ValueError(f"a box names module {name!r}; the forward pass never ran it")
    return shapes


def _draw(boxes: Mapping[str, Box], arrows, title: str) -> Figure:
    wide, high = 1.6, 0.62  # of a box, in inches
    xs, ys = [b.x for b in boxes.values()], [b.y for b in boxes.values()]
    size = ((max(xs) - min(xs) + 1.3) * wide, (max(ys) - min(ys) + 1.4) * high + 0.3 * bool(title))
    figure, ax = plt.subplots(figsize=size)
    ax.set_xlim((min(xs) - 0.65) * wide, (max(xs) + 0.65) * wide)
    ax.set_ylim((min(ys) - 0.7) * high, (max(ys) + 0.7) * high)
    ax.axis("off")
    ax.set_title(title)
    half = high * 0.4
    for box in boxes.values():
        color = PALETTE[box.color]
        corner = (box.x * wide - 0.46 * wide, box.y * high - half)
        ax.add_patch(
            FancyBboxPatch(
                corner,
                0.92 * wide,
                2 * half,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=color + "22",
                edgecolor=color,
                linewidth=1.4,
            )
        )
        shape = f"[{', '.join(str(s) for s in box.shape)}]" if box.shape else ""
        ax.text(
            box.x * wide,
            box.y * high,
            f"{box.text}\n{shape}".strip(),
            ha="center",
            va="center",
            fontsize=8.5,
            linespacing=1.3,
        )
    for start, end in arrows:
        a, b = boxes[start], boxes[end]
        up = (b.y > a.y) - (b.y < a.y)
        side = (b.x > a.x) - (b.x < a.x) if up == 0 else 0
        tail = (a.x * wide + side * 0.46 * wide, a.y * high + up * half)
        head = (b.x * wide - side * 0.46 * wide, b.y * high - up * half)
        ax.add_patch(
            FancyArrowPatch(
                tail, head, arrowstyle="-|>", mutation_scale=11, color="#444444", lw=1.1
            )
        )
    return figure
