"""Figures and widgets of chapter 00."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import Tensor

from recsys_book.chapters.ch00_why_deep_learning.ladder import shares
from recsys_book.chapters.ch00_why_deep_learning.moments import MOMENTS, alike, moment_name
from recsys_book.maps import neighbour_purity, random_purity, trustworthiness
from recsys_book.reproduce import read_table
from recsys_book.service.world import (
    AGES,
    EFFECTS,
    GENRES,
    TONES,
    Context,
    World,
)
from recsys_book.show.claims import Comparison, by_people, by_world
from recsys_book.show.intervals import bootstrap_interval, t_interval
from recsys_book.show.plots import PALETTE, Picture, show, to_png
from recsys_book.widgets import Frames

#: One colour a rung, the same in every figure.
COLORS = {
    "Popularity": "grey", "Most clicked": "grey", "ItemKNN": "sky", "EASE": "sky", "IALS": "sky",
    "MF": "blue", "FM": "green", "DNN": "orange", "Ids-only oracle": "purple", "Oracle": "black",
}  # fmt: skip
NAMES = {
    "ItemKNN": "item kNN", "IALS": "iALS", "Most clicked": "most clicked",
    "Ids-only oracle": "ids-only oracle", "Oracle": "oracle",
}  # fmt: skip
MEASURES = {
    "log_loss": "predicting clicks\n(log-loss)",
    "ndcg": "finding the best ten\n(NDCG@10)",
    "clicks": "clicks of its ten films",
}

Runs = Sequence[Mapping[str, dict]]  # one entry a world, as `climb` gives them


def truth_panels(world: World, user: int, mark: str = "") -> Picture:
    """The true chance of a click of one person, by genre and tone, in four moments side by side.

    Args:
        world: any.
        user: whose.
        mark: what the person is called.
    """
    films = torch.arange(world.n_films)
    rows = torch.from_numpy(world.film.genre.astype(np.int64) * 2 + world.film.tone)
    count = rows.bincount(minlength=24).clamp(min=1)
    tables = {}
    for device, daypart in MOMENTS:
        chance = world.click_probability(
            torch.tensor([[user]]), films[None, :], Context(device, daypart)
        )[0]
        mean = torch.zeros(24, dtype=torch.float64).index_add_(0, rows, chance) / count
        tables[moment_name(device, daypart)] = pd.DataFrame(mean.view(12, 2).numpy(), GENRES, TONES)
    top = max(table.to_numpy().max() for table in tables.values())
    figure, axes = plt.subplots(1, 4, figsize=(7.6, 4.0), sharey=True)
    told = []
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        sns.heatmap(
            table, annot=True, fmt=".2f", cmap="cividis", vmin=0, vmax=top, cbar=False, ax=ax,
            annot_kws={"fontsize": 8}, linewidths=0.5,
        )  # fmt: skip
        ax.tick_params(length=0)
        ax.set_title(name, fontsize=10)
        best = table.stack().idxmax()
        told.append(f"{name}: {best[1]} {best[0]} most, {table.to_numpy().max():.2f}")
    return show(
        figure, alt=f"True chance of a click{' of ' + mark if mark else ''}: " + "; ".join(told)
    )


def dark_leads_figure(found: Mapping[str, Sequence[float]]) -> Picture:
    """Dark films ahead of light ones by moment: the truth, and what each model makes of it.

    Args:
        found: of `moments.dark_leads`.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    told = []
    for name, leads in found.items():
        true = name == "the truth"
        style = {"lw": 6, "alpha": 0.25} if true else {"lw": 1.8, "marker": "o"}
        colour = PALETTE["black" if true else COLORS[name]]
        ax.plot(range(len(leads)), leads, color=colour, label=name, **style)
        told.append(f"{name} " + ", ".join(f"{lead:.1f}" for lead in leads))
    names = [moment_name(*moment) for moment in MOMENTS]
    ax.axhline(0, color=PALETTE["grey"], lw=0.8, ls=":")
    ax.set_xticks(range(len(names)), [name.replace(", ", "\n") for name in names])
    ax.set(ylabel="dark ahead of light\n(log-odds)", xlim=(-0.15, len(names) - 0.85))
    ax.legend(fontsize=9, ncol=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return show(
        figure, alt=f"Dark films ahead of light ones in {'; '.join(names)}. " + "; ".join(told)
    )


def share_values(runs: Runs, measure: str) -> dict[str, list[float]]:
    """rung → share of the learnable in each world."""
    rows = [shares(run, measure) for run in runs]
    return {rung: [row[rung] for row in rows] for rung in rows[0]}


def losses(runs: Runs, rung: str) -> list[float]:
    """Log-loss of a rung in each world."""
    return [run[rung]["log_loss"] for run in runs]


def ladder_figure(runs: Runs) -> Picture:
    """Every rung's share of the learnable by three measures, with intervals over worlds; beside
    the ladder, dashed, what the oracle reaches that is told ids alone."""
    figure, axes = plt.subplots(1, 3, figsize=(7.8, 3.6), sharey=True, sharex=True)
    rungs = [r for r in COLORS if r not in ("Ids-only oracle", "Popularity")]
    told = []
    for ax, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        values = share_values(runs, measure)
        for y, rung in enumerate(rungs):
            if rung not in values:
                continue
            color, interval = PALETTE[COLORS[rung]], t_interval(values[rung])
            half = interval.high - interval.mean
            ax.errorbar(interval.mean, y, xerr=half, fmt="o", color=color, capsize=3, ms=6)
            ax.text(
                interval.high + 0.05, y, _short(interval.mean), va="center", fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
            told.append(f"{NAMES.get(rung, rung)} {interval.mean:.2f}")
        ids_only = t_interval(values["Ids-only oracle"]).mean
        ax.axvline(ids_only, color=PALETTE["purple"], ls="--", lw=1.4)
        ax.text(
            ids_only, len(rungs) - 0.3, f"ids alone:\n{_short(ids_only)}", fontsize=8.5,
            ha="center", va="bottom", color="#8a3d6c", linespacing=0.95,
        )  # fmt: skip
        ax.axvline(0, color=PALETTE["grey"], lw=1, zorder=0)
        ax.set(xlim=(-0.12, 1.3), ylim=(-0.6, len(rungs) - 0.4))
        ax.set_title(title, fontsize=10, pad=26)
        ax.set_xticks([0, 0.5, 1], ["popularity\n0", ".5", "oracle\n1"], fontsize=8)
        told.append(f"ids-only oracle {ids_only:.2f} by {measure}")
    axes[0].set_yticks(range(len(rungs)), [NAMES.get(r, r) for r in rungs])
    return show(
        figure,
        alt=f"Share of the learnable of each rung, {len(runs)} worlds; by log-loss, then by NDCG, "
        "then by expected clicks: " + ", ".join(told),
    )


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−").replace("0.", ".") if value < 1 else "1"


PRICES = (
    "Means over five large worlds. Seconds are medians from a busy machine: orders of magnitude. "
    "Popularity here is a number per film that is learned by gradient steps from the impressions, "
    "so it takes as long as MF; a count would take none. Empty cells: kNN, EASE and iALS rank "
    "films and give no probabilities. What it costs to answer a request is the matter of chapter 4."
)
#: Rows of the price table, from the bottom of the ladder to its end.
PRICED = ("Popularity", "ItemKNN", "EASE", "IALS", "MF", "FM", "DNN", "Oracle")


def price_table(runs: Runs, n_films: int) -> pd.DataFrame:
    """What each rung reaches and what it costs, as text.

    Args:
        runs: recorded; means over worlds, of the seconds the median.
        n_films: N; EASE learns a weight for each ordered pair of different films.

    Returns:
        one row a rung of PRICED; empty where a rung has no such figure.
    """

    def values(rung: str, measure: str) -> list[float]:
        return [run[rung][measure] for run in runs if measure in run[rung]]

    rows = {}
    for rung in PRICED:
        row = {}
        for name, measure in {"AUC": "auc", "log-loss": "log_loss"}.items():
            found = values(rung, measure)
            row[name] = f"{np.mean(found):.4f}" if found else ""
        numbers = [n_films * (n_films - 1)] if rung == "EASE" else values(rung, "parameters")
        row["numbers learned"] = f"{round(np.mean(numbers)):,}" if numbers else ""
        seconds = values(rung, "seconds")
        row["seconds to fit"] = _about(float(np.median(seconds))) if seconds else ""
        rows[NAMES.get(rung, rung)] = row
    return pd.DataFrame(rows).T


def _about(seconds: float) -> str:
    """Two digits, as a time that depends on the machine deserves."""
    return f"{float(f'{seconds:.1e}'):.1f}" if seconds < 10 else f"{float(f'{seconds:.1e}'):.0f}"


def learnable(runs: Runs) -> dict[str, float]:
    """rung → thousandths of a nat saved against popularity, mean over worlds; "Oracle" is all that
    can be saved."""
    saved = lambda rung: [
        1_000 * (p - r) for p, r in zip(losses(runs, "Popularity"), losses(runs, rung), strict=True)
    ]
    return {rung: float(np.mean(saved(rung))) for rung in ("MF", "FM", "DNN", "Oracle")}


def effects_frames(record: dict) -> Frames:
    """The widget: switch one planted effect off, and see how long the way to the oracle still is
    and how far each rung comes on it.

    Args:
        record: of `python -m recsys_book.reproduce ch00/simulated`.
    """
    rungs = ("MF", "FM", "DNN")
    whole, without = record["figures"]["small"], record["figures"]["without"]
    before = learnable(whole)
    every = {"nothing": whole, **without}
    longest = max(learnable(runs)["Oracle"] for runs in every.values())
    figures, alts, captions = [], [], []
    for effect, runs in every.items():
        now = learnable(runs)
        figure, axes = plt.subplots(2, 1, figsize=(6.6, 3.2), sharex=True)
        label = f"off: {effect.replace('_', '-')}"
        for ax, found, name in ((axes[0], before, "all effects on"), (axes[1], now, label)):
            ax.barh(0, found["Oracle"], height=0.5, color="#e4e4e4")
            for rung in rungs:
                ax.plot([found[rung]] * 2, [-0.25, 0.25], lw=5, color=PALETTE[COLORS[rung]])
            least = 0.07 * longest  # below it, two words would lie on top of each other
            height, before_it = 0.34, -longest
            for rung in sorted(rungs, key=lambda rung: found[rung]):
                height = 0.95 if found[rung] - before_it < least and height < 0.9 else 0.34
                before_it = found[rung]
                share = _short(found[rung] / found["Oracle"])
                ax.text(
                    found[rung], height, f"{rung}\n{share}", ha="center", va="bottom", fontsize=8,
                    color=PALETTE[COLORS[rung]], linespacing=0.9,
                )  # fmt: skip
            ax.text(found["Oracle"], 0, " oracle", va="center", fontsize=9)
            ax.set_yticks([0], [name])
            ax.set_ylim(-0.4, 1.7)
            ax.set_xlim(-2, longest * 1.14)
            ax.grid(visible=False)
        axes[1].set_xlabel("log-loss saved against popularity (0), in thousandths of a nat")
        figures.append(to_png(figure))
        told = ", ".join(f"{r} {now[r]:.1f} (was {before[r]:.1f})" for r in (*rungs, "Oracle"))
        meaning = EFFECTS.get(effect, "everything is planted")
        captions.append(f"Off: {effect.replace('_', '-')}. {meaning[0].upper()}{meaning[1:]}.")
        alts.append(f"With {effect} switched off, thousandths of a nat saved: {told}")
    return Frames.from_images(
        figures,
        {"switched off": [name.replace("_", "-") for name in every]},
        alts,
        title="Take one effect out: how much is left to learn, and who learns it?",
        captions=captions,
        start=[list(every).index("three_way")],
    )


LEADS = (("MF", "Popularity"), ("FM", "MF"), ("DNN", "FM"))


def leads(runs: Runs) -> dict[str, Comparison]:
    """ "MF over Popularity" and so on → both log-losses, in nats."""
    return {f"{a} over {b}": by_world(losses(runs, a), losses(runs, b)) for a, b in LEADS}


HOW_TO_READ_LEADS = (
    "Each cell is a lead over the rung below, in thousandths of a nat of log-loss; a question "
    "mark where its interval over five worlds does not lie wholly on that side. A pale cell says "
    "that this lead was made of that row's effect. Settings were not chosen again for each row."
)


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
        pd.DataFrame(means / means[0], [e.replace("_", "-") for e in table], columns),
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
    """Shares on the whole log and on a quarter of it, a small dot a world."""
    rungs = ("MF", "FM", "DNN")
    figure, ax = plt.subplots(figsize=(6.0, 2.8))
    told = []
    for place, (name, runs) in enumerate(
        (("the whole log", record["figures"]["small"]), ("a quarter", record["figures"]["quarter"]))
    ):
        values = share_values(runs, "log_loss")
        for i, rung in enumerate(rungs):
            interval = t_interval(values[rung])
            x, color = place + (i - 1) * 0.27, PALETTE[COLORS[rung]]
            half = interval.high - interval.mean
            ax.errorbar(x, interval.mean, half, fmt="o", color=color, capsize=4)
            ax.scatter([x - 0.05] * len(values[rung]), values[rung], s=9, color=color, alpha=0.6)
            words = f"{rung} {_short(interval.mean)}"
            ax.text(x + 0.03, interval.mean, words, color=color, fontsize=8.5, va="center")
            told.append(f"{rung} on {name} {interval.mean:.2f}")
    ax.axhline(0, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(0.5, 0.01, "popularity", ha="center", fontsize=9)
    ax.set(xlim=(-0.5, 1.6), ylabel="share of the learnable")
    ax.set_xticks([0, 1], ["the whole log", "a quarter of it"])
    return show(figure, alt="Share of the learnable by log-loss: " + ", ".join(told))


# ---------------------------------------------------------------- real films


def last_film(record: dict, measure: str = "ndcg") -> dict[str, np.ndarray]:
    """rung → `[trainings, people]` "hit_rate" or "ndcg" of everybody's last film.

    Args:
        record: of `python -m recsys_book.reproduce ch00/films`.
        measure: which.
    """
    frame = read_table(record, "last film")
    found: dict[str, list] = {}
    for rung, ranks in zip(frame["rung"], frame["ranks"], strict=True):
        rank = np.array(ranks.split(), dtype=float)
        hit = rank > 0
        gain = np.where(hit, 1 / np.log2(np.maximum(rank, 1) + 1), 0.0)
        found.setdefault(rung, []).append(hit.astype(float) if measure == "hit_rate" else gain)
    return {rung: np.array(rows) for rung, rows in found.items()}


def later_films(record: dict, measure: str = "ndcg") -> dict[str, np.ndarray]:
    """The same for the split by time: everybody's films of the last stretch."""
    frame = read_table(record, "by time")
    found: dict[str, list] = {}
    for rung, values in zip(frame["rung"], frame[measure], strict=True):
        found.setdefault(rung, []).append(np.array(values.split(), dtype=float))
    return {rung: np.array(rows) for rung, rows in found.items()}


def films_figure(record: dict) -> Picture:
    """NDCG@10 on ml-latest-small: everybody's last film, and the films after one day; intervals
    over people."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.0), sharey=True)
    told = []
    panels = {
        "everybody's last film": last_film(record),
        "split at a fixed date": later_films(record),
    }
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        people = next(iter(values.values())).shape[1]
        for y, (rung, rows) in enumerate(values.items()):
            level = bootstrap_interval(rows.mean(axis=0))
            reach = [[level.mean - level.low], [level.high - level.mean]]
            ax.errorbar(level.mean, y, xerr=reach, fmt="o", color=PALETTE[COLORS[rung]], capsize=4)
            told.append(f"{title}, {NAMES.get(rung, rung)} {level.mean:.3f}")
        ax.set(xlim=(0, None), xlabel="NDCG@10, all films ranked")
        ax.set_title(f"{title} ({people} people)", fontsize=10)
    names = list(panels["everybody's last film"])
    axes[0].set_yticks(range(len(names)), [NAMES.get(r, r) for r in names])
    return show(figure, alt="On MovieLens small, full catalogue: " + ", ".join(told))


def on_films(record: dict, a: str, b: str, measure: str = "ndcg") -> Comparison:
    """Two rungs on everybody's last film, over people."""
    values = last_film(record, measure)
    return by_people(values[a], values[b])


def after_one_day(record: dict, a: str, b: str, measure: str = "ndcg") -> Comparison:
    """Two rungs on the films after one day, over people."""
    values = later_films(record, measure)
    return by_people(values[a], values[b])


# ---------------------------------------------------------------- the map

MOMENT_COLORS = ("blue", "sky", "orange", "vermilion")


def moments_frames(
    lists: Mapping[str, Tensor],
    flat: Mapping[str, np.ndarray],
    world: World,
    people: Tensor,
    mark: str = "",
) -> Frames:
    """The widget: people in four moments, laid out by what a model would rank for them.

    Args:
        lists: model → scores `[moments · people, N]`, see `lab.lists_by_moment`.
        flat: model → map `[moments · people, 2]`.
        world: its people.
        people: who, `[P]`.
        mark: what the first of them is called; her points are stars.
    """
    n = len(people)
    moment = torch.arange(len(MOMENTS)).repeat_interleave(n)
    age = torch.from_numpy(world.age.astype(np.int64))[people].repeat(len(MOMENTS))
    clicks = torch.bincount(world.log.user[world.log.clicked].long(), minlength=world.n_users)
    active = clicks[people].repeat(len(MOMENTS))
    names = [moment_name(*moment) for moment in MOMENTS]
    figures, alts, captions = [], [], []
    for by in ("moment", "age", "clicks so far"):
        for model, points in flat.items():
            figure, ax = plt.subplots(figsize=(6.4, 4.2))
            if by == "clicks so far":
                dots = ax.scatter(*points.T, s=12, c=active.clamp(min=1).log10(), cmap="cividis")
                bar = figure.colorbar(dots, ax=ax, ticks=[1, 2], label="clicks so far")
                bar.ax.set_yticklabels(["10", "100"])
            else:
                labels, kinds = (moment, names) if by == "moment" else (age, AGES)
                colors = MOMENT_COLORS if by == "moment" else list(PALETTE)[:6]
                for k, name in enumerate(kinds):
                    rows = (labels == k).numpy()
                    ax.scatter(
                        *points[rows].T, s=12, color=PALETTE[colors[k]], label=name,
                        marker="os^D"[k] if by == "moment" else "o", lw=0,
                    )  # fmt: skip
            if mark:
                ax.scatter(
                    *points[::n].T, s=190, marker="*", color="white", edgecolor="black", lw=1.2,
                    label=mark, zorder=3,
                )  # fmt: skip
            if by != "clicks so far":
                ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, handletextpad=0)
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
            figures.append(to_png(figure))
            scores = lists[model]
            pure = {k: neighbour_purity(scores, v) for k, v in (("moment", moment), ("age", age))}
            believed = trustworthiness(scores, points)
            told = f"of ten nearest, {pure['moment']:.2f} in the same moment"
            told += f", {pure['age']:.2f} of the same age"
            same = alike(scores)
            captions.append(
                f"{model}: {told} (at random {random_purity(moment):.2f} and "
                f"{random_purity(age):.2f}). One person's scores on the phone in the morning "
                f"correlate by {same[0, 1]:.2f} with those on the phone at night and by "
                f"{same[0, 3]:.2f} with those on the TV at night. Trustworthiness of the map: "
                f"{believed:.2f}."
            )
            alts.append(f"{n} people in four moments by their lists from {model}, by {by}: {told}")
    return Frames.from_images(
        figures,
        {"coloured by": ["moment", "age", "clicks so far"], "model": list(flat)},
        alts,
        title="The same people in four moments, near each other where their lists are alike",
        captions=captions,
        start=[0, len(flat) - 1],
    )
