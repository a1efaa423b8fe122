"""Figures of chapter 04's records: the first stage by the log and by the truth, both in charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show

POPULAR, TRUTH = "the most watched", "the truth"
#: Variants of `ch04/candidates` in words, the losses of one kind together.
FIRST = {
    "static user vector": "a vector for each person",
    "full softmax": "full softmax",
    "sampled": "sampled, with log Q",
    "sampled, no log Q": "sampled, without",
    "in-batch": "in-batch, with log Q",
    "in-batch, no log Q": "in-batch, without",
}
WITHOUT = PALETTE["vermilion"]


def recalls(record: dict, name: str, k: int = 50) -> list[float]:
    """Recall@k of the next watch in each world, of a variant, `POPULAR` or `TRUTH`."""
    worlds = record["figures"]["worlds"]
    if name == POPULAR:
        return [world["popularity"][str(k)] for world in worlds]
    if name == TRUTH:
        return [world["oracle"]["the truth"] for world in worlds]
    return [run["recall"][str(k)] for run in record["figures"]["first"][name]]


def worth(record: dict, name: str, measure: str = "clicks") -> list[float]:
    """Share of the learnable of ten films by the truth in each world; "clicks" or "ndcg"."""
    n = len(record["figures"]["worlds"])
    if name in (POPULAR, TRUTH):
        return [float(name == TRUTH)] * n
    return [run["truth"][measure] for run in record["figures"]["first"][name]]


def log_and_truth(record: dict) -> Picture:
    """Every first stage twice: what it finds in the log, and what its films are worth."""
    names = [*FIRST, POPULAR, TRUTH]
    order = sorted(names, key=lambda name: np.mean(recalls(record, name)))
    panels = {
        "recall@50 of the next watch\n(the log)": recalls,
        "share of the learnable clicks\n(the truth)": worth,
    }
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 0.9 + 0.38 * len(order)), sharey=True)
    told = []
    for ax, (words, of) in zip(axes, panels.items(), strict=True):
        for y, name in enumerate(order):
            _dots(ax, y, of(record, name), _colour(name))
        ax.set(xlabel=words)
        means = ", ".join(f"{FIRST.get(n, n)} {np.mean(of(record, n)):.2f}" for n in order)
        told.append(f"{words}: {means}".replace("\n", " "))
    axes[0].set_yticks(range(len(order)), [FIRST.get(name, name) for name in order])
    return show(figure, alt="; ".join(told))


def _colour(name: str) -> str:
    if name in (POPULAR, TRUTH):
        return PALETTE["grey" if name == POPULAR else "black"]
    return WITHOUT if "no log Q" in name else PALETTE["blue"]


def _dots(ax, y: float, values: Sequence[float], colour: str) -> None:
    if min(values) == max(values):  # 0 and 1 by definition
        ax.plot(values[0], y, "D", ms=6, color=colour)
        return
    interval = t_interval(values)
    seed_dots(ax, y, values, interval.high - interval.mean, colour)


def ages(record: dict) -> Picture:
    """How much of what is watched next is of which age, and what the first stage expects."""
    figures = record["figures"]
    curves = {
        "watched": ([world["by age"] for world in figures["worlds"]], "black", "-"),
        "expected, age told": ([r["by age"] for r in figures["first"]["example age"]], "blue", "-"),
        "expected, not told": (
            [run["by age"] for run in figures["first"]["full softmax"]], "vermilion", "--",
        ),
    }  # fmt: skip
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    told = []
    for words, (rows, colour, style) in curves.items():
        mean = 100 * np.mean(rows, axis=0)
        ax.plot(mean, style, color=PALETTE[colour], lw=2, label=words)
        told.append(f"{words}: {mean[:9].sum():.0f} % are films of the last nine days")
    ax.set(xlabel="days since the film came out", ylabel="% of the next watches")
    ax.legend()
    return show(figure, alt="; ".join(told))


# ---------------------------------------------------------------- the second stage


def of_ranker(record: dict, head: str, told: str, place: str, what: str) -> list[float]:
    """A ranker of `ch04/ranking` by one of `watch_time.judge`'s figures, in each world."""
    return [row[what] for row in record["figures"]["rankers"][f"{head}/{told}/{place}"]]


def in_charge(
    record: dict, first: str, second: str, what: str = "clicks", aim: str = "click"
) -> list[float]:
    """What two stages get in charge, as a share of the oracle's, in each world.

    Args:
        record: `ch04/ranking`.
        first, second: as in its "in charge".
        what: "clicks" or "hours".
        aim: the oracle's, "click" or "watch".
    """
    best = [row[what] for row in record["figures"]["oracle"][aim]]
    rows = record["figures"]["in charge"][f"{first}/{second}"]
    return [row[what] / most for row, most in zip(rows, best, strict=True)]


#: What is drawn of both stages in charge: words → (first stage, second stage), by question.
LOSES = {
    "Give the second stage the truth": {
        "200 films from the first network": ("trained", "truth"),
        "200 films at random": ("at random", "truth"),
    },
    "Give the first stage the truth": {
        "the second network orders them": ("truth", "paper"),
    },
    "Both trained": {
        "told as in the paper": ("trained", "paper"),
        "+ what the film is": ("trained", "film"),
        "+ who asks": ("trained", "everything"),
    },
}


def who_loses(record: dict) -> Picture:
    """Two stages in charge: the share of the oracle's clicks, by what each of them knows."""
    rows = [(part, words, key) for part, of in LOSES.items() for words, key in of.items()]
    figure, ax = plt.subplots(figsize=(7.0, 0.9 + 0.42 * (len(rows) + len(LOSES))))
    colours = dict(zip(LOSES, ("blue", "orange", "green"), strict=True))
    y, ticks, told, before = 0.0, [], [], ""
    for part, words, key in rows:
        if part != before:
            y -= 1.0
            ax.text(0.0, y, part, fontsize=10, weight="bold", va="center")
            before = part
        y -= 1.0
        values = in_charge(record, *key)
        mean = float(np.mean(values))
        ax.barh(y, mean, height=0.62, color=PALETTE[colours[part]], alpha=0.45)
        ax.plot(values, [y] * len(values), "o", ms=4, color=PALETTE[colours[part]])
        ticks.append((y, words))
        told.append(f"{part}: {words} {mean:.2f}")
    ax.set_yticks(*zip(*ticks, strict=True))
    ax.set(xlim=(0, 1.0), ylim=(y - 0.6, -0.4), xlabel="clicks in 14 days, share of the oracle's")
    ax.grid(visible=False, axis="y")
    return show(figure, alt="; ".join(told))


#: What is done about the place in the list.
PLACED = {
    "untold": "not told",
    "input": "an input; the first place when serving",
    "added": "a number added to the logit",
    "looked": "a look times a liking",
    "all looked at alike": "no position bias at all",
}


def places(record: dict) -> Picture:
    """The click model by what is done about the place in the list, against the true chances."""
    figure, ax = plt.subplots(figsize=(6.6, 2.6))
    told = []
    for y, (place, words) in enumerate(PLACED.items()):
        values = of_ranker(record, "click", "everything", place, "spearman of clicks")
        _dots(ax, -y, values, PALETTE["grey" if place == "all looked at alike" else "blue"])
        told.append(f"{words} {np.mean(values):.3f}")
    ax.set_yticks([-y for y in range(len(PLACED))], list(PLACED.values()))
    ax.set(xlabel="Spearman with the true chance of a click")
    return show(figure, alt=f"The place in the list: {'; '.join(told)}")


def heads(record: dict, names: Mapping[str, str]) -> Picture:
    """What a ranker is taught: minutes and clicks of its ten films, and clickbait among them."""
    panels = {
        "clicks": "clicks, share of\nthe best ten's",
        "minutes": "minutes, share of\nthe best ten's",
        "bait": "clickbait\namong the ten",
    }
    colours = ("orange", "blue", "green")
    figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.3), sharey=True)
    told = []
    for ax, (what, words) in zip(axes, panels.items(), strict=True):
        for y, (head, colour) in enumerate(zip(names, colours, strict=True)):
            values = of_ranker(record, head, "everything", "added", what)
            _dots(ax, -y, values, PALETTE[colour])
            told.append(f"{what} of {names[head]} {np.mean(values):.2f}")
        ax.set_title(words, fontsize=10)
        ax.set_ylim(-len(names) + 0.4, 0.6)
    axes[0].set_yticks([-y for y in range(len(names))], list(names.values()))
    return show(figure, alt="; ".join(told))
