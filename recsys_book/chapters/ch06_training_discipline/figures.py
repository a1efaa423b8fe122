"""Figures and widgets of chapter 06."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from recsys_book.calibration import calibration_curve
from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline.repairs import STEPS, Trained
from recsys_book.metrics import share_of_learnable
from recsys_book.optim import warmup_cosine
from recsys_book.service import click_models
from recsys_book.service.click_models import FILM
from recsys_book.service.world import DAYPARTS, DEVICES, GENRES, Context, World
from recsys_book.show.claims import Claim, Comparison, by_training, by_world, claim
from recsys_book.show.explorers import explorer
from recsys_book.show.intervals import Interval, paired_interval, t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show, to_png
from recsys_book.widgets import EmbeddingExplorer, Frames

#: A short name for each step, for axes.
SHORT = {step: step for step in STEPS} | {"weight decay, not on biases": "weight decay"}
SAMPLER_COLOURS = {
    "uniform": "grey", "popularity": "blue", "in-batch": "orange", "hard": "vermilion",
}  # fmt: skip
#: The list of the most chosen items, in the place of a row of the samplers' table.
POPULARITY = "Popularity"
#: The run that the story ends with, beside the table of optimizers.
REPAIRED = "Adam, the repaired run"
Verdict = Literal["above", "below", "not told apart"]


def verdict(gap: Interval | Comparison) -> Verdict:
    """What the book's rule says of a difference: an interval that holds 0 tells nothing apart."""
    return "above" if gap.low > 0 else "below" if gap.high < 0 else "not told apart"


# ---------------------------------------------------------------- learning rates


def rates_figure(n_steps: int = 200, lr: float = 0.01) -> Picture:
    """Three schedules, step by step, each from the optimizer it moves."""
    makers = {
        "constant": lambda o: None,
        "times .6 an epoch (of 50 steps)": lambda o: torch.optim.lr_scheduler.StepLR(o, 50, 0.6),
        "warm-up and cosine": lambda o: warmup_cosine(o, round(lab.WARM_UP * n_steps), n_steps),
    }
    figure, ax = plt.subplots(figsize=(6.4, 2.6))
    told = []
    for (name, make), colour in zip(makers.items(), ("grey", "orange", "blue"), strict=True):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        schedule, rates = make(optimizer), []
        for _ in range(n_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if schedule is not None:
                schedule.step()
        ax.plot(rates, color=PALETTE[colour], label=name)
        told.append(f"{name} from {rates[0]:.3g} over {max(rates):.3g} to {rates[-1]:.2g}")
    ax.set(xlabel="step", ylabel="learning rate")
    ax.legend(fontsize=9)
    return show(figure, alt=f"Learning rates by step: {'; '.join(told)}")


# ---------------------------------------------------------------- the story


def shares_of(stories: Sequence[Mapping[str, Mapping]], step: str, figure: str = "share") -> list:
    """A figure of one step, a world each."""
    return [story[step][figure] for story in stories]


def gain(stories: Sequence[Mapping], step: str, figure: str = "share") -> Comparison:
    """A step beside the one before it, paired by world."""
    before = list(STEPS)[list(STEPS).index(step) - 1]
    return by_world(shares_of(stories, step, figure), shares_of(stories, before, figure))


def gains_table(stories: Sequence[Mapping]) -> pd.DataFrame:
    """What each step adds to the one before it, by log-loss and by AUC, with the book's verdict on
    the first."""
    rows = {}
    for step in list(STEPS)[1:]:
        share = gain(stories, step)
        rows[step] = {
            "adds, share of the learnable": share.text(sign="+"),
            "": {"above": "a gain", "below": "a loss"}.get(verdict(share), verdict(share)),
            "adds, AUC": gain(stories, step, "auc").text(4, sign="+"),
        }
    return pd.DataFrame(rows).T


def whole_table(stories: Sequence[Mapping], ladder_record: dict) -> pd.DataFrame:
    """The whole story, and its part from a sane start on, beside the largest step from one model to
    the next in chapter 00; by share of the learnable and by AUC.

    Args:
        stories: of the recorded run.
        ladder_record: of the run "ladder". Its scale has the same ends: a click rate for each film
            and the oracle, by log-loss.
    """
    first, *_, last = STEPS
    worlds = ladder_record["figures"]["full"]
    loss = lambda world, name: world[name]["log_loss"]
    share = lambda name: [
        share_of_learnable(loss(w, name), loss(w, "Popularity"), loss(w, "Oracle")) for w in worlds
    ]
    area = lambda name: [w[name]["auc"] for w in worlds]
    over = lambda a, b, figure: paired_interval(
        shares_of(stories, a, figure), shares_of(stories, b, figure)
    )
    rows = {
        "all eight repairs": [over(last, first, figure) for figure in ("share", "auc")],
        "from a shuffled log on": [over(last, "shuffle", figure) for figure in ("share", "auc")],
        "chapter 00, from FM to DNN": [paired_interval(f("DNN"), f("FM")) for f in (share, area)],
    }
    return pd.DataFrame(
        {
            name: {"share of the learnable": gaps[0].text(sign="+"),
                   "AUC": gaps[1].text(4, sign="+"), "worlds": gaps[0].n}
            for name, gaps in rows.items()
        }
    ).T  # fmt: skip


def story_table(stories: Sequence[Mapping]) -> pd.DataFrame:
    """Each step: share of the learnable in every world, and mean AUC and calibration error."""
    mean = lambda step, figure: float(np.mean(shares_of(stories, step, figure)))
    shares = {
        step: [f"{share:.2f}" for share in shares_of(stories, step)]
        + [f"{mean(step, 'auc'):.3f}", f"{mean(step, 'ece'):.3f}"]
        for step in STEPS
    }
    worlds = [f"share, service {i + 1}" for i in range(len(stories))]
    return pd.DataFrame(shares, index=[*worlds, "AUC", "calibration error"]).T


def story_figure(stories: Sequence[Mapping]) -> Picture:
    """Every step's share of the learnable: a dot a world. Below 0 the scale is squeezed."""
    figure, ax = plt.subplots(figsize=(6.8, 3.4))
    told = []
    for y, step in enumerate(reversed(STEPS)):
        interval = t_interval(shares_of(stories, step))
        colour = PALETTE["vermilion" if interval.mean < 0 else "blue"]
        values = shares_of(stories, step)
        seed_dots(ax, y, values, interval.high - interval.mean, colour)
        told.append(f"{step} {interval.mean:.2f}")
    ax.set_xscale("symlog", linthresh=0.5)
    ax.set_xticks([-4, -2, -1, -0.5, 0, 0.25, 0.5], ["−4", "−2", "−1", "−.5", "0", ".25", ".5"])
    ax.set_yticks(range(len(STEPS)), [SHORT[step] for step in reversed(STEPS)])
    ax.axvline(0, color="#666666", lw=1)
    ax.set_xlabel("share of the learnable (0: click rates, 1: oracle)")
    return show(figure, alt=f"Share of the learnable, from the top: {'; '.join(reversed(told))}")


def story_frames(task: click_models.Task, kept: Mapping[str, Trained], stories: Sequence[Mapping]):
    """The widget: after each repair, what was predicted against what is true, and the score so far.

    Args:
        task: of the world looked at.
        kept: step → what it trained there.
        stories: of all worlds; the score is their mean.
    """
    referee = lab.make_referee(task)
    means = [float(np.mean(shares_of(stories, step))) for step in STEPS]
    images, alts = [], []
    for i, step in enumerate(STEPS):
        curve = calibration_curve(referee.chance, kept[step].logits(referee.examples).sigmoid(), 12)
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1), width_ratios=(1, 1.15))
        axes[0].plot([0, 1], [0, 1], color="#999999", lw=1)
        axes[0].plot(curve.predicted, curve.observed, "o-", color=PALETTE["blue"], ms=4)
        axes[0].set(
            xlim=(0, 1), ylim=(0, 1), xlabel="predicted chance of a click", ylabel="true chance"
        )
        axes[0].set_title(step, fontsize=11)
        colours = [PALETTE["vermilion" if m < 0 else "blue"] for m in means]
        axes[1].barh(range(i + 1), means[: i + 1], color=colours[: i + 1])
        axes[1].set_xscale("symlog", linthresh=0.5)
        axes[1].set_xticks([-2, -0.5, 0, 0.5], ["−2", "−.5", "0", ".5"])
        axes[1].set(xlim=(min(means) * 1.3, 1.0), ylim=(len(STEPS) - 0.5, -0.5))
        axes[1].set_yticks(range(len(STEPS)), [SHORT[s] for s in STEPS], fontsize=8)
        axes[1].axvline(0, color="#666666", lw=1)
        axes[1].set_xlabel("share of the learnable (mean)", fontsize=9)
        images.append(to_png(figure))
        alts.append(
            f"{step}: share of the learnable {means[i]:.2f}; where it predicts "
            f"{float(curve.predicted[-1]):.0%} on average the truth is "
            f"{float(curve.observed[-1]):.0%}, where {float(curve.predicted[0]):.0%}, "
            f"{float(curve.observed[0]):.0%}"
        )
    return Frames.from_images(
        images,
        {"repair": list(range(len(STEPS)))},
        alts,
        title="One run, repaired step by step",
        captions=[f"{step}: {mean:.2f}" for step, mean in zip(STEPS, means, strict=True)],
        start=[1],
    )


def faults_figure(record: dict) -> Picture:
    """The good run with one thing changed: the difference in share of the learnable."""
    faults = record["figures"]["faults"]
    base = [row["share"] for row in faults["as it is"]]
    gaps = {
        name: [row["share"] - b for row, b in zip(rows, base, strict=True)]
        for name, rows in faults.items()
        if name != "as it is"
    }
    names = sorted(gaps, key=lambda name: np.mean(gaps[name]))
    figure, ax = plt.subplots(figsize=(6.8, 0.9 + 0.3 * len(names)))
    told = []
    for y, name in enumerate(names):
        interval = t_interval(gaps[name])
        clear = interval.low > 0 or interval.high < 0
        colour = PALETTE["grey" if not clear else "blue" if interval.mean > 0 else "vermilion"]
        seed_dots(ax, y, gaps[name], interval.high - interval.mean, colour)
        told.append(f"{name} {interval.text(3, sign='+')}")
    ax.set_yticks(range(len(names)), names)
    ax.set_xscale("symlog", linthresh=0.05)
    ticks = (-3, -0.5, -0.05, 0, 0.05)
    ax.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks])
    ax.axvline(0, color="#666666", lw=1)
    ax.set_xlabel("share of the learnable, less that of the repaired run")
    return show(figure, alt=f"One thing changed in the repaired run: {'; '.join(told)}")


def fault_gap(record: dict, name: str, figure: str = "share") -> Comparison:
    """A changed run less the repaired one, paired by world."""
    faults = record["figures"]["faults"]
    return by_world(*([row[figure] for row in faults[n]] for n in (name, "as it is")))


# ---------------------------------------------------------------- curves and optimizers


def curves_figure(record: dict) -> Picture:
    """Share of the learnable under weight decay and under dropout, each value with the number of
    epochs best for it on the tuning worlds."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.0), sharey=True)
    told = []
    for ax, (name, curve) in zip(axes, record["figures"]["curves"].items(), strict=True):
        values = [t_interval([row["share"] for row in rows]) for rows in curve.values()]
        x = range(len(values))
        ax.plot(x, [v.mean for v in values], "o-", color=PALETTE["blue"], ms=4)
        low, high = [v.low for v in values], [v.high for v in values]
        ax.fill_between(x, low, high, color=PALETTE["blue"], alpha=0.15)
        ax.set_xticks(x, [f"{k}\n({rows[0]['epochs']})" for k, rows in curve.items()], fontsize=8)
        label = name.replace("_", " ")
        ax.set(xlabel=f"{label} (epochs)")
        pairs = zip(curve, values, strict=True)
        told.append(f"{label}: " + ", ".join(f"{k} {v.text(2)}" for k, v in pairs))
    axes[0].set_ylabel("share of the learnable")
    return show(figure, alt=f"Share of the learnable. {'; '.join(told)}")


def curve_gap(record: dict, name: str, a: str, b: str) -> Comparison:
    """Share of the learnable at one point of a curve less that at another, paired by world."""
    curve = record["figures"]["curves"][name]
    return by_world(*([row["share"] for row in curve[point]] for point in (a, b)))


def _optimizers(record: dict) -> dict[str, dict]:
    """Name → "recipe" and "found", a row a world; the repaired run of the story is one of them."""
    figures = record["figures"]
    recorded = str(figures["users"]["recorded"])
    repaired = {"recipe": figures["good"][recorded], "found": figures["faults"]["as it is"]}
    return {REPAIRED: repaired} | figures["optimizers"]


def optimizers_table(record: dict) -> pd.DataFrame:
    """Each optimizer as chosen on the tuning worlds, and its share of the learnable; on top the
    repaired run, whose Adam chose decay and epochs from a finer grid."""
    rows = {}
    for name, entry in _optimizers(record).items():
        recipe = entry["recipe"]
        rows[name] = {
            "rate": f"{recipe['lr']:g}",
            "decay": f"{recipe['weight_decay']:g}",
            "epochs": recipe["epochs"],
            "share of the learnable": t_interval([r["share"] for r in entry["found"]]).text(),
        }
    return pd.DataFrame(rows).T


def optimizer_gap(record: dict, a: str, b: str) -> Comparison:
    """Share of the learnable under one optimizer minus that under another, paired by world; each
    may be REPAIRED."""
    entries = _optimizers(record)
    return by_world(*([row["share"] for row in entries[n]["found"]] for n in (a, b)))


# ---------------------------------------------------------------- samplers


def sampler_rows(record: dict, where: str) -> dict[tuple[str, str, str], list[dict]]:
    """(sampler, loss, raw or repaired) → figures, one a seed; `where` is "table" or "MovieLens"."""
    return {
        tuple(key.split("/")): entry["found"] for key, entry in record["figures"][where].items()
    }


#: Measure → its heading. The log asks for what was clicked next; the truth for the ten films with
#: the highest true chance (NDCG@10), where 0 is the list of the most clicked films, 1 the oracle.
SAMPLER_MEASURES = {
    "recall": "recall@50",
    "ndcg": "NDCG@10",
    "truth": "share of the learnable",
    "popularity": "popularity of the lists",
    "coverage": "share of the catalogue",
}


def samplers_table(record: dict, where: str = "table") -> pd.DataFrame:
    """Four samplers, two losses, raw and repaired, by the log and, where there is one, by the
    truth; below them the list of the most chosen items and, with the truth, the oracle."""
    rows = sampler_rows(record, where)
    popularity = _popularity_rows(record, where)
    measures = [f for f in SAMPLER_MEASURES if f in popularity[0]]
    digits = lambda figure: 2 if figure == "popularity" else 3
    text = lambda values, figure: (
        t_interval(values).text(digits(figure))
        if len(values) > 1
        else f"{values[0]:.{digits(figure)}f}"
    )
    cells = {
        key: {SAMPLER_MEASURES[f]: text([row[f] for row in found], f) for f in measures}
        for key, found in (rows | {(POPULARITY, "", ""): popularity}).items()
    }
    if "truth" in measures:
        cells[POPULARITY, "", ""][SAMPLER_MEASURES["truth"]] = "0, by definition"
        cells["Oracle", "", ""] = {SAMPLER_MEASURES[f]: "not recorded" for f in measures}
        cells["Oracle", "", ""][SAMPLER_MEASURES["truth"]] = "1, by definition"
    table = pd.DataFrame(cells).T
    table.index.names = ["sampler", "loss", "log q"]
    return table


def _popularity_rows(record: dict, where: str = "table") -> list[dict]:
    """Figures of the list of the most chosen items: a row a world, or one row."""
    found = record["figures"]["popularity" if where == "table" else f"{where} popularity"]
    return found if isinstance(found, list) else [found]


def sampler_gap(
    record: dict, a: tuple[str, str, str], b: tuple[str, str, str] | str, figure: str = "recall",
    where: str = "table",
) -> Comparison:  # fmt: skip
    """A figure of one row of the table minus that of another, or of POPULARITY, paired by seed."""
    rows = sampler_rows(record, where)
    other = _popularity_rows(record, where) if b == POPULARITY else rows[b]
    compare = by_world if where == "table" else by_training
    return compare([row[figure] for row in rows[a]], [row[figure] for row in other])


@dataclass(frozen=True)
class Said:
    """What the chapter says of two rows, by the log and by the truth.

    Attributes:
        loss: with which both were trained.
        a, b: rows of the samplers' table, or values of a sweep's knob; b may be POPULARITY.
        words_a, words_b: what they are called.
        by_log, by_truth: a's relation to b, by recall@50 and by the share of the learnable.
        sweep: whose values a and b are; None for rows of the table.
    """

    loss: str
    words_a: str
    words_b: str
    a: tuple[str, str, str] | str
    b: tuple[str, str, str] | str
    by_log: str
    by_truth: str
    sweep: str | None = None

    def gap(self, record: dict, figure: str) -> Comparison:
        """a beside b, paired by world."""
        if self.sweep is None:
            return sampler_gap(record, self.a, self.b, figure)
        return sweep_gap(record, self.sweep, self.a, self.b, figure)


MOST_CLICKED = "the list of the most clicked"
SAYS_SAMPLERS = (
    Said(
        "cross-entropy", "popularity's negatives with log q", "those without",
        ("popularity", "bce", "repaired"), ("popularity", "bce", "raw"), ">", ">",
    ),
    Said(
        "cross-entropy", "in-batch negatives with log q", "those without",
        ("in-batch", "bce", "repaired"), ("in-batch", "bce", "raw"), ">", ">",
    ),
    Said(
        "softmax", "in-batch negatives with log q", "those without",
        ("in-batch", "softmax", "repaired"), ("in-batch", "softmax", "raw"), ">", "≈",
    ),
    Said(
        "cross-entropy", "in-batch negatives without log q", MOST_CLICKED,
        ("in-batch", "bce", "raw"), POPULARITY, "<", "≈",
    ),
    Said(
        "cross-entropy", "uniform negatives", "in-batch ones with log q",
        ("uniform", "bce", "raw"), ("in-batch", "bce", "repaired"), ">", "<",
    ),
    Said(
        "cross-entropy", "uniform negatives", "hard ones in the mix",
        ("uniform", "bce", "raw"), ("hard", "bce", "raw"), ">", "≈",
    ),
)  # fmt: skip
SAYS_SWEEPS = (
    Said("cross-entropy", "a tenth hard negatives", "none", "0.1", "0", "<", "≈", sweep="hard"),
    Said("cross-entropy", "hard negatives alone", "none", "1", "0", "<", "<", sweep="hard"),
    Said(
        "cross-entropy", "hard negatives alone", MOST_CLICKED, "1", POPULARITY, "<", ">",
        sweep="hard",
    ),
    Said(
        "cross-entropy", "popularity's negatives to the power .5 without log q", "uniform ones",
        "0.5", "0", "<", ">", sweep="power",
    ),
    Said(
        "cross-entropy", "popularity's negatives to the power 1 with log q", "uniform ones",
        "1", "0", "<", ">", sweep="power, repaired",
    ),
    Said(
        "softmax of cosines", "a temperature of .2", "one of .02", "0.2", "0.02", ">", ">",
        sweep="temperature",
    ),
    Said(
        "softmax of cosines", "a temperature of .2", "one of 1", "0.2", "1", ">", ">",
        sweep="temperature",
    ),
)  # fmt: skip
VERBS = {">": "beat", "<": "fall behind", "≈": "are not told apart from"}


def twice(record: dict, said: Sequence[Said]) -> list[Claim]:
    """Every comparison as two claims: by the log, then by the truth."""
    judged = {"recall": ("by the log", "recall@50"), "truth": ("by the truth", "of the learnable")}
    made = []
    for one in said:
        for figure, relation in (("recall", one.by_log), ("truth", one.by_truth)):
            by, unit = judged[figure]
            verb = VERBS[relation]
            if one.words_a.startswith("a "):
                verb = {"beat": "beats", "fall behind": "falls behind"}.get(verb, verb)
                verb = verb.replace("are", "is")
            words = f"With {one.loss}, {by}, {one.words_a} {verb} {one.words_b}"
            made.append(claim(words, one.gap(record, figure), relation, unit))
    return made


def samplers_figure(record: dict, where: str = "table") -> Picture:
    """By the log above and, where there is one, by the truth below, against the popularity of the
    lists: an arrow from raw to repaired; dashed, the list of the most chosen items."""
    rows = sampler_rows(record, where)
    popularity = _popularity_rows(record, where)
    measures = [f for f in ("recall", "truth") if f in popularity[0]]
    mean = lambda key, figure: float(np.mean([row[figure] for row in rows[key]]))
    figure, axes = plt.subplots(
        len(measures), 2, figsize=(7.4, 0.6 + 2.6 * len(measures)), sharey="row", sharex=True,
        squeeze=False,
    )  # fmt: skip
    told = []
    for line, measure in zip(axes, measures, strict=True):
        level = float(np.mean([row[measure] for row in popularity]))
        for ax, loss in zip(line, ("bce", "softmax"), strict=True):
            for sampler, colour in SAMPLER_COLOURS.items():
                kinds = [k for k in ("raw", "repaired") if (sampler, loss, k) in rows]
                points = [
                    (mean((sampler, loss, k), "popularity"), mean((sampler, loss, k), measure))
                    for k in kinds
                ]
                c = PALETTE[colour]
                ax.plot(*points[0], "o", mfc="white", color=c, ms=7, label=sampler)
                if len(points) == 2:
                    arrow = {"arrowstyle": "->", "color": c}
                    ax.annotate("", points[1], points[0], arrowprops=arrow)
                    ax.plot(*points[1], "o", color=c, ms=7)
                told += [
                    f"{sampler}, {loss}, {kind}: {SAMPLER_MEASURES[measure]} {y:.3f}, "
                    f"popularity {x:.2f}"
                    for kind, (x, y) in zip(kinds, points, strict=True)
                ]
            ax.axvline(1, color="#999999", lw=1, ls="--")
            ax.axhline(level, color=PALETTE["black"], lw=1, ls=":", label="most clicked films")
        line[0].set_ylabel(SAMPLER_MEASURES[measure])
        told.append(f"the most chosen items: {SAMPLER_MEASURES[measure]} {level:.3f}")
    for ax, loss in zip(axes[0], ("binary cross-entropy", "sampled softmax"), strict=True):
        ax.set_title(loss)
    for ax in axes[-1]:
        ax.set_xlabel("popularity of the lists (1: as what was chosen)", fontsize=9)
    axes[0, 1].legend(fontsize=7, title="full: with log q", title_fontsize=7)
    return show(figure, alt=f"Quality and popularity of the lists: {'; '.join(told)}")


def sweeps_figure(record: dict) -> Picture:
    """One knob at a time (share of hard negatives, power of popularity, temperature), by the log
    above and by the truth below; dotted, the list of the most clicked films."""
    sweeps = record["figures"]["sweeps"]
    popularity = _popularity_rows(record)
    measures = [f for f in ("recall", "truth") if f in popularity[0]]
    panels = {
        "share of hard negatives": [("hard", "raw", "vermilion")],
        "power of popularity": [("power", "raw", "sky"), ("power, repaired", "with log q", "blue")],
        "temperature (cosines)": [("temperature", "", "green")],
    }
    figure, axes = plt.subplots(
        len(measures), 3, figsize=(8.4, 0.5 + 2.4 * len(measures)), sharey="row", squeeze=False
    )
    told = []
    for line, measure in zip(axes, measures, strict=True):
        level = float(np.mean([row[measure] for row in popularity]))
        for ax, (title, lines) in zip(line, panels.items(), strict=True):
            for name, label, colour in lines:
                entries = sweeps[name]
                values = [t_interval([r[measure] for r in e["found"]]) for e in entries.values()]
                x = range(len(values))
                ax.plot(x, [v.mean for v in values], "o-", ms=4, color=PALETTE[colour], label=label)
                low, high = [v.low for v in values], [v.high for v in values]
                ax.fill_between(x, low, high, color=PALETTE[colour], alpha=0.15)
                ax.set_xticks(x, list(entries), fontsize=8)
                pairs = zip(entries, values, strict=True)
                means = ", ".join(f"{k} {v.mean:.3f}" for k, v in pairs)
                told.append(f"{SAMPLER_MEASURES[measure]}, {title} {label}: {means}")
            ax.axhline(level, color=PALETTE["black"], lw=1, ls=":")
        line[0].set_ylabel(SAMPLER_MEASURES[measure])
        told.append(f"the most clicked films: {SAMPLER_MEASURES[measure]} {level:.3f}")
    for ax, title in zip(axes[-1], panels, strict=True):
        ax.set_xlabel(title, fontsize=9)
    axes[0, 1].legend(fontsize=8)
    return show(figure, alt=f"One knob at a time. {'; '.join(told)}")


def sweep_gap(record: dict, sweep: str, a: str, b: str, figure: str = "recall") -> Comparison:
    """One value of a knob minus another, or minus POPULARITY, paired by world."""
    entries = record["figures"]["sweeps"][sweep]
    other = _popularity_rows(record) if b == POPULARITY else entries[b]["found"]
    return by_world([r[figure] for r in entries[a]["found"]], [r[figure] for r in other])


def draws_figure(draws: Mapping[str, Tensor], counts: Tensor) -> Picture:
    """Which items each sampler draws: the share of its draws by how often an item was chosen.

    Args:
        draws: sampler → item ids.
        counts: `[N]` how often each item was chosen.
    """
    tenth = (counts.double().argsort().argsort() * 10) // len(counts)  # 9: the most popular tenth
    figure, ax = plt.subplots(figsize=(6.4, 2.8))
    told = []
    for i, (name, items) in enumerate(draws.items()):
        share = torch.bincount(tenth[items.flatten()], minlength=10).double()
        share = (share / share.sum()).numpy()
        colour = PALETTE[SAMPLER_COLOURS[name]]
        ax.bar(np.arange(10) + 0.2 * (i - 1.5), share, 0.2, color=colour, label=name)
        told.append(f"{name}: {float(share[-1]):.0%} from the most popular tenth")
    ax.set_xticks(range(10), [str(i + 1) for i in range(10)])
    ax.set(xlabel="tenths of the catalogue, the most popular on the right", ylabel="share of draws")
    ax.legend(fontsize=9)
    return show(figure, alt=f"Which items are drawn. {'; '.join(told)}")


def true_chance(world: World, users: Tensor, items: Tensor) -> float:
    """Mean true chance of a click on items `[B, n]` shown to users `[B]`, on a phone in the
    evening, with nothing watched yet and a mood that nobody knows."""
    context = Context(DEVICES.index("phone"), DAYPARTS.index("evening"))
    every = users[:, None].expand_as(items)
    return float(world.click_probability(every, items, context).mean())


# ---------------------------------------------------------------- where it breaks


def one_epoch_frames(runs: Mapping[str, Mapping[str, Sequence[Mapping]]]) -> Frames:
    """The widget: loss as epochs go by, with a planted field of more or fewer values.

    Args:
        runs: what is said of the weight decay → rows a value, "0" for no such field → curves of
            `repairs.epoch_curves`, a world each.
    """
    levels = sorted((int(k) for k in next(iter(runs.values())) if k != "0"), reverse=True)
    order = ["0", *map(str, levels)]  # from harmless to worst
    names = {k: "no such field" if k == "0" else f"{k} rows a value" for k in order}
    every = [v for some in runs.values() for k in order for r in some[k] for v in r["validation"]]
    images, alts = [], []
    for decay, some in runs.items():
        for key in order:
            curves = {part: np.array([run[part] for run in some[key]]) for part in some[key][0]}
            figure, ax = plt.subplots(figsize=(6.0, 3.0))
            epochs = np.arange(1, curves["train"].shape[1] + 1)
            for (part, values), colour in zip(curves.items(), ("grey", "vermilion"), strict=True):
                ax.plot(epochs, values.T, color=PALETTE[colour], lw=0.7, alpha=0.4)
                ax.plot(epochs, values.mean(0), "o-", color=PALETTE[colour], label=part)
            validation = curves["validation"].mean(0)
            best = int(validation.argmin()) + 1
            ax.axvline(best, color="#999999", ls="--", lw=1)
            ax.set(ylim=(0.0, max(every) * 1.03), xlabel="epoch", ylabel="log-loss")
            ax.set_title(f"{names[key]}, weight decay {decay}", fontsize=10)
            ax.legend(fontsize=9, loc="lower left")
            images.append(to_png(figure))
            alts.append(
                f"{names[key]}, weight decay {decay}: validation best after epoch {best} at "
                f"{validation.min():.3f}, {validation[-1]:.3f} at the end; training ends at "
                f"{curves['train'].mean(0)[-1]:.3f}"
            )
    return Frames.from_images(
        images,
        {"weight decay": list(runs), "rows a value (0: no field)": [int(k) for k in order]},
        alts,
        title="Loss by epoch, with a field that says nothing", start=[0, len(order) - 1],
    )  # fmt: skip


def best_epochs(runs: Mapping[str, Sequence[Mapping]], rows_per_value: int) -> list[int]:
    """After which epoch validation was best, a world each; 0 rows: without the field."""
    return [int(np.argmin(run["validation"])) + 1 for run in runs[str(rows_per_value)]]


def best_epochs_table(runs: Mapping[str, Mapping[str, Sequence[Mapping]]]) -> pd.DataFrame:
    """The epoch after which validation was best, in every world, by rows a value.

    Args:
        runs: as `one_epoch_frames` takes them.
    """
    kinds = next(iter(runs.values()))
    order = ["0", *sorted((k for k in kinds if k != "0"), key=int, reverse=True)]
    name = lambda key: "no such field" if key == "0" else f"{key} rows a value"
    return pd.DataFrame(
        {
            f"decay {decay}": {
                name(key): ", ".join(map(str, best_epochs(some, int(key)))) for key in order
            }
            for decay, some in runs.items()
        }
    ).rename_axis("best epoch, world by world")


def epoch_gap(
    runs: Mapping[str, Sequence[Mapping]], rows_per_value: int, later: int, earlier: int
) -> Comparison:
    """Validation log-loss after one epoch minus that after an earlier one, paired by world.

    Args:
        runs: rows a value → curves.
        rows_per_value: 0: without the field.
        later, earlier: epochs, counted from 1.
    """
    after = lambda epoch: [run["validation"][epoch - 1] for run in runs[str(rows_per_value)]]
    return by_world(after(later), after(earlier))


def field_gap(runs: Mapping[str, Sequence[Mapping]], rows_per_value: int, epoch: int) -> Comparison:
    """Validation log-loss after an epoch, counted from 1, with the planted field minus without."""
    after = lambda key: [run["validation"][epoch - 1] for run in runs[str(key)]]
    return by_world(after(rows_per_value), after(0))


def spike_figure(runs: Mapping[str, dict]) -> Picture:
    """Training loss, step by step, of runs with and without a planted spike."""
    figure, ax = plt.subplots(figsize=(6.6, 3.0))
    told = []
    for (name, run), colour in zip(
        runs.items(), ("grey", "vermilion", "orange", "blue"), strict=False
    ):
        losses = run["losses"]
        ax.plot(range(1, len(losses) + 1), losses, color=PALETTE[colour], label=name, lw=1.4)
        end = (
            f"breaks down at step {len(losses) + 1}"
            if run["broke"]
            else f"ends at {losses[-1]:.3g}"
        )
        told.append(f"{name} {end}")
    ax.set(yscale="log", xlabel="step", ylabel="squared error of hours")
    ax.legend(fontsize=9)
    return show(figure, alt=f"Training loss: {'; '.join(told)}")


LOST = 100.0  # hours; an error above it is no model


def spike_table(record: dict) -> pd.DataFrame:
    """RMSE in hours on the test, or how many of the runs diverged: broke down, or ended with an
    error of more than LOST hours."""
    rows = {}
    for optimizer, kinds in record["figures"]["spike"].items():
        rows[optimizer] = {}
        for kind, runs in kinds.items():
            kept = [run["rmse"] for run in runs if run["rmse"] is not None and run["rmse"] < LOST]
            lost = len(runs) - len(kept)
            text = f"{lost} of {len(runs)} diverged" if lost else t_interval(kept).text()
            rows[optimizer][kind] = text
    return pd.DataFrame(rows)


def spike_gap(record: dict, optimizer: str, a: str, b: str) -> Comparison:
    """RMSE of one kind of run less that of another, paired by world."""
    kinds = record["figures"]["spike"][optimizer]
    return by_world(*([run["rmse"] for run in kinds[kind]] for kind in (a, b)))


def calibration_table(record: dict) -> pd.DataFrame:
    """Calibration error against the true chances, by how negatives were thinned and what was done
    about it; and log-loss beside it."""
    rows = {}
    for thinning, runs in record["figures"]["calibration"].items():
        name = "all non-clicks" if thinning == "all" else f"{thinning} non-clicks"
        kept = float(np.mean([run["kept"]["kept"] for run in runs]))
        rows[name] = {"kept": f"{kept:.2f}"}
        for reading in ("raw", "undone", "Platt"):
            rows[name][f"error, {reading}"] = calibration_error(record, thinning, reading).text()
        for reading in ("raw", "undone", "Platt"):
            losses = [run[reading]["log_loss"] for run in runs]
            rows[name][f"log-loss, {reading}"] = t_interval(losses).text()
    return pd.DataFrame(rows).T


def calibration_error(record: dict, thinning: str, reading: str) -> Interval:
    """Over the worlds, against the true chances."""
    runs = record["figures"]["calibration"][thinning]
    return t_interval([run[reading]["ece"] for run in runs])


def reading_gap(record: dict, thinning: str, a: str, b: str, figure: str = "ece") -> Comparison:
    """A figure read one way minus the same read another way, paired by world."""
    runs = record["figures"]["calibration"][thinning]
    return by_world(*([run[reading][figure] for run in runs] for reading in (a, b)))


def calibration_gap(record: dict, a: str, b: str, figure: str, reading: str) -> Comparison:
    """A figure under one way of thinning less that under another, paired by world."""
    runs = record["figures"]["calibration"]
    return by_world(*([run[reading][figure] for run in runs[name]] for name in (a, b)))


# ---------------------------------------------------------------- the map


def film_vectors(task: click_models.Task, trained: Trained) -> Tensor:
    """`[N, D]` the deep model's film vectors."""
    table = trained.model.model.vectors
    ids = torch.arange(task.world.n_films) + 1 + table.offsets[FILM]
    return table.table(ids).detach()


def repairs_explorer(task: click_models.Task, kept: Mapping[str, Trained]) -> EmbeddingExplorer:
    """The map: film vectors after some of the repairs.

    Args:
        task: of the world looked at.
        kept: step → what it trained.
    """
    steps = ["as found", "stop in time", "keep every non-click", "weight decay, not on biases"]
    film = task.world.film
    shown = torch.bincount(task.world.log.film.long(), minlength=task.world.n_films).tolist()
    genre = [GENRES[g] for g in film.genre]
    details = [f"{g}, shown {n:,} times" for g, n in zip(genre, shown, strict=True)]
    return explorer(
        [film_vectors(task, kept[step]) for step in steps],
        [f"{i}: {SHORT[step]}" for i, step in enumerate(steps, start=1)],
        torch.from_numpy(film.genre),
        [str(title) for title in task.world.titles],
        details,
        {"genre": genre, "times shown": shown},
        title="The same films after each repair",
        axis="repair",
    )
