"""One small plot for each of the seven questions, from the recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from recsys_book.chapters.closing.leaderboard import BY_CLICKS
from recsys_book.reproduce import read_record
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, show

SIZE = (5.6, 1.9)


def _dots(rows: Mapping[str, Sequence[float]], label: str, alt: str) -> Picture:
    """A row a name: mean and 95 % t-interval."""
    figure, ax = plt.subplots(figsize=(SIZE[0], 0.75 + 0.3 * len(rows)))
    told = []
    for y, (name, values) in enumerate(reversed(rows.items())):
        interval = t_interval(values)
        reach = interval.high - interval.mean
        ax.errorbar(interval.mean, y, xerr=reach, fmt="o", ms=5, capsize=3, color=PALETTE["blue"])
        told.append(f"{name} {interval.mean:.3f}")
    ax.set_yticks(range(len(rows)), list(reversed(rows)), fontsize=9)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel(label, fontsize=9)
    ax.tick_params(axis="x", labelsize=8)
    return show(figure, alt=f"{alt}: {', '.join(reversed(told))}")


def length() -> Picture:
    """NDCG@10 on MovieLens small by the length of the vectors, with and without a penalty."""
    ways = read_record("ch02/embeddings")["figures"]["sweep"]["films"]["ways"]
    figure, ax = plt.subplots(figsize=SIZE)
    told = []
    for way, color, words in (
        ("epochs and penalty", "blue", "penalty tuned"), ("nothing", "vermilion", "no penalty"),
    ):  # fmt: skip
        means = {int(d): np.mean(found["ndcg"]) for d, found in ways[way].items()}
        ax.plot(list(means), list(means.values()), "o-", ms=4, color=PALETTE[color], label=words)
        told.append(f"{words} from {means[2]:.3f} at 2 to {means[256]:.3f} at 256")
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(means), list(map(str, means)), fontsize=8)
    ax.tick_params(axis="y", labelsize=8)
    ax.set_xlabel("length of the vectors", fontsize=9)
    ax.set_ylabel("NDCG@10", fontsize=9)
    ax.legend(fontsize=8)
    return show(figure, alt=f"MovieLens small, NDCG@10 by length: {'; '.join(told)}")


def neumf() -> Picture:
    """HR@10 among all films: EASE, MF and NeuMF with tuned settings, NeuMF from scratch."""
    figures = read_record("ch03/paper")["figures"]
    cells = figures["cells"]
    of = lambda runs: [r["protocols"]["refit/validation"]["full"]["worst"][0] for r in runs]
    ease = of(figures["baselines"]["EASE"]["runs"])
    rows = {
        "EASE": ease * 2,  # a closed form draws nothing
        "MF, tuned": of(cells["MF tuned/64"]),
        "NeuMF, tuned": of(cells["NeuMF tuned/32"]),
        "NeuMF, from scratch": of(cells["NeuMF/32"]),
    }
    return _dots(rows, "HR@10 among all films, over trainings", "NCF split, HR@10, all films")


def wide() -> Picture:
    """Clicks in charge, as a share of the oracle's: with and without a wide side."""
    entries = read_record("closing/leaderboard")["figures"]["entries"]
    clicks = lambda name: np.array([row["clicks"] for row in entries[name]])
    names = ("wide, more crosses", "deep", "wide & deep", "DNN")
    rows = {name: (clicks(name) / clicks(BY_CLICKS)).tolist() for name in names}
    return _dots(rows, "clicks in charge, share of the oracle's", "Clicks in charge")


def stages() -> Picture:
    """Milliseconds per request by the number of films: one ranker, or two stages."""
    found = read_record("ch04/serving")["figures"]["stages"]
    sizes = sorted(map(int, found))
    figure, ax = plt.subplots(figsize=SIZE)
    told = []
    for kind, color in (("one ranker", "vermilion"), ("two stages", "blue")):
        times = [found[str(n)][kind]["median"] for n in sizes]
        ax.loglog(sizes, times, "o-", ms=4, color=PALETTE[color], label=kind)
        told.append(f"{kind} from {times[0]:.2g} to {times[-1]:.3g} ms")
    ax.set_xlabel("films", fontsize=9)
    ax.set_ylabel("milliseconds", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8)
    return show(figure, alt=f"A request by the number of films: {'; '.join(told)}")


def new_item() -> Picture:
    """Share of the learnable on films released later, by what a model starts from."""
    methods = read_record("ch06/cold_start")["figures"]["methods"]
    names = {
        "ids as initialized": "ids as initialized",
        "category mean": "the mean of its genre",
        "ridge on both": "predicted from content",
        "one gradient on both, id dropout": "content trained with ids",
    }
    rows = {words: [row["share"] for row in methods[name]] for name, words in names.items()}
    return _dots(rows, "share of the learnable, new films", "New films, share of the learnable")


def overfitting() -> Picture:
    """Validation log-loss by epoch, with and without a field whose values hardly return."""
    runs = read_record("ch06/one_epoch")["figures"]
    found = runs.get("none", runs)
    figure, ax = plt.subplots(figsize=SIZE)
    told = []
    for key, color, words in (("0", "blue", "without the field"), ("1", "vermilion", "with it")):
        mean = np.mean([run["validation"] for run in found[key]], axis=0)
        ax.plot(range(1, len(mean) + 1), mean, "o-", ms=4, color=PALETTE[color], label=words)
        told.append(f"{words} from {mean[0]:.3f} to {mean[-1]:.3f}, least {mean.min():.3f}")
    ax.set_xlabel("epochs, no weight decay", fontsize=9)
    ax.set_ylabel("validation log-loss", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8)
    return show(figure, alt=f"Validation log-loss by epoch: {'; '.join(told)}")


def speed() -> Picture:
    """Examples per second of some ways to feed the same training on one thread."""
    race = read_record("ch06/speed")["figures"]["race"]
    names = {
        "plain": "a Dataset of single examples", "1 worker": "the same, one worker process",
        "in memory": "batches cut from tensors", "batch 4,096": "the same, batches of 4,096",
    }  # fmt: skip
    rates = {words: float(np.median(race[name]["rates"])) for name, words in names.items()}
    figure, ax = plt.subplots(figsize=SIZE)
    for y, rate in enumerate(reversed(rates.values())):
        ax.barh(y, rate / 1_000, height=0.6, color=PALETTE["blue"])
        ax.text(rate / 1_000, y, f" {rate / 1_000:.0f}", va="center", fontsize=8)
    ax.set_yticks(range(len(rates)), list(reversed(rates)), fontsize=9)
    ax.set_xlabel("thousand examples per second, one thread", fontsize=9)
    ax.tick_params(axis="x", labelsize=8)
    told = ", ".join(f"{words} {rate:,.0f}" for words, rate in rates.items())
    return show(figure, alt=f"Examples per second: {told}")
