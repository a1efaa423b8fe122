"""Figures and tables of chapter 06's part on cold start, from its recorded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from recsys_book.show.claims import Comparison, by_world
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show

#: Where a method gets a new film's vector from, as a colour.
COLOURS = {"ids": "grey", "category": "sky", "ridge": "orange", "one": "blue", "content": "green"}
LINES = {"chance": ("grey", ":"), "genre's click rate": ("vermilion", "--")}
LEARNERS = {"ids alone": "orange", "content and ids": "blue"}
#: Policies of the figure on exploring, and how they are drawn.
POLICIES = {
    "uniform": ("grey", ":"),
    "content, no learning": ("sky", "--"),
    "greedy": ("purple", "-"),
    "epsilon 0.1": ("orange", "-"),
    "UCB1": ("vermilion", "-"),
    "Thompson, flat prior": ("blue", "-"),
    "Thompson, content prior": ("blue", "--"),
    "content, personal": ("green", "-"),
}
MEASURES = {"hr": "HR@20", "share": "share of the learnable"}


def values_of(rows: Sequence[Mapping[str, float]], measure: str = "hr") -> list[float]:
    """A figure, a world each."""
    return [row[measure] for row in rows]


def lead(record: dict, a: str, b: str, measure: str = "hr") -> Comparison:
    """Method a less method b, paired over worlds."""
    methods = record["figures"]["methods"]
    return by_world(values_of(methods[a], measure), values_of(methods[b], measure))


def methods_figure(record: dict, measure: str = "hr") -> Picture:
    """Methods by one of MEASURES: a dot a world, the mean with its interval.

    Args:
        record: of the run "cold_start".
        measure: "hr" or "share".
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; it must be one of {', '.join(MEASURES)}")
    methods = record["figures"]["methods"]
    names = [name for name in methods if name not in (*LINES, "oracle")]
    figure, ax = plt.subplots(figsize=(7.2, 0.9 + 0.34 * len(names)))
    told = []
    for y, name in enumerate(reversed(names)):
        values = values_of(methods[name], measure)
        interval = t_interval(values)
        colour = PALETTE[COLOURS.get(name.split()[0], "grey")]
        seed_dots(ax, y, values, interval.high - interval.mean, colour)
        told.append(f"{name} {interval.mean:.3f}")
    for name, (colour, style) in LINES.items():
        mean = float(np.mean(values_of(methods[name], measure)))
        ax.axvline(mean, color=PALETTE[colour], ls=style, lw=1.4, label=name, zorder=0)
        told.append(f"{name} {mean:.3f}")
    oracle = float(np.mean(values_of(methods["oracle"], measure)))
    ax.set_yticks(range(len(names)), list(reversed(names)))
    ax.set(xlabel=f"{MEASURES[measure]} (oracle {oracle:.2f}): right is better")
    ax.legend(loc="upper right", fontsize=9)
    told = "; ".join(told[::-1])
    return show(
        figure, alt=f"{MEASURES[measure]} on films nobody has met: {told}; oracle {oracle:.3f}"
    )


def learning_figure(record: dict, measure: str = "share") -> Picture:
    """What a film's first impressions are worth, to ids alone and to content and ids.

    Args:
        record: of the run "cold_start".
        measure: "hr" or "share".
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; it must be one of {', '.join(MEASURES)}")
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    told = []
    for kind, by_k in record["figures"]["curve"].items():
        colour, place = PALETTE[LEARNERS[kind]], np.arange(len(by_k))
        every = np.array([values_of(rows, measure) for rows in by_k.values()])  # [k, worlds]
        intervals = [t_interval(row) for row in every]
        mean = [interval.mean for interval in intervals]
        ax.plot(place, mean, "-o", ms=5, color=colour, label=kind)
        ax.fill_between(
            place, [i.low for i in intervals], [i.high for i in intervals], color=colour, alpha=0.15
        )
        steps = zip(by_k, mean, strict=True)
        told.append(f"{kind}: " + ", ".join(f"{m:.3f} after {k}" for k, m in steps))
    ax.set_xticks(place, list(by_k))
    ax.set(xlabel="impressions of each new film in training", ylabel=MEASURES[measure])
    ax.legend()
    return show(figure, alt=f"{MEASURES[measure]} by impressions a film has had. {'; '.join(told)}")


def learning_lead(record: dict, k: int, measure: str = "share") -> Comparison:
    """Content and ids less ids alone, after k impressions of each film, paired over worlds."""
    curve = record["figures"]["curve"]
    rows = [values_of(curve[kind][str(k)], measure) for kind in ("content and ids", "ids alone")]
    return by_world(*rows)


def regret_figure(record: dict, n: int, against: str = "regret") -> Picture:
    """Clicks lost, request by request: the mean over worlds, and their range as a band.

    Args:
        record: of the run "cold_start".
        n: length of the stream, one of those recorded.
        against: "regret" counts against the one film that is best for everybody, "personal regret"
            against the best film for each request.
    """
    bandits = record["figures"]["bandits"]
    if str(n) not in bandits:
        raise ValueError(f"n is {n}; recorded are {', '.join(bandits)}")
    if against not in ("regret", "personal regret"):
        raise ValueError(f"against is {against!r}; it must be 'regret' or 'personal regret'")
    places = record["figures"]["points"][str(n)]
    figure, ax = plt.subplots(figsize=(7.2, 3.8))
    ends = []
    for name, (colour, style) in POLICIES.items():
        if against == "regret" and name == "content, personal":
            continue  # it never looks for the best film for everybody
        curves = np.array([row[against] for row in bandits[str(n)][name]])  # [worlds, points]
        mean = curves.mean(0)
        ax.plot(places, mean, ls=style, color=PALETTE[colour], label=name)
        ax.fill_between(
            places, curves.min(0), curves.max(0), color=PALETTE[colour], alpha=0.08, lw=0
        )
        ends.append((mean[-1], name))
    words = "the best film for everybody" if against == "regret" else "the best film for each"
    ax.set(xlabel="requests", ylabel="clicks lost so far", title=f"against {words}")
    ax.set_xlim(0, n)
    ax.set_ylim(bottom=0)
    figure.legend(loc="outside right center", fontsize=9)
    told = "; ".join(f"{name} {end:,.0f}" for end, name in sorted(ends))
    return show(figure, alt=f"Expected clicks lost after {n:,} requests against {words}: {told}")


def policies_table(record: dict, n: int) -> pd.DataFrame:
    """Policies by how little they lose in the mean: clicks, regret against the best single film at
    the end of the stream, and its range over worlds. Those that know who is asking stand below,
    without a regret: they do not look for one film that is best for everybody.

    Args:
        record: of the run "cold_start".
        n: length of the stream, one of those recorded.
    """
    bandits = record["figures"]["bandits"]
    if str(n) not in bandits:
        raise ValueError(f"n is {n}; recorded are {', '.join(bandits)}")
    rows, order = {}, {}
    for name, runs in bandits[str(n)].items():
        ends = [run["regret"][-1] for run in runs]
        personal = name.endswith(", personal")
        order[name] = (personal, np.mean(ends))
        rows[name] = {
            "clicks": t_interval(values_of(runs, "clicks")).text(0),
            "regret, mean": "" if personal else f"{np.mean(ends):,.0f}",
            "regret, least to most": "" if personal else f"{min(ends):,.0f} to {max(ends):,.0f}",
        }
    return pd.DataFrame({name: rows[name] for name in sorted(rows, key=order.get)}).T


def bandit_lead(record: dict, n: int, a: str, b: str) -> Comparison:
    """Clicks of n requests under policy a less those under policy b, paired over worlds."""
    policies = record["figures"]["bandits"][str(n)]
    return by_world(*([row["clicks"] for row in policies[name]] for name in (a, b)))
