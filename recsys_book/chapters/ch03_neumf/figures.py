"""Figures, tables and widgets of chapter 03."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import kendalltau

from recsys_book.chapters.ch03_neumf.lab import ALPHAS
from recsys_book.maps import company, purities
from recsys_book.metrics import share_of_learnable
from recsys_book.models.ncf import NeuMF
from recsys_book.service.judge import Judge
from recsys_book.service.world import GENRES, World
from recsys_book.show.claims import Comparison, by_training, by_world
from recsys_book.show.intervals import Interval, t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show, to_png
from recsys_book.widgets import Frames, Switches

#: HR@10 and NDCG@10 of NeuMF in the NCF paper (Table 2): factors → pre-trained, from scratch.
PAPER = {
    8: ((0.684, 0.403), (0.688, 0.410)),
    16: ((0.707, 0.426), (0.696, 0.420)),
    32: ((0.726, 0.445), (0.701, 0.425)),
    64: ((0.730, 0.447), (0.705, 0.426)),
}
#: The paper's MLP with three hidden layers, HR@10 (Table 3, the column of its default).
PAPER_MLP = {8: 0.671, 16: 0.684, 32: 0.692, 64: 0.702}
#: The same split in Ferrari Dacrema et al., TOIS 2021, appendix, Table 55.
DACREMA = {
    "Popularity": (0.4533, 0.2542),
    "ItemKNN": (0.6694, 0.3979),
    "MF": (0.6305, 0.3730),  # by BPR
    "IALS": (0.7109, 0.4382),
    "EASE": (0.7192, 0.4494),
    "NeuMF": (0.7093, 0.4349),
}
COLOURS = {
    "Popularity": "grey", "ItemKNN": "sky", "EASE": "purple", "IALS": "vermilion",
    "MF": "orange", "GMF": "green", "MLP": "sky", "NeuMF": "blue", "NeuMF-pre": "black",
}  # fmt: skip
NAMES = {"NeuMF-pre": "NeuMF, pre-trained"}
#: On the NCF split a difference in HR@10 under this settles nothing. The record holds no hits of
#: single people, so their luck has to be allowed for: if two models disagree about one in six of
#: the 6,040 people, half of the 95 % interval of their difference is 1.96 · √(1/6 / 6,040) = .010.
SETTLED = 0.01


# ---------------------------------------------------------------- the simulated service


def by_what_counts_as_no(answers: dict, ladder: dict) -> pd.DataFrame:
    """The same service by what a model learns from: clicks, or impressions with a real "no".

    Args:
        answers: `ch02/answers`, with MF on both logs, and EASE.
        ladder: `ch00/simulated`, with the DNN.

    Returns:
        a row a model: what it learns from, and the mean and interval over the worlds of its share
        of the learnable by two measures; 0 is the list of the most clicked films, 1 the oracle's.
    """
    worlds, full = answers["figures"]["two logs"], ladder["figures"]["full"]
    told = {"ndcg": "finds the best ten (NDCG@10)", "clicks": "clicks of its ten films"}
    dnn = [
        {m: share_of_learnable(w["DNN"][m], w["Most clicked"][m], w["Oracle"][m]) for m in told}
        for w in full[: len(worlds)]
    ]
    rows = {
        "MF (chapter 2)": ("clicks", [world["clicks"] for world in worlds]),
        "EASE": ("clicks", [world["EASE"] for world in worlds]),
        "MF (chapter 0)": ("impressions", [world["impressions"] for world in worlds]),
        "DNN (chapter 0), told the moment": ("impressions", dnn),
    }
    table = {
        name: {"learns from": log}
        | {words: t_interval([one[m] for one in runs]).text(2) for m, words in told.items()}
        for name, (log, runs) in rows.items()
    }
    return pd.DataFrame(table).T


def shares(record: dict) -> dict[str, list[float]]:
    """Model → its share of the learnable in each recorded world."""
    worlds = record["figures"]["worlds"]
    return {name: [world["share"][name] for world in worlds] for name in worlds[0]["share"]}


def race_figure(values: Mapping[str, Sequence[float]], title: str, label: str) -> Picture:
    """Models by their figure: a dot a seed, and the mean with its interval.

    Args:
        values: model → a figure a seed, two at least.
        title: over the figure.
        label: what is measured.
    """
    order = sorted(values, key=lambda name: np.mean(values[name]))
    figure, ax = plt.subplots(figsize=(6.4, 0.6 + 0.38 * len(order)))
    told = []
    for y, name in enumerate(order):
        interval = t_interval(values[name])
        colour = PALETTE[COLOURS.get(name, "blue")]
        seed_dots(ax, y, values[name], interval.high - interval.mean, colour)
        told.append(f"{NAMES.get(name, name)} {interval.mean:.3f}")
    ax.axvline(0, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(0, len(order) - 0.45, "popularity", fontsize=8, ha="center", color=PALETTE["grey"])
    ax.set_yticks(range(len(order)), [NAMES.get(name, name) for name in order])
    ax.set(title=title, xlabel=label)
    return show(figure, alt=f"{title}, from the lowest: {', '.join(told)}")


def depth_figure(record: dict) -> Picture:
    """The MLP's share of the learnable by the number of hidden layers."""
    rows = [row["depth"] for row in record["figures"]["more"]]
    values = {int(depth): [row[depth] for row in rows] for depth in rows[0]}
    figure, ax = plt.subplots(figsize=(5.2, 3.2))
    _line(ax, values, "MLP", "sky")
    ax.axhline(0, color=PALETTE["grey"], ls="--", lw=1)
    ax.set_xticks(list(values))
    ax.set(xlabel="hidden layers", ylabel="share of the learnable", title="Depth of the tower")
    means = ", ".join(f"{depth}: {np.mean(v):.3f}" for depth, v in values.items())
    return show(figure, alt=f"Share of the learnable of the MLP by hidden layers: {means}")


def negatives_values(record: dict) -> dict[str, dict[int, list[float]]]:
    """Model → negatives a positive → shares of the learnable."""
    rows = [row["negatives"] for row in record["figures"]["more"]]
    values: dict[str, dict[int, list[float]]] = {}
    for key in rows[0]:
        name, n = key.split("/")
        values.setdefault(name, {})[int(n)] = [row[key] for row in rows]
    return values


def negatives_frames(record: dict) -> Frames:
    """The widget: shares of the learnable by negatives a positive, one step at a time."""
    values = negatives_values(record)
    steps = list(values["NeuMF"])
    bars = [t_interval(v) for one in values.values() for v in one.values()]
    every = np.array([[bar.low, bar.high] for bar in bars])
    margin = 0.05 * (every.max() - every.min())
    images, alts = [], []
    for step in steps:
        figure, ax = plt.subplots(figsize=(5.6, 3.4))
        told = []
        for name, one in values.items():
            _line(ax, one, name, COLOURS[name])
            mean = np.mean(one[step])
            ax.plot(step, mean, "o", ms=15, mfc="none", mew=2, mec=PALETTE[COLOURS[name]])
            told.append(f"{name} {mean:.3f}")
        ax.axvline(step, color="#bbbbbb", lw=1, zorder=0)
        ax.set_ylim(every.min() - margin, every.max() + margin)
        ax.set_xticks(steps)
        ax.set(xlabel="negatives a positive", ylabel="share of the learnable")
        ax.set_title(f"{step} negatives: {', '.join(told)}")
        ax.legend(fontsize=9)
        images.append(to_png(figure, colors=48))
        alts.append(f"{step} negatives a positive, share of the learnable: {', '.join(told)}")
    return Frames.from_images(
        images, {"negatives a positive": steps}, alts, title="How many negatives?",
        start=[steps.index(4)],
    )  # fmt: skip


def alpha_frames(record: dict) -> Frames:
    """The widget: NeuMF made of a GMF and an MLP, by alpha, before SGD and after it."""
    worlds = record["figures"]["worlds"]
    before = {a: [w["alpha"][str(a)][0] for w in worlds] for a in ALPHAS}
    after = {a: [w["alpha"][str(a)][1] for w in worlds] for a in ALPHAS}
    every = np.concatenate([*before.values(), *after.values()])
    margin = 0.1 * (every.max() - every.min())
    images, alts = [], []
    for alpha in ALPHAS:
        figure, ax = plt.subplots(figsize=(5.6, 3.4))
        _line(ax, before, "put together, no more", "sky")
        _line(ax, after, "and trained on, by SGD", "blue")
        for values, colour in ((before, "sky"), (after, "blue")):
            ax.plot(
                alpha, np.mean(values[alpha]), "o", ms=15, mfc="none", mew=2, mec=PALETTE[colour]
            )
        ax.set_ylim(every.min() - margin, every.max() + margin)
        ax.set(xlabel="alpha: 0 is the MLP alone, 1 GMF alone", ylabel="share of the learnable")
        told = f"{np.mean(before[alpha]):.3f} before SGD, {np.mean(after[alpha]):.3f} after"
        ax.set_title(f"alpha {alpha:g}: {told}")
        ax.legend(fontsize=9)
        images.append(to_png(figure, colors=48))
        alts.append(f"alpha {alpha:g}, share of the learnable: {told}")
    return Frames.from_images(
        images, {"alpha": list(ALPHAS)}, alts, title="GMF and MLP, mixed", start=[5]
    )


def amounts_figure(record: dict) -> Picture:
    """MF, NeuMF and EASE by the amount of data, with intervals over worlds."""
    figure, ax = plt.subplots(figsize=(6.4, 3.6))
    told = []
    for name, rows in record["figures"]["amounts"].items():
        values = {float(np.mean(row["clicks"])): row["share"] for row in rows.values()}
        values = dict(sorted(values.items()))
        _line(ax, values, name, COLOURS[name])
        told.append(f"{name} " + ", ".join(f"{np.mean(v):.3f}" for v in values.values()))
    ax.axhline(0, color=PALETTE["grey"], ls="--", lw=1)
    ax.set_xscale("log")
    ax.set(xlabel="clicks to learn from", ylabel="share of the learnable")
    ax.legend(fontsize=9)
    return show(figure, alt="By the amount of data, least first: " + "; ".join(told))


def amounts_lead(record: dict, a: str = "NeuMF", b: str = "MF") -> dict[int, Comparison]:
    """Clicks → by how much one model is ahead of another, paired by world."""
    amounts = record["figures"]["amounts"]
    leads = {
        round(np.mean(row["clicks"])): by_world(row["share"], amounts[b][share]["share"])
        for share, row in amounts[a].items()
    }
    return dict(sorted(leads.items()))


def amounts_settings(record: dict, name: str) -> dict[int, dict]:
    """Clicks → the setting that a model chose for that amount."""
    rows = record["figures"]["amounts"][name].values()
    return dict(sorted((round(np.mean(row["clicks"])), row["setting"]) for row in rows))


def _line(ax: plt.Axes, values: Mapping, label: str, colour: str) -> None:
    """Means with t-intervals."""
    x, intervals = list(values), [t_interval(v) for v in values.values()]
    ax.errorbar(
        x, [i.mean for i in intervals], yerr=[i.high - i.mean for i in intervals], marker="o",
        ms=5, lw=1.6, capsize=2.5, elinewidth=1, color=PALETTE[colour], label=label,
    )  # fmt: skip


def top_ten_frames(
    world: World, models: Mapping[str, object], seen: torch.Tensor, users: Sequence[int]
) -> Frames:
    """The widget: a person's ten films under each model; films of the person's two genres marked.

    Args:
        world: whose films and people.
        models: name → model with `score(users) -> [U, N]`.
        seen: `[U, N]` bool, what was clicked already and is left out.
        users: whom to show.
    """
    genre = torch.from_numpy(world.film.genre.astype(np.int64))
    images, alts = [], []
    for user in users:
        liked = torch.bincount(genre[seen[user]], minlength=len(GENRES)).topk(2).indices.tolist()
        rows = -(-len(models) // 2)
        figure, axes = plt.subplots(rows, 2, figsize=(7.2, 2.9 * rows), squeeze=False)
        for ax in axes.flat:
            ax.axis("off")
        told = []
        for ax, (name, model) in zip(axes.flat, models.items(), strict=False):
            with torch.no_grad():
                scores = model.score(torch.tensor([user]))[0].masked_fill(seen[user], -torch.inf)
            top = scores.topk(10).indices.tolist()
            for place, film in enumerate(top):
                mark = int(genre[film]) in liked
                ax.text(
                    0, 9 - place, f"{'● ' if mark else '   '}{world.titles[film]}"[:30],
                    fontsize=9, color=PALETTE["blue"] if mark else "#333333", va="center",
                )  # fmt: skip
            n = sum(int(genre[film]) in liked for film in top)
            ax.set(xlim=(0, 1), ylim=(-0.7, 9.7))
            ax.set_title(f"{NAMES.get(name, name)}: {n} of 10", fontsize=9)
            told.append(f"{NAMES.get(name, name)} {n} of 10, first {world.titles[top[0]]}")
        words = " and ".join(GENRES[g] for g in liked)
        figure.suptitle(f"Person {user}, who clicks {words} most (marked ●)", fontsize=10)
        images.append(to_png(figure, colors=32))
        alts.append(f"Person {user} clicks {words} most; films of these: {'; '.join(told)}")
    return Frames.from_images(
        images, {"person": list(users)}, alts, title="Ten films for one person", start=[1]
    )


# ---------------------------------------------------------------- the paper's table


def cells(record: dict, name: str, factors: int) -> list[dict]:
    """The runs of one cell, one a seed."""
    return record["figures"]["cells"][f"{name}/{factors}"]


def tests(record: dict, name: str, factors: int) -> list[list[float]]:
    """HR@10 and NDCG@10 of one cell, a pair a seed."""
    return [run["test"] for run in cells(record, name, factors)]


def paper_table(record: dict) -> pd.DataFrame:
    """Every cell beside the paper's: HR@10 / NDCG@10, the mean over seeds."""
    rows = []
    for factors, (pretrained, scratch) in PAPER.items():
        row = {"factors": factors, "seeds": len(cells(record, "NeuMF", factors))}
        for name in ("GMF", "MLP", "NeuMF", "NeuMF-pre"):
            row[NAMES.get(name, name)] = _pair(np.mean(tests(record, name, factors), axis=0))
        row["paper: NeuMF"] = _pair(scratch)
        row["paper: pre-trained"] = _pair(pretrained)
        rows.append(row)
    return pd.DataFrame(rows).set_index("factors")


def _pair(pair: Sequence[float]) -> str:
    return " / ".join(f"{value:.3f}"[1:] for value in pair)


def paper_figure(record: dict) -> Picture:
    """HR@10 by factors, ours and the paper's, with tuned baselines as lines."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8), sharey=True)
    factors = list(PAPER)
    told = []
    for ax, name, paper in (
        (axes[0], "NeuMF", {f: p[1][0] for f, p in PAPER.items()}),
        (axes[1], "NeuMF-pre", {f: p[0][0] for f, p in PAPER.items()}),
    ):
        ours = {f: [t[0] for t in tests(record, name, f)] for f in factors}
        for f, values in ours.items():
            ax.plot([f] * len(values), values, "o", ms=4, alpha=0.5, color=PALETTE["blue"])
        means = [np.mean(v) for v in ours.values()]
        ax.plot(factors, means, "-", color=PALETTE["blue"], label="ours")
        ax.plot(factors, list(paper.values()), "s--", color=PALETTE["grey"], label="the paper's")
        for label, value, colour in baseline_lines(record):
            ax.axhline(value, color=PALETTE[colour], lw=1.2, ls=":")
            ax.text(64, value, label, fontsize=8, va="bottom", ha="right", color=PALETTE[colour])
        ax.set_xscale("log", base=2)
        ax.set_xticks(factors, [str(f) for f in factors])
        ax.set(title=NAMES.get(name, "NeuMF from scratch"), xlabel="predictive factors")
        told.append(
            f"{NAMES.get(name, name)}: "
            + ", ".join(
                f"{f} factors {m:.3f}, paper {paper[f]:.3f}"
                for f, m in zip(factors, means, strict=True)
            )
        )
    axes[0].set_ylabel("HR@10 among 99")
    axes[0].legend(fontsize=8, loc="lower right")
    lines = ", ".join(f"{label} {value:.3f}" for label, value, _ in baseline_lines(record))
    return show(figure, alt=f"{'; '.join(told)}. Tuned baselines: {lines}")


def baseline_lines(record: dict) -> list[tuple[str, float, str]]:
    """Label, HR@10, colour of the baselines drawn as lines."""
    found = []
    for name in ("EASE", "IALS"):
        runs = record["figures"]["baselines"][name]["runs"]
        found.append((name, float(np.mean([run["test"][0] for run in runs])), COLOURS[name]))
    key = tuned_key(record, "MF")
    rate = np.mean([run["test"][0] for run in record["figures"]["cells"][key]])
    return [*found, (f"MF, {key.split('/')[1]}, tuned", float(rate), "orange")]


def tuned_key(record: dict, name: str) -> str:
    """Key of the cells of a tuned model; its size, set by hand, is part of the key."""
    return f"{name} tuned/{record['figures']['tuned'][name]['factors']}"


def honest_runs(record: dict) -> dict[str, list[dict]]:
    """Every model of the honest table with its runs."""
    figures = record["figures"]
    runs = {name: found["runs"] for name, found in figures["baselines"].items()}
    runs |= {
        "MF, as it comes": figures["cells"]["MF untuned/32"],
        "MF, 64, tuned": figures["cells"]["MF tuned/64"],
        "GMF, 32": figures["cells"]["GMF/32"],
        "MLP, 32": figures["cells"]["MLP/32"],
        "NeuMF, 32": figures["cells"]["NeuMF/32"],
        "NeuMF, 32, tuned": figures["cells"]["NeuMF tuned/32"],
        "NeuMF, 32, pre-trained": figures["cells"]["NeuMF-pre/32"],
        "NeuMF, 64, pre-trained": figures["cells"]["NeuMF-pre/64"],
    }
    return runs


def honest_table(record: dict, digits: int | None = 3) -> pd.DataFrame:
    """All models by one evaluator: HR@10 and NDCG@10 among 99 and in the full catalogue.

    Args:
        record: of the table.
        digits: to round to; None leaves the figures as they are.
    """
    rows = {}
    for name, runs in honest_runs(record).items():
        rules = [run["protocols"]["refit/validation"] for run in runs]
        row = {"seeds": len(runs)}
        for how, words in (("sampled", "among 99"), ("full", "of all")):
            pairs = np.mean([rule[how]["worst"] for rule in rules], axis=0)
            row[f"HR@10 {words}"], row[f"NDCG@10 {words}"] = pairs
        elsewhere = DACREMA.get(name)
        row["Ferrari Dacrema et al."] = _pair(elsewhere) if elsewhere else ""
        rows[name] = row
    table = pd.DataFrame(rows).T.sort_values("HR@10 among 99", ascending=False)
    columns = [c for c in table.columns if "@10" in c]
    table[columns] = table[columns].astype(float)
    return table if digits is None else table.round(dict.fromkeys(columns, digits))


def order_kept(record: dict) -> tuple[float, int, int]:
    """Kendall's tau between the two orders of the honest table, pairs that swap, pairs in all."""
    table = honest_table(record, digits=None)
    a, b = (table[f"HR@10 {words}"] for words in ("among 99", "of all"))
    n = len(a)
    swapped = sum(
        (a.iloc[i] - a.iloc[j]) * (b.iloc[i] - b.iloc[j]) < 0 for i in range(n) for j in range(i)
    )
    return float(kendalltau(a, b).statistic), int(swapped), n * (n - 1) // 2


def two_rulers_figure(record: dict) -> Picture:
    """Every model twice: among 99 and in the full catalogue, a line from one place to the other."""
    table = honest_table(record, digits=None)
    ranks = {
        words: table[f"HR@10 {words}"].rank(ascending=False, method="first")
        for words in ("among 99", "of all")
    }
    figure, ax = plt.subplots(figsize=(6.8, 4.6))
    for name in table.index:
        y = [ranks[words][name] for words in ranks]
        colour = PALETTE[COLOURS.get(name.split(",")[0], "blue")]
        ax.plot([0, 1], y, "o-", color=colour, lw=1.6)
        ax.text(-0.04, y[0], name, ha="right", va="center", fontsize=8.5)
        score = table.loc[name, "HR@10 of all"]
        ax.text(1.04, y[1], f"{name} ({score:.3f})", ha="left", va="center", fontsize=8.5)
    ax.invert_yaxis()
    ax.set(xlim=(-1.0, 2.2), xticks=[0, 1], yticks=[], title="HR@10: the order of the models")
    ax.spines[:].set_visible(False)
    ax.set_xticklabels(["among 99", "of all 3,706"])
    ax.grid(False)
    swaps = order_kept(record)[1]
    return show(
        figure,
        alt=f"Order of the models by HR@10 among 99 sampled films and in the full catalogue; "
        f"{swaps} pairs change places",
    )


def settled(gap: Interval) -> bool:
    """Whether a difference on the NCF split counts: its interval over seeds lies on one side of 0,
    and it is no smaller than what the choice of people may do to it (`SETTLED`)."""
    return (gap.low > 0 or gap.high < 0) and abs(gap.mean) >= SETTLED


# ---------------------------------------------------------------- what other rules print


def gains_by_test(record: dict) -> dict[str, Interval]:
    """How much HR@10 choosing the epoch on the test items adds, over seeds.

    Returns:
        "model, factors" → the gain over choosing on validation, where there are three seeds.
    """
    return {who: t_interval(best - chosen) for who, (best, chosen) in _by_test(record).items()}


def mean_gain_by_test(record: dict) -> Comparison:
    """HR@10 with the epoch chosen on the test against validation, mean of models and sizes."""
    best, chosen = np.mean(list(_by_test(record).values()), axis=0)
    return by_training(best, chosen)


def _by_test(record: dict) -> dict[str, np.ndarray]:
    """ "model, factors" → `[2, seeds]` HR@10 at the test's best epoch and at the chosen one."""
    found = {}
    for name in ("GMF", "MLP", "NeuMF", "NeuMF-pre"):
        for factors in (8, 32):
            runs = cells(record, name, factors)
            rows = [[max(t[0] for t in run["test_by_epoch"]), run["test"][0]] for run in runs]
            found[f"{NAMES.get(name, name)}, {factors}"] = np.array(rows).T
    return found


def less_the_paper(record: dict, factors: int) -> Comparison:
    """HR@10 of NeuMF from scratch less the paper's, over seeds."""
    ours = [test[0] for test in tests(record, "NeuMF", factors)]
    return by_training(ours, PAPER[factors][1][0])


RULES = {
    "NeuMF is": ["from scratch", "pre-trained", "tuned"],
    "MF is": ["tuned", "as it comes"],
    "item model is": ["EASE", "ItemKNN"],
    "epoch chosen on": ["validation", "test"],
    "trained anew on all": ["refit", "no refit"],
    "ranked among": ["99 sampled", "all films"],
    "ties": ["worst", "best"],
    "measure": ["HR@10", "NDCG@10"],
    "seed": ["0", "1", "2", "mean of three"],
}
RACERS = ("Popularity", "item model", "MF", "NeuMF")


def switches(record: dict) -> Switches:
    """The widget "Make NeuMF win": the same recorded runs under rules that the reader flips."""
    figures = record["figures"]
    neumf = {
        "from scratch": figures["cells"]["NeuMF/32"],
        "pre-trained": figures["cells"]["NeuMF-pre/32"],
        "tuned": figures["cells"][tuned_key(record, "NeuMF")],
    }
    mf = {
        "tuned": figures["cells"][tuned_key(record, "MF")],
        "as it comes": figures["cells"]["MF untuned/32"],
    }
    values = np.empty([len(labels) for labels in RULES.values()] + [len(RACERS)])
    for place in np.ndindex(*values.shape[:-1]):
        chosen = dict(
            zip(RULES, (list(RULES.values())[i][j] for i, j in enumerate(place)), strict=True)
        )
        racers = {
            "Popularity": figures["baselines"]["Popularity"]["runs"],
            "item model": figures["baselines"][chosen["item model is"]]["runs"],
            "MF": mf[chosen["MF is"]],
            "NeuMF": neumf[chosen["NeuMF is"]],
        }
        values[place] = [_under(runs, chosen) for runs in racers.values()]
    return Switches(
        values, RULES, RACERS, title="Make NeuMF win", start=[0, 0, 0, 0, 0, 0, 0, 0, 3],
        margin=SETTLED,
    )  # fmt: skip


def _under(runs: Sequence[dict], rule: Mapping[str, str]) -> float:
    """A model's figure under a rule; what has no epochs or seeds has one figure for all."""
    how = "sampled" if rule["ranked among"] == "99 sampled" else "full"
    measure = 0 if rule["measure"] == "HR@10" else 1

    def of(run: dict) -> float:
        found = run["protocols"]
        key = f"{rule['trained anew on all']}/{rule['epoch chosen on']}"
        if key not in found:
            key = f"{rule['trained anew on all']}/validation"
        return found[key][how][rule["ties"]][measure]

    if rule["seed"] == "mean of three":
        return float(np.mean([of(run) for run in runs]))
    return of(runs[min(int(rule["seed"]), len(runs) - 1)])


# ---------------------------------------------------------------- the map


def two_tables(
    judges: Sequence[Judge], models: Sequence[NeuMF], worlds: Sequence[World]
) -> dict[str, list[dict[str, float]]]:
    """What each of NeuMF's two tables of film vectors knows, world by world.

    Returns:
        table → a row a world: neighbour purity by genre, that of equally popular and of random
        pairs, and the share of neighbours of a film's own third by popularity (chance: 1/3).
    """
    rows: dict[str, list[dict]] = {"GMF's q": [], "the tower's q'": []}
    for seed, (judge, model, world) in enumerate(zip(judges, models, worlds, strict=True)):
        counts, genre = judge.refit.item_counts(), torch.from_numpy(world.film.genre)
        known = counts > 0
        for name, part in zip(rows, (model.gmf, model.mlp), strict=True):
            found = part.item_vectors.weight.detach()[known]
            pure = purities(found, genre[known], counts[known], seed)
            near = float(np.mean(list(company(found, counts[known]).values())))
            rows[name].append(pure | {"of the same third by popularity": near})
    return rows
