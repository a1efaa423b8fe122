"""Figures and widgets of chapter 00."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import Tensor

from recsys_book.chapters.ch00_why_deep_learning.lab import shares
from recsys_book.maps import neighbour_purity, random_purity, trustworthiness
from recsys_book.service.world import EFFECTS, GENRES, World
from recsys_book.show.claims import Comparison, by_world
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, show, to_png
from recsys_book.widgets import Frames

#: One colour a rung, the same in every figure.
COLORS = {
    "Popularity": "grey", "ItemKNN": "sky", "EASE": "sky", "IALS": "sky",
    "MF": "blue", "FM": "green", "DNN": "orange", "Oracle": "black",
}  # fmt: skip
NAMES = {"ItemKNN": "item kNN", "IALS": "iALS"}
MEASURES = {"log_loss": "clicks, by log-loss", "ndcg": "catalogue, by NDCG@10"}

Runs = Sequence[Mapping[str, dict]]  # one entry a seed, as `climb` gives them


def share_values(runs: Runs, measure: str) -> dict[str, list[float]]:
    """rung → share of the learnable under each seed."""
    rows = [shares(run, measure) for run in runs]
    return {rung: [row[rung] for row in rows] for rung in rows[0]}


def ladder_figure(runs: Runs) -> Picture:
    """Every rung's share of the learnable, with intervals over seeds, for both questions."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.4), sharex=True)
    told = []
    for ax, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        values = share_values(runs, measure)
        rungs = [r for r in COLORS if r in values]
        for y, rung in enumerate(rungs):
            color = PALETTE[COLORS[rung]]
            interval = t_interval(values[rung])
            half = interval.high - interval.mean
            ax.errorbar(interval.mean, y, xerr=half, fmt="o", color=color, capsize=4, ms=7)
            ax.text(interval.high + 0.04, y, f"{interval.mean:.2f}", va="center", fontsize=9)
            told.append(f"{NAMES.get(rung, rung)} {interval.mean:.2f}")
        ax.set_yticks(range(len(rungs)), [NAMES.get(r, r) for r in rungs])
        ax.set(xlim=(-0.08, 1.2), title=title, xlabel="share of the learnable")
        for x in (0, 1):
            ax.axvline(x, color=PALETTE["grey"], ls="--", lw=1, zorder=0)
    return show(
        figure,
        alt=f"Share of the learnable of each rung, {len(runs)} worlds; by log-loss, then by NDCG: "
        + ", ".join(told),
    )


#: Rows of the price table, from the bottom of the ladder to its end.
PRICED = ("Popularity", "EASE", "MF", "FM", "DNN", "Oracle")


def price_table(runs: Runs, recorded: Runs, n_films: int) -> pd.DataFrame:
    """What each rung reaches and what it costs, as text.

    Args:
        runs: whose AUC, log-loss and NDCG are shown, mean over worlds.
        recorded: whose seconds are shown, median over worlds: a time taken while a page is made
            tells about that machine's other work.
        n_films: N; EASE learns a weight for each ordered pair of different films.

    Returns:
        one row a rung of PRICED; empty where a rung has no such figure.
    """

    def values(some: Runs, rung: str, measure: str) -> list[float]:
        return [run[rung][measure] for run in some if measure in run[rung]]

    rows = {}
    for rung in PRICED:
        row = {}
        for name, measure in {"AUC": "auc", "log-loss": "log_loss", "NDCG@10": "ndcg"}.items():
            found = values(runs, rung, measure)
            row[name] = f"{np.mean(found):.3f}" if found else ""
        numbers = [n_films * (n_films - 1)] if rung == "EASE" else values(runs, rung, "parameters")
        row["numbers learned"] = f"{round(np.mean(numbers)):,}" if numbers else ""
        seconds = values(recorded, rung, "seconds")
        row["seconds, recorded"] = f"{np.median(seconds):.2f}" if seconds else ""
        rows[NAMES.get(rung, rung)] = row
    return pd.DataFrame(rows).T


def effects_frames(record: dict) -> Frames:
    """The widget: switch one planted effect off, in one of three worlds, and see which rung falls.

    Args:
        record: of `python -m recsys_book.reproduce ch00/simulated`.
    """
    rungs = ("MF", "FM", "DNN")
    whole, without = record["figures"]["small"], record["figures"]["without"]
    every = {"nothing": whole, **without}
    figures, alts, captions = [], [], []
    for effect, runs in every.items():
        for seed, run in enumerate(runs):
            now, before = shares(run, "log_loss"), shares(whole[seed], "log_loss")
            figure, ax = plt.subplots(figsize=(6.0, 2.5))
            for y, rung in enumerate(rungs):
                color = PALETTE[COLORS[rung]]
                ax.barh(y, now[rung], color=color, height=0.55)
                ax.barh(y, before[rung], color="none", edgecolor=PALETTE["black"], height=0.7)
                ax.text(max(now[rung], before[rung], 0) + 0.015, y, f"{now[rung]:.2f}", va="center")
            ax.set_yticks(range(3), rungs)
            ax.axvline(0, color=PALETTE["grey"], lw=1)
            ax.set(xlim=(-0.15, 0.85), xlabel="share of the learnable, by log-loss (oracle: 1)")
            ax.grid(axis="y", visible=False)
            figures.append(to_png(figure))
            told = ", ".join(f"{r} {now[r]:.2f} (was {before[r]:.2f})" for r in rungs)
            meaning = EFFECTS.get(effect, "everything is planted")
            captions.append(f"Off: {effect}. {meaning[0].upper()}{meaning[1:]}. Outline: all on.")
            alts.append(f"With {effect} switched off, in world {seed}: {told}")
    return Frames.from_images(
        figures,
        {"switched off": list(every), "world": list(range(len(whole)))},
        alts,
        title="Switch one planted effect off: which rung loses its lead?",
        captions=captions,
        start=[list(every).index("three_way"), len(whole) - 1],
    )


LEADS = (("MF", "Popularity"), ("FM", "MF"), ("DNN", "FM"))


def leads(runs: Runs) -> dict[str, Comparison]:
    """ "MF over Popularity" and so on → both log-losses, in nats."""
    loss = lambda rung: [run[rung]["log_loss"] for run in runs]
    return {f"{a} over {b}": by_world(loss(a), loss(b)) for a, b in LEADS}


def leads_figure(record: dict) -> Picture:
    """Heat map: each rung's lead over the one below, with each effect switched off alone."""
    every = {"nothing": record["figures"]["small"], **record["figures"]["without"]}
    table = {effect: leads(runs) for effect, runs in every.items()}
    columns = list(next(iter(table.values())))
    means = np.array([[-1_000 * table[e][c].value for c in columns] for e in table])
    text = [
        [
            f"{mean:.1f}".replace("-", "−") + ("" if table[e][c].high < 0 else " ?")
            for c, mean in zip(columns, row, strict=True)
        ]
        for e, row in zip(table, means, strict=True)
    ]
    figure, ax = plt.subplots(figsize=(6.4, 4.4))
    sns.heatmap(
        pd.DataFrame(means / means[0], [e.replace("_", " ") for e in table], columns),
        annot=np.array(text), fmt="", cmap=sns.light_palette(PALETTE["blue"], as_cmap=True),
        vmin=0, vmax=1.5, cbar=False, linewidths=1, ax=ax,
    )  # fmt: skip
    ax.set(ylabel="switched off")
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.tick_params(axis="y", rotation=0)
    least = {c: list(table)[int(means[:, j].argmin())] for j, c in enumerate(columns)}
    return show(
        figure,
        alt="Leads in log-loss with each effect switched off: "
        + "; ".join(f"{c} is smallest without {e}" for c, e in least.items()),
    )


def less_data_figure(record: dict) -> Picture:
    """Shares on the whole log and on a quarter of it."""
    rungs = ("MF", "FM", "DNN")
    figure, ax = plt.subplots(figsize=(6.0, 3.0))
    told = []
    for place, (name, runs) in enumerate(
        (("whole log", record["figures"]["small"]), ("a quarter", record["figures"]["quarter"]))
    ):
        values = share_values(runs, "log_loss")
        for i, rung in enumerate(rungs):
            interval = t_interval(values[rung])
            ax.errorbar(
                place + (i - 1) * 0.15, interval.mean, interval.high - interval.mean, fmt="o",
                color=PALETTE[COLORS[rung]], capsize=4, label=rung if place == 0 else None,
            )  # fmt: skip
            told.append(f"{rung} on {name} {interval.mean:.2f}")
    ax.axhline(0, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(1.45, 0.01, "popularity", ha="right", fontsize=9)
    ax.set(xlim=(-0.5, 1.5), ylabel="share (popularity 0, oracle 1)")
    ax.set_xticks([0, 1], ["the whole log", "a quarter of it"])
    ax.legend(loc="upper center")
    return show(figure, alt="Share of the learnable by log-loss: " + ", ".join(told))


def films_figure(record: dict) -> Picture:
    """Recorded HR@10 and NDCG@10 on ml-latest-small."""
    result = record["figures"]["films"]["rungs"]
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), sharey=True)
    told = []
    for ax, (measure, title) in zip(
        axes, {"hit_rate": "HR@10", "ndcg": "NDCG@10"}.items(), strict=True
    ):
        for y, rung in enumerate(result):
            values = [run[measure] for run in result[rung]["runs"]]
            half = t_interval(values).high - np.mean(values) if len(values) > 1 else 0
            ax.errorbar(
                np.mean(values), y, xerr=half, fmt="o", color=PALETTE[COLORS[rung]], capsize=4
            )
            told.append(f"{NAMES.get(rung, rung)} {title} {np.mean(values):.3f}")
        ax.set(title=title, xlim=(0, None))
    axes[0].set_yticks(range(len(result)), [NAMES.get(r, r) for r in result])
    return show(figure, alt="On ml-latest-small, full catalogue: " + ", ".join(told))


def luck_of_people(record: dict, a: str, b: str) -> str:
    """How far other people would move a difference in HR@10 on MovieLens small, as a sentence.

    A hit is a yes or a no for each person, so the shares alone give the standard error of their
    difference if the models' hits were independent. Models often find the same people's films, and
    then it is smaller.

    Args:
        record: of `python -m recsys_book.reproduce ch00/films`.
        a, b: rungs; the mean over starts of each.
    """
    films = record["figures"]["films"]
    shares = [np.mean([run["hit_rate"] for run in films["rungs"][rung]["runs"]]) for rung in (a, b)]
    error = np.sqrt(sum(share * (1 - share) for share in shares) / films["users"])
    return (
        f"HR@10: {a} {shares[0]:.3f}, {b} {shares[1]:.3f}, difference {shares[0] - shares[1]:.3f}; "
        f"another {films['users']} people may move it by ±{1.96 * error:.3f}"
    )


def film_map_frames(vectors: Sequence[Tensor], maps: Sequence[np.ndarray], world: World) -> Frames:
    """The widget: t-SNE maps of the films, epoch by epoch, by genre and by popularity.

    Args:
        vectors: film vectors `[N, D]`, one an epoch, the start included.
        maps: of the same epochs, `[N, 2]`.
        world: its films.
    """
    genre = world.film.genre.astype(int)
    label = torch.from_numpy(world.film.genre)
    purity = [neighbour_purity(v, label) for v in vectors]
    trust = [trustworthiness(v, flat) for v, flat in zip(vectors, maps, strict=True)]
    at_random = random_purity(label)
    shown = np.log10(1 + np.bincount(world.log.film.numpy(), minlength=world.n_films))
    figures, alts, captions = [], [], []
    for by in ("genre", "popularity"):
        for epoch, points in enumerate(maps):
            figure, ax = plt.subplots(figsize=(6.2, 4.6))
            if by == "genre":
                colors = sns.color_palette(list(PALETTE.values())[:6], 6)
                for g, name in enumerate(GENRES):
                    rows = genre == g
                    ax.scatter(
                        *points[rows].T, s=16, lw=0.4, color=colors[g % 6], label=name,
                        marker="o" if g < 6 else "^",
                    )  # fmt: skip
                ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, handletextpad=0)
            else:
                dots = ax.scatter(*points.T, s=16, c=shown, cmap="cividis", lw=0)
                bar = figure.colorbar(dots, ax=ax, ticks=[2, 3], label="times shown")
                bar.ax.set_yticklabels(["100", "1,000"])
            ax.set(xticks=[], yticks=[])
            figures.append(to_png(figure))
            told = f"neighbour purity by genre {purity[epoch]:.2f}, random {at_random:.2f}"
            captions.append(
                f"In the vectors themselves: {told}. Trustworthiness of the map: {trust[epoch]:.2f}"
            )
            alts.append(f"Map of {world.n_films} films by {by} after {epoch} epochs: {told}")
    return Frames.from_images(
        figures,
        {"coloured by": ["genre", "popularity"], "epoch": list(range(len(maps)))},
        alts,
        title="Film vectors of matrix factorization, epoch by epoch",
        captions=captions,
        start=[0, len(maps) - 1],
    )
