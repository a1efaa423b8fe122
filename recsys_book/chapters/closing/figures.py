"""Tables and the picture of the leaderboard.

`entries` is what the record holds: entry → a row a world, each with the figures of
`leaderboard.outcome`. Rows stand in the order of the worlds, so that entries are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd

from recsys_book.chapters.closing.leaderboard import BY_CLICKS, BY_WATCH, CHAPTERS, POPULARITY
from recsys_book.show.claims import Comparison, by_world
from recsys_book.show.intervals import Interval, learnable_interval, t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show

Entries = Mapping[str, Sequence[dict]]

#: Which oracle each figure is held against.
ORACLES = {"clicks": BY_CLICKS, "hours": BY_WATCH}
COLOURS = {"00": "blue", "03": "purple", "04": "green", "05": "vermilion", "": "black"}


def values(entries: Entries, name: str, figure: str) -> list[float]:
    """A figure of an entry, a world each.

    Raises:
        ValueError: no such entry.
    """
    if name not in entries:
        raise ValueError(f"name is {name!r}; entries are {', '.join(entries)}")
    return [row[figure] for row in entries[name]]


def thousands(entries: Entries, name: str, figure: str) -> Interval:
    """Clicks or hours, in thousands."""
    return t_interval([value / 1_000 for value in values(entries, name, figure)])


def share(entries: Entries, name: str, figure: str) -> Interval:
    """Clicks or hours as a share of those of the oracle that aims at them, world by world."""
    oracle = values(entries, ORACLES[figure], figure)
    return t_interval(
        [mine / best for mine, best in zip(values(entries, name, figure), oracle, strict=True)]
    )


def lead(entries: Entries, name: str, figure: str) -> Interval:
    """Share of the learnable, world by world: 0 as popularity, 1 as the oracle."""
    return learnable_interval(
        *(values(entries, who, figure) for who in (name, POPULARITY, ORACLES[figure]))
    )


def gap(entries: Entries, a: str, b: str, figure: str) -> Comparison:
    """a beside b, paired over worlds: clicks and hours as shares of the oracle's, others as is."""
    pair = [values(entries, name, figure) for name in (a, b)]
    if figure in ORACLES:
        oracle = values(entries, ORACLES[figure], figure)
        pair = [[mine / best for mine, best in zip(v, oracle, strict=True)] for v in pair]
    return by_world(*pair)


def order(entries: Entries, figure: str = "clicks") -> list[str]:
    """Entries by the mean of a figure, the largest first."""
    return sorted(entries, key=lambda name: -sum(values(entries, name, figure)))


def ranking_table(entries: Entries, figure: str = "clicks") -> pd.DataFrame:
    """Who got how many clicks (or hours), the most first: means and 95 % intervals over worlds."""
    return pd.DataFrame(
        {
            name: {
                "chapter": CHAPTERS.get(name, ""),
                f"{figure}, thousands": thousands(entries, name, figure).text(1),
                "of the oracle's": _text(share(entries, name, figure)),
                "of the learnable": _text(lead(entries, name, figure)),
            }
            for name in order(entries, figure)
        }
    ).T


def _text(interval: Interval) -> str:
    """Popularity is 0 and the oracle 1 by definition, without an interval."""
    return interval.text(3) if interval.low < interval.high else f"{interval.mean:.0f}"


def catalogue_table(entries: Entries) -> pd.DataFrame:
    """What each entry shows: how much of the catalogue, how evenly, and how much clickbait."""
    interval = lambda name, figure: t_interval(values(entries, name, figure)).text(3)
    return pd.DataFrame(
        {
            name: {
                "films shown at least once": interval(name, "shown"),
                "Gini of impressions": interval(name, "gini"),
                "clickbait among impressions": interval(name, "bait"),
            }
            for name in order(entries)
        }
    ).T


def next_below_table(entries: Entries, figure: str = "clicks") -> pd.DataFrame:
    """Each entry less the next one below, in shares of the oracle's, and whether that can be told
    from nothing."""
    rows = []
    for above, below in pairwise(order(entries, figure)):
        between = gap(entries, above, below, figure)
        verdict = "more" if between.low > 0 else "cannot be told apart"
        rows.append((above, below, between.text(3, sign="+"), verdict))
    columns = ["above", "below", f"{figure}, of the oracle's", "95 % interval says"]
    return pd.DataFrame(rows, columns=columns)


def own_table(
    entries: Entries, name: str, rows: Sequence[dict], figure: str = "clicks"
) -> pd.DataFrame:
    """`ranking_table` with an entry of one's own, and that entry less every other one, in shares
    of the oracle's."""
    every = {**entries, name: rows}
    table = ranking_table(every, figure)
    table["yours less this one"] = [
        "" if other == name else gap(every, name, other, figure).text(3, sign="+")
        for other in table.index
    ]
    return table


def leaderboard_figure(entries: Entries) -> Picture:
    """Clicks and hours of every entry: a dot a world, the mean and its interval; the oracle's mean
    as a line."""
    names = order(entries)[::-1]
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 1.1 + 0.3 * len(names)), sharey=True)
    told = {name: [] for name in names}
    for ax, (measure, oracle) in zip(axes, ORACLES.items(), strict=True):
        for y, name in enumerate(names):
            interval = thousands(entries, name, measure)
            colour = PALETTE[COLOURS[CHAPTERS.get(name, "")]]
            dots = [value / 1_000 for value in values(entries, name, measure)]
            seed_dots(ax, y, dots, interval.high - interval.mean, colour)
            told[name].append(f"{interval.mean:.1f}")
        best = thousands(entries, oracle, measure).mean
        ax.axvline(best, color=PALETTE["black"], lw=1, ls="--", zorder=0)
        ax.set(xlabel=f"{measure}, thousands", ylim=(-0.6, len(names) - 0.4))
        ax.set_xlim(0, 1.08 * best)
    labels = [f"{name} ({CHAPTERS[name]})" if CHAPTERS.get(name) else name for name in names]
    axes[0].set_yticks(range(len(names)), labels)
    lines = "; ".join(f"{name} {' and '.join(told[name])}" for name in reversed(names))
    return show(
        figure,
        alt="Thousands of clicks and of hours watched, mean over worlds, best by clicks first: "
        f"{lines}. A dashed line marks the oracle that aims at each.",
    )
