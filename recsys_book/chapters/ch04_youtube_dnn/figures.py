"""Figures and widgets of chapter 04."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from recsys_book import maps
from recsys_book.chapters.ch04_youtube_dnn.watch_time import Fitted, Requests
from recsys_book.data.interactions import Interactions
from recsys_book.models.youtube_dnn import CandidateGenerator
from recsys_book.service.world import DAYPARTS, DEVICES, GENRES, World
from recsys_book.show.claims import Comparison, by_world, measured
from recsys_book.show.explorers import explorer
from recsys_book.show.intervals import paired_interval, t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show, to_png
from recsys_book.widgets import EmbeddingExplorer, Frames, HistoryEditor

HEAD_NAMES = {
    "click": "click model",
    "watch time": "weighted by watch time",
    "regression": "plain regression",
}
#: What the ranker's continuous inputs are taken to be where nothing is known: a watch twelve hours
#: ago, and no film shown before.
LAST_WATCH = torch.tensor([[12 * 3_600.0, 0.0]])
HEAD_COLOURS = {"click": "orange", "watch time": "blue", "regression": "green"}


# ---------------------------------------------------------------- first stage


def recalls_of(record: dict, k: int, data: str | None = None) -> dict[str, list[float]]:
    """Variant → recall@k, a figure a seed; popularity too.

    Args:
        record: `ch04/simulated`, or `ch04/logs` with the name of a data set.
        k: 50 or 200.
        data: which of the real sets.
    """
    figures = record["figures"]
    first = figures["first"] if data is None else figures["first"][data]
    found = {name: [run["recall"][str(k)] for run in runs] for name, runs in first.items()}
    popular = figures["popularity"] if data is None else [figures["popularity"][data]]
    n = len(next(iter(found.values())))
    one = [row["recall"][str(k)] for row in popular]
    return {"popularity": one if len(one) == n else one * n} | found


def recall_figure(values: Mapping[str, Sequence[float]], title: str, k: int) -> Picture:
    """Variants by recall@k: a dot a seed, and the mean with its interval."""
    order = sorted(values, key=lambda name: np.mean(values[name]))
    figure, ax = plt.subplots(figsize=(6.8, 0.7 + 0.34 * len(order)))
    told = []
    for y, name in enumerate(order):
        interval = t_interval(values[name])
        wrong = "no log Q" in name or "leaky" in name
        colour = PALETTE["vermilion" if wrong else "grey" if name == "popularity" else "blue"]
        seed_dots(ax, y, values[name], interval.high - interval.mean, colour)
        told.append(f"{name} {interval.mean:.3f}")
    ax.set_yticks(range(len(order)), order)
    ax.set(title=title, xlabel=f"recall@{k} of the next watch")
    return show(figure, alt=f"{title}, recall@{k}, from the lowest: {', '.join(told)}")


def recall_table(record: dict, data: str | None = None) -> pd.DataFrame:
    """Recall@50 and @200 of every variant, mean and interval."""
    columns = {f"recall@{k}": recalls_of(record, k, data) for k in (50, 200)}
    rows = {
        name: {column: t_interval(values[name]).text(3) for column, values in columns.items()}
        for name in columns["recall@50"]
    }
    return pd.DataFrame(rows).T


def epochs_of(record: dict, data: str | None = None) -> dict[str, str]:
    """Variant → the epochs that validation chose, one number a seed.

    Args:
        record, data: as in `recalls_of`.
    """
    first = record["figures"]["first"]
    runs = first if data is None else first[data]
    return {name: ", ".join(str(run["epochs"]) for run in rows) for name, rows in runs.items()}


#: What is changed, one thing at a time, in the full softmax.
CHANGES = (
    "last 5 watches", "at most 20 a user", "no context", "leaky histories", "example age",
)  # fmt: skip


def changes_table(record: dict, k: int = 50) -> pd.DataFrame:
    """Full softmax with one thing changed, less full softmax: recall@k over worlds."""
    values = recalls_of(record, k)
    gaps = {name: paired_interval(values[name], values["full softmax"]) for name in CHANGES}
    column = f"recall@{k}, minus full softmax"
    return pd.DataFrame({column: {name: gap.text(sign="+") for name, gap in gaps.items()}})


# ---------------------------------------------------------------- second stage


def head_values(record: dict, figure: str, how: str = "untold") -> dict[str, list[float]]:
    """Head → a figure of `watch_time.judge` a world.

    Args:
        record: `ch04/simulated`.
        figure: "spearman", "spearman of clicks", "minutes", "clicks" or "bait".
        how: what is done about the place in the list, see PLACED_WORDS.
    """
    heads = record["figures"]["second"]
    return {head: [run[figure] for run in rows[how]] for head, rows in heads.items()}


def heads_figure(record: dict) -> Picture:
    """Each head four times: order of films, minutes and clicks of ten films, clickbait."""
    panels = {
        "spearman": "order: Spearman with\nthe true minutes",
        "minutes": "minutes of ten films,\nshare of the best ten's",
        "clicks": "clicks of ten films,\nshare of the best ten's",
        "bait": "clickbait\namong ten films",
    }
    figure, axes = plt.subplots(2, 2, figsize=(7.4, 3.8), sharey=True)
    told = []
    for ax, (name, words) in zip(axes.flat, panels.items(), strict=True):
        values = head_values(record, name)
        for y, (head, one) in enumerate(values.items()):
            interval = t_interval(one)
            colour = PALETTE[HEAD_COLOURS[head]]
            seed_dots(ax, y, one, interval.high - interval.mean, colour)
            told.append(f"{name} of {HEAD_NAMES[head]} {interval.mean:.3f}")
        ax.set_title(words, fontsize=9)
        ax.set_ylim(-0.6, len(values) - 0.4)
    axes[0, 0].set_yticks(range(len(HEAD_NAMES)), list(HEAD_NAMES.values()))
    return show(figure, alt=f"Three heads against the truth: {'; '.join(told)}")


PLACED_WORDS = {
    "untold": "not told",
    "input": "an input, 1st when serving",
    "added": "added, left out when serving",
    "all looked at alike": "no position bias at all",
}
#: What each head is after: the truth it is held against.
OWN_TRUTH = {"click": "spearman of clicks", "watch time": "spearman"}


def position_figure(record: dict) -> Picture:
    """What the place in the list does to two heads, each held against what it is after."""
    titles = {"click": "click model: Spearman\nwith the true chance of a click",
              "watch time": "watch time: Spearman\nwith the true minutes"}  # fmt: skip
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.4), sharey=True)
    told = []
    for ax, (head, truth) in zip(axes, OWN_TRUTH.items(), strict=True):
        colour = PALETTE[HEAD_COLOURS[head]]
        for y, (how, words) in enumerate(PLACED_WORDS.items()):
            one = head_values(record, truth, how)[head]
            interval = t_interval(one)
            seed_dots(ax, -y, one, interval.high - interval.mean, colour)
            told.append(f"{HEAD_NAMES[head]}, {words}: {interval.mean:.3f}")
        ax.set_title(titles[head], fontsize=9)
        ax.set_ylim(0.6 - len(PLACED_WORDS), 0.6)
    axes[0].set_yticks([-y for y in range(len(PLACED_WORDS))], list(PLACED_WORDS.values()))
    return show(figure, alt=f"The place in the list: {'; '.join(told)}")


def gain_by_position(record: dict, head: str, how: str) -> Comparison:
    """What telling a head the place in the list adds to the Spearman with its own truth."""
    truth = OWN_TRUTH[head]
    told, untold = (head_values(record, truth, h)[head] for h in (how, "untold"))
    return by_world(told, untold)


def fresh_recalls(record: dict, variant: str, k: int = 50) -> list[float]:
    """Recall@k of the next watch where that is a film of the last days before the test, a world."""
    return [run["fresh"]["recall"][str(k)] for run in record["figures"]["first"][variant]]


def two_lists_frames(
    world: World,
    asked: Requests,
    scores: Mapping[str, torch.Tensor],
    people: Sequence[int],
    k: int = 8,
) -> Frames:
    """The widget: what a click model and a watch-time model would show one person, and what the
    world knows about it.

    Args:
        world: whose films.
        asked: requests and the truth about them.
        scores: head → `[R · C]`.
        people: rows of the requests.
        k: films shown.
    """
    films = asked.examples.item.view(asked.minutes.shape)
    images, alts = [], []
    for person in people:
        figure, axes = plt.subplots(1, len(scores), figsize=(3.5 * len(scores), 3.0))
        told = []
        for ax, (head, values) in zip(axes, scores.items(), strict=True):
            top = values.view(asked.minutes.shape)[person].topk(k).indices
            minutes, bait = asked.minutes[person, top], asked.bait[person, top]
            clicks = asked.clicks[person, top]
            for place in range(k):
                film = int(films[person, top[place]])
                colour = PALETTE["vermilion"] if bool(bait[place]) else "#222222"
                mark = "⚑ " if bool(bait[place]) else ""
                ax.text(0, k - place, f"{mark}{world.titles[film]}"[:24], fontsize=8, color=colour)
                ax.text(0.78, k - place, f"{float(clicks[place]):.0%}", fontsize=8, ha="right")
                ax.text(1, k - place, f"{float(minutes[place]):.1f}", fontsize=8, ha="right")
            ax.text(0.78, k + 1, "clicked", fontsize=8, ha="right", color="#555555")
            ax.text(1, k + 1, "minutes", fontsize=8, ha="right", color="#555555")
            ax.set(xlim=(0, 1), ylim=(0.3, k + 1.6))
            total = float(minutes.sum())
            n_bait = int(bait.sum())
            ax.set_title(f"{HEAD_NAMES[head]}: {total:.0f} minutes, {n_bait} bait", fontsize=9)
            ax.axis("off")
            told.append(f"{HEAD_NAMES[head]}: {total:.1f} expected minutes, {n_bait} clickbait")
        images.append(to_png(figure, colors=32))
        alts.append(f"Person {person}, first {k} films. {'; '.join(told)}")
    return Frames.from_images(
        images, {"person": list(people)}, alts, title="Click or watch time?", start=[1]
    )


# ---------------------------------------------------------------- the map, the model in the page


def users_and_films_explorer(
    world: World,
    log: Interactions,
    histories: torch.Tensor,
    films: Sequence[torch.Tensor],
    people: Sequence[torch.Tensor],
) -> EmbeddingExplorer:
    """Films and people in one space, epoch by epoch. Neighbours are films alone, by dot product, as
    serving finds them, or by cosine: products of two people mean nothing.

    Args:
        world: whose films.
        log: what the vectors were trained on.
        histories: `[P, L]` of the people shown, padded with N.
        films: vectors `[N, D]` of every epoch.
        people: vectors `[P, D]` of every epoch.
    """
    genre = [GENRES[g] for g in world.film.genre]
    clicks = log.item_counts().tolist()
    details = [f"{kind}, {n:,} clicks" for kind, n in zip(genre, clicks, strict=True)]
    names, stories = [], []
    for i, row in enumerate(histories.tolist()):
        watched = [film for film in row if film < world.n_films]
        liked = pd.Series([genre[film] for film in watched]).value_counts().index[:2]
        names.append(f"Person {i}")
        stories.append(f"watches {' and '.join(liked) or 'nothing yet'}, {len(watched)} films told")
    together = [torch.cat(pair) for pair in zip(films, people, strict=True)]
    return explorer(
        together, list(range(1, len(films) + 1)), None, [*map(str, world.titles), *names],
        [*details, *stories],
        {
            "genre": [*genre, *["a person"] * len(names)],
            "clicks": [*clicks, *(histories < world.n_films).sum(1).tolist()],
        },
        title="Films and people of the simulated service in one space, epoch by epoch",
        measures=("dot product", "cosine distance"), noun="film or person",
        among=torch.arange(len(together[0])) < world.n_films,
    )  # fmt: skip


@torch.no_grad()
def bait_by_stage(
    world: World, generator: CandidateGenerator, ranker: Fitted, n_people: int = 200,
    n_candidates: int = 100, k: int = 10,
) -> dict[str, float]:  # fmt: skip
    """Share of clickbait in the catalogue, and in the first k films of one stage and of both.

    Args:
        world, generator, ranker: see `history_editor`.
        n_people: the first so many, in the evening, on a phone, with their last thirty watches.
        n_candidates: handed over by the first stage.
        k: length of the lists.
    """
    bait = torch.from_numpy(world.truth.clickbait).double()
    history = world.log.final_histories(30)[:n_people]
    now = torch.tensor([[1, 1 + DAYPARTS.index("evening")]])
    scores = generator.score(history, now.expand(len(history), -1))
    scores = torch.nn.functional.pad(scores, (0, 1)).scatter(1, history, -torch.inf)[:, :-1]
    found = scores.topk(n_candidates, dim=1).indices  # [P, C]
    n = found.numel()
    continuous = ranker.quantiles(LAST_WATCH).expand(n, -1)
    logits = ranker.model(
        found.flatten(), history.repeat_interleave(n_candidates, 0), now.expand(n, -1), continuous
    )
    ranked = found.gather(1, logits.view(found.shape).topk(k, dim=1).indices)
    shares = {"catalogue": bait, "first stage": bait[found[:, :k]], "both stages": bait[ranked]}
    return {name: float(values.mean()) for name, values in shares.items()}


def history_editor(
    world: World,
    log: Interactions,
    generator: CandidateGenerator,
    ranker: Fitted,
    history: Sequence[int],
    n_candidates: int = 100,
) -> HistoryEditor:
    """The widget: both trained networks in the page.

    Args:
        world: whose films.
        log: for the number of clicks.
        generator: first stage; its context is device and time of day.
        ranker: second stage, of the same two fields (see `watch_time.without_place`).
        history: films to begin with.
        n_candidates: handed over by the first stage.
    """
    genre = [GENRES[g] for g in world.film.genre]
    bait = world.truth.clickbait
    details = [
        f"{kind}, {n:,} clicks{', clickbait' if lure else ''}"
        for kind, n, lure in zip(genre, log.item_counts().tolist(), bait, strict=True)
    ]
    (flat,) = maps.epoch_maps([normalize(generator.item_vectors().detach())])
    continuous = ranker.quantiles(LAST_WATCH)[0]
    return HistoryEditor.from_models(
        generator, ranker.model, flat, [str(title) for title in world.titles],
        title="Watch something: both networks, in this page", kinds=genre, details=details,
        contexts={"device": DEVICES, "time of day": DAYPARTS}, continuous=continuous.tolist(),
        history=history, n_candidates=n_candidates,
    )  # fmt: skip


# ---------------------------------------------------------------- serving


def effort_frames(record: dict, key: str) -> Frames:
    """The widget: efSearch against recall and milliseconds.

    Args:
        record: "youtube_serving".
        key: size and metric, such as "100000 dot product".
    """
    rows = record["figures"]["indexes"][key]
    exact = rows["exact"]["curve"][0]["median"]
    curve = rows["hnsw"]["curve"]
    recall, ms = [r["recall"] for r in curve], [r["median"] for r in curve]
    images, alts = [], []
    for i, row in enumerate(curve):
        figure, ax = plt.subplots(figsize=(5.8, 3.4))
        ivf = rows["ivf"]["curve"]
        ax.plot([r["median"] for r in ivf], [r["recall"] for r in ivf], "s--", ms=4,
                color=PALETTE["orange"], label="IVF, by lists visited")  # fmt: skip
        ax.plot(ms, recall, "o-", ms=4, color=PALETTE["blue"], label="HNSW, by efSearch")
        if "hnsw, not lifted" in rows:
            plain = rows["hnsw, not lifted"]["curve"]
            ax.plot([r["median"] for r in plain], [r["recall"] for r in plain], "^:", ms=4,
                    color=PALETTE["sky"], label="HNSW of plain dot products")  # fmt: skip
        ax.plot(ms[i], recall[i], "o", ms=15, mfc="none", mew=2, mec=PALETTE["blue"])
        ax.axvline(exact, color=PALETTE["grey"], ls=":", label="exact")
        ax.set_xscale("log")
        ax.set(xlabel="milliseconds a query, one core", ylabel="recall@100", ylim=(0, 1.03))
        told = f"recall {row['recall']:.3f}, {row['median']:.2f} ms, exact {exact:.2f} ms"
        ax.set_title(f"efSearch {row['effort']}: {told}", fontsize=10)
        ax.legend(fontsize=8, loc="lower right")
        images.append(to_png(figure, colors=48))
        alts.append(f"efSearch {row['effort']}: {told}")
    efforts = [row["effort"] for row in curve]
    return Frames.from_images(
        images, {"efSearch": efforts}, alts, title="How hard to look", start=[len(efforts) // 2]
    )


def quick_enough(record: dict, key: str, kind: str, target: float = 0.95) -> dict:
    """How an index of one size is best used: with the first effort whose recall reaches a target,
    or with the greatest effort there is.

    Args:
        record: "youtube_serving".
        key: size and metric.
        kind: "hnsw" or "ivf".
        target: recall@100.

    Returns:
        the row of the curve, and "faster", times as fast as the exact search.
    """
    kinds = record["figures"]["indexes"][key]
    curve = kinds[kind]["curve"]
    row = next((r for r in curve if r["recall"] >= target), curve[-1])
    return row | {"faster": kinds["exact"]["curve"][0]["median"] / row["median"]}


def serving_table(record: dict) -> pd.DataFrame:
    """For each size and metric: milliseconds of the two exact searches; recall, milliseconds and
    speed-up of HNSW and IVF as `quick_enough` has them; and the seconds that they took to build."""
    rows = {}
    for key, kinds in record["figures"]["indexes"].items():
        row = {f"{k}, ms": f"{kinds[k]['curve'][0]['median']:.2f}" for k in ("exact", "flat")}
        for kind, knob in (("hnsw", "efSearch"), ("ivf", "lists")):
            best = quick_enough(record, key, kind)
            row[kind.upper()] = (
                f"{best['recall']:.3f} in {best['median']:.2f} ms, {best['faster']:.1f}× "
                f"({knob} {best['effort']:,})"
            )
        row["build, s"] = " / ".join(f"{kinds[k]['build_seconds']:.0f}" for k in ("hnsw", "ivf"))
        rows[f"{int(key.split()[0]):,}, {key.split(maxsplit=1)[1]}"] = row
    return pd.DataFrame(rows).T


def two_stages_pay_from(record: dict) -> tuple[int, bool]:
    """From which size of the catalogue on two stages are quicker, by their medians.

    Returns:
        the least size measured at which they are; and whether that is a threshold: they are quicker
        at every greater size measured too, and slower at one smaller size at least.
    """
    stages = sorted((int(n), row) for n, row in record["figures"]["stages"].items())
    pays = [row["two stages"]["median"] < row["one ranker"]["median"] for _, row in stages]
    first = pays.index(True)
    return stages[first][0], first > 0 and all(pays[first:])


def stages_at(record: dict, n: int) -> Comparison:
    """Milliseconds of a request through two stages beside one ranker, n films, by the medians."""
    row = record["figures"]["stages"][str(n)]
    return measured(row["two stages"]["median"], row["one ranker"]["median"], ratio=True)


def request_table(record: dict, n: int = 100_000) -> pd.DataFrame:
    """Milliseconds of a request on one core, at one size of the catalogue: part by part (medians),
    and the whole (median and 99th percentile)."""
    row = record["figures"]["stages"][str(n)]
    values = {name: {"median": ms} for name, ms in row["parts"].items()}
    values |= {"all of it": row["two stages"], "one ranker over everything": row["one ranker"]}
    table = pd.DataFrame(values).T[["median", "p99"]].round(2)
    table.columns = ["median, ms", "99th percentile, ms"]
    return table.astype(object).where(table.notna(), "")


def stages_figure(record: dict) -> Picture:
    """Milliseconds a request by the size of the catalogue: one ranker over all, or two stages."""
    stages = {int(n): row for n, row in record["figures"]["stages"].items()}
    figure, ax = plt.subplots(figsize=(6.2, 3.6))
    told = []
    for name, colour in (("one ranker", "orange"), ("two stages", "blue")):
        for what, style in (("median", "o-"), ("p99", "o:")):
            values = [row[name][what] for row in stages.values()]
            label = name if what == "median" else f"{name}, 99th percentile"
            ax.plot(list(stages), values, style, ms=4, color=PALETTE[colour], label=label)
        medians = ", ".join(f"{row[name]['median']:.1f} at {n:,}" for n, row in stages.items())
        told.append(f"{name}: {medians}")
    ax.set(xlabel="films in the catalogue", ylabel="milliseconds a request, one core")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.legend(fontsize=8)
    return show(figure, alt=f"Median milliseconds a request. {'; '.join(told)}")


# ---------------------------------------------------------------- real data


def calibration_figure(record: dict) -> Picture:
    """Predicted against actual watch time by tenths of the predictions, KuaiRand's test days."""
    rows = [row["calibration"] for row in record["figures"]["second"]]
    figure, ax = plt.subplots(figsize=(5.4, 4.0))
    told, colours = [], ("vermilion", "blue", "green", "orange")
    for name, colour in zip(rows[0], colours, strict=False):
        table = np.mean([row[name] for row in rows], axis=0)
        ax.plot(table[:, 0], table[:, 1], "o-", ms=5, color=PALETTE[colour], label=name)
        told.append(f"{name}: {table[-1, 0]:.0f} predicted, {table[-1, 1]:.0f} actual in the top")
    top = max(float(np.max([row[name] for row in rows])) for name in rows[0])
    ax.plot([0, top], [0, top], ls="--", lw=1, color=PALETTE["grey"], label="as predicted")
    ax.set(xlabel="predicted seconds", ylabel="seconds watched", title="KuaiRand, by tenths")
    ax.legend(fontsize=8)
    return show(figure, alt=f"Calibration of predicted watch time by tenths. {'; '.join(told)}")


def heads_table(record: dict) -> pd.DataFrame:
    """KuaiRand's test: mispredicted watch time and AUC of every ranker, over seeds, and the
    epochs that validation chose for each."""
    rows = {}
    for head in record["figures"]["second"][0]["heads"]:
        words = HEAD_NAMES.get(head, head)
        runs = [row["heads"][head] for row in record["figures"]["second"]]
        rows[words] = {
            "mispredicted watch time": t_interval([run["mispredicted"] for run in runs]).text(3),
            "AUC of clicks": t_interval([run["auc"] for run in runs]).text(3),
            "epochs chosen": ", ".join(str(run["epochs"]) for run in runs),
        }
    return pd.DataFrame(rows).T
