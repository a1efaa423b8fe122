"""Figures of chapter 06 on speed, from the records `ch06/speed` and `ch06/gpu`."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.pyplot as plt
import pandas as pd

from recsys_book.chapters.ch06_training_discipline.speed import (
    ADAMS,
    EPOCHS,
    GPU_LINES,
    GPU_SIZES,
    RULES,
    WITHIN,
)
from recsys_book.show.claims import Comparison, by_round, by_world
from recsys_book.show.plots import PALETTE, Picture, show

#: A colour by what a variant changes.
COLORS = {
    "plain": "grey", "1 worker": "sky", "2 workers": "sky", "in memory": "blue",
    "histories for every batch": "blue", "plain, batch 4,096": "orange", "batch 1,024": "orange",
    "batch 4,096": "orange", "batch 16,384": "orange", "all together, 1 thread": "vermilion",
    "all together, 2 threads": "vermilion",
}  # fmt: skip


#: What chapter 06 says of a line, by its name: a sentence, and the relation of its examples per
#: second to those of its base.
SAYS = {
    "1 worker": ("A worker process makes training on one thread slower", "<"),
    "in memory": ("Batches cut from tensors train faster than a Dataset of single examples", ">"),
    "histories for every batch": ("Histories worked out for every batch slow training down", "<"),
    "batch 4,096": ("Batches of 4,096 train faster than batches of 256 on one thread", ">"),
}
SAYS_GPU = {
    "GPU, batch 256": ("With batches of 256 a GPU and one thread are not told apart", "≈"),
    "GPU, float16, batch 65,536": ("With batches of 65,536 float16 slows this network down", "<"),
    "GPU, wide, float16, batch 65,536": ("With wide layers float16 is faster on a GPU", ">"),
}
PER_SECOND = "examples per second"


def times_base(record: dict, name: str) -> Comparison:
    """Examples per second of a variant as a multiple of its base's in the same round, over rounds.

    Args:
        record: `ch06/speed` or `ch06/gpu`.
        name: of a variant that ran and is not the plain loop.

    Raises:
        ValueError: the record's machine could not run the variant, or its base.
    """
    race = record["figures"]["race"]
    for line in (name, race[name]["base"]):
        if reason := race[line].get("absent"):
            raise ValueError(f"name is {name!r}; this record has no rates of {line!r}: {reason}")
    mine, base = race[name]["rates"], race[race[name]["base"]]["rates"]
    return by_round(mine, base)


def batch_cost(record: dict, size: int, rule: str = "tuned") -> Comparison:
    """Log-loss after all epochs beside that of the smallest batch with its tuned rate, over worlds.

    Args:
        record: `ch06/speed`.
        size: examples in a batch.
        rule: one of `speed.RULES`, by which the learning rate follows the batch.
    """
    worlds = record["figures"]["batches"]
    smallest = min(int(key) for key in worlds[0] if key != "target")
    end = lambda world, batch, how: world[str(batch)][how]["looks"][-1]["log_loss"]
    return by_world(
        [end(w, size, rule) for w in worlds], [end(w, smallest, "tuned") for w in worlds]
    )


def _middle_and_reach(rows: Iterable[dict], name: str) -> tuple[list[float], list[list[float]]]:
    """The figure of that name in every row, and from it down to "low" and up to "high"."""
    rows = list(rows)
    middle = [row[name] for row in rows]
    down = [row[name] - row["low"] for row in rows]
    return middle, [down, [row["high"] - row[name] for row in rows]]


def race_figure(record: dict) -> Picture:
    """Bars: every variant's examples per second as a ratio to the plain loop's, and the range over
    rounds; beside the name, what the variant differs from in one thing.

    Args:
        record: `ch06/speed`.
    """
    race = record["figures"]["race"]
    figure, ax = plt.subplots(figsize=(7.4, 0.33 * len(race) + 0.9))
    top = max(row["high"] for row in race.values() if row["absent"] is None)
    told, missing = [], []
    for y, (name, row) in enumerate(race.items()):
        if row["absent"] is not None:
            ax.text(0.02 * top, y, f"not run: {row['absent']}", va="center", fontsize=8,
                    style="italic", color=PALETTE["grey"])  # fmt: skip
            missing.append(f"{name} ({row['absent']})")
            continue
        color = PALETTE[COLORS.get(name, "green")]
        _, reach = _middle_and_reach([row], "ratio")
        ax.barh(y, row["ratio"], color=color, height=0.65)
        ax.errorbar(row["ratio"], y, xerr=reach, color=PALETTE["black"], capsize=2, lw=1)
        ax.text(row["high"] + 0.015 * top, y, f"{row['ratio']:.2f}", va="center", fontsize=8)
        told.append(f"{name} {row['ratio']:.2f}")
    label = lambda name, row: name if row["base"] is None else f"{name}  ←  {row['base']}"
    ax.set_yticks(range(len(race)), [label(*pair) for pair in race.items()], fontsize=8)
    ax.axvline(1, color=PALETTE["grey"], ls="--", lw=1)
    ax.set(
        ylim=(len(race) - 0.4, -0.6), xlim=(0, 1.12 * top), xlabel="examples per second, plain = 1"
    )
    ax.grid(axis="y", visible=False)
    alt = "Examples per second as a ratio to the plain loop: " + ", ".join(told)
    return show(figure, alt=alt + ("; not run: " + ", ".join(missing) if missing else ""))


def batch_figure(record: dict) -> Picture:
    """Left: what a larger batch costs in validation log-loss after as many epochs, by rule for the
    rate: mean and range over worlds of the difference to the smallest batch with its tuned rate.
    Right: seconds, one mark a world, until it is as good within WITHIN, where it ever is.

    Args:
        record: `ch06/speed`.
    """
    rows = [
        (seed, int(size), rule, run["looks"][-1]["log_loss"], run["seconds_to_target"])
        for seed, world in enumerate(record["figures"]["batches"])
        for size, rules in world.items()
        if size != "target"
        for rule, run in rules.items()
    ]
    found = pd.DataFrame(rows, columns=["world", "batch", "rule", "log_loss", "seconds"])
    n_worlds, sizes = found.world.nunique(), sorted(found.batch.unique())
    smallest = found[(found.batch == sizes[0]) & (found.rule == "tuned")].set_index("world")
    found["more"] = found.log_loss - found.world.map(smallest.log_loss)  # paired: worlds differ
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.6))
    colors = ("grey", "blue", "orange", "vermilion")
    for i, (rule, color, marker) in enumerate(zip(RULES, colors, "oXs^", strict=True)):
        part = found[found.rule == rule]
        # Side by side, so that equal figures do not hide each other.
        beside = lambda batch, i=i: batch * 1.13 ** (i - 1.5)
        more = part.groupby("batch").more.agg(["mean", "min", "max"])
        reach = [more["mean"] - more["min"], more["max"] - more["mean"]]
        style = {"color": PALETTE[color], "marker": marker, "ms": 6}
        left.errorbar(beside(more.index), more["mean"], reach, capsize=3, label=rule, **style)
        right.plot(beside(part.batch), part.seconds, ls="", alpha=0.8, **style)
    for size in sizes:
        if found[found.batch == size].seconds.isna().all():
            right.text(size, 0, "never", ha="center", va="bottom", fontsize=9)
    left.set(ylabel=f"log-loss above batch {sizes[0]:,}, tuned")
    left.legend(title="learning rate", fontsize=8)
    right.set(ylabel=f"seconds until within {WITHIN} of it")
    right.set_ylim(0, 1.1 * found.seconds.max())
    for ax in (left, right):
        ax.set(xscale="log", xlabel="examples in a batch", xlim=(sizes[0] / 1.7, sizes[-1] * 1.7))
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.minorticks_off()
    told = []
    for size in sizes:
        part = found[found.batch == size]
        means = ", ".join(f"{rule} {part[part.rule == rule].more.mean():+.4f}" for rule in RULES)
        tuned = part[part.rule == "tuned"]
        n, took = tuned.seconds.notna().sum(), tuned.seconds.mean()
        told.append(f"batch {size:,}: {means}; with the tuned rate as good in {n} of {n_worlds} "
                    f"worlds" + (f", after {took:.1f} s" if n else ""))  # fmt: skip
    return show(
        figure,
        alt=f"Log-loss after {EPOCHS} epochs above that of batch {sizes[0]:,} with its tuned rate, "
        f"by rule for the rate, mean of {n_worlds} worlds. " + ". ".join(told),
    )


def tables_figure(record: dict) -> Picture:
    """Milliseconds a step at batch 256 by the number of rows in the table, one line an optimizer.

    Args:
        record: `ch06/speed`.
    """
    tables = record["figures"]["tables"]
    figure, ax = plt.subplots()
    told = []
    colors = ("blue", "green", "orange")
    for (name, color), marker in zip(zip(ADAMS, colors, strict=True), "os^", strict=True):
        middle, reach = _middle_and_reach([row[name] for row in tables], "median")
        ax.errorbar([row["rows"] for row in tables], middle, reach, marker=marker, capsize=3,
                    color=PALETTE[color], label=name)  # fmt: skip
        told.append(f"{name} from {middle[0]:.1f} to {middle[-1]:.1f} ms")
    ax.set(xscale="log", xlabel="rows in the table", ylabel="milliseconds a step", ylim=(0, None))
    ax.set_xticks([row["rows"] for row in tables], [f"{row['rows']:,}" for row in tables])
    ax.minorticks_off()
    ax.legend()
    return show(
        figure,
        alt=f"Time of a step by rows in the table, from {tables[0]['rows']:,} to "
        f"{tables[-1]['rows']:,}: " + ", ".join(told),
    )


def seconds_to_target(record: dict, line: str) -> pd.DataFrame:
    """Seconds of training until the target log-loss: a row a world, a column a size of batch; NaN
    where it was not met.

    Args:
        record: `ch06/gpu`.
        line: "one thread", "all cores" or "GPU".
    """
    worlds = record["figures"]["reach"]
    sizes = [int(key) for key in worlds[0] if key != "target"]
    found = [[w[str(size)][line]["seconds_to_target"] for size in sizes] for w in worlds]
    return pd.DataFrame(found, columns=sizes, dtype=float)


def sooner(record: dict, line: str, base: str) -> Comparison:
    """Seconds in which `base` and a line meet the target, as a multiple, over worlds, each with the
    size of batch that is quickest for it in the mean.

    Args:
        record: `ch06/gpu`.
        line, base: two of "one thread", "all cores" and "GPU".
    """
    quickest = []
    for name in (base, line):
        seconds = seconds_to_target(record, name)
        quickest.append(seconds[seconds.mean(skipna=False).idxmin()])
    return by_world(quickest[0], quickest[1], ratio=True)


def gpu_figure(record: dict) -> Picture:
    """Left: examples per second over the plain loop's by size of batch, median and range over
    rounds, one line a way to compute. Right: seconds until the target log-loss, mean and range
    over worlds, with the numbers of epochs that suit each size of batch. A line that the record's
    machine could not run is named with the reason, and not drawn.

    Args:
        record: `ch06/gpu`.
    """
    race = record["figures"]["race"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4.0))
    colors = ("grey", "blue", "vermilion", "vermilion", "purple", "purple")
    told, missing = [], []
    for line, color in zip(GPU_LINES, colors, strict=True):
        every = {n: race[f"{line}, batch {n:,}"] for n in GPU_SIZES}
        rows = {n: row for n, row in every.items() if row["absent"] is None}
        half = "float16" in line
        if not rows:  # a processor without bfloat16, a machine with fewer cores
            reason = every[GPU_SIZES[0]]["absent"]
            left.plot([], [], color=PALETTE[color], ls="--" if half else "-", alpha=0.4,
                      label=f"{line}: not run")  # fmt: skip
            missing.append(f"{line} ({reason})")
            continue
        middle, reach = _middle_and_reach(rows.values(), "ratio")
        left.errorbar(list(rows), middle, reach, color=PALETTE[color], marker="^" if half else "o",
                      ls="--" if half else "-", ms=5, capsize=2, label=line)  # fmt: skip
        ends = f"from {middle[0]:.3g} at {min(rows):,} to {middle[-1]:.3g} at {max(rows):,}"
        told.append(f"{line} {ends}")
    left.set(title="examples per second, plain loop = 1")
    left.legend(fontsize=8)
    soon = []
    for line, color in zip(("one thread", "all cores", "GPU"), ("grey", "blue", "vermilion"),
                           strict=True):  # fmt: skip
        seconds = seconds_to_target(record, line)
        mean = seconds.mean(skipna=False)
        if mean.isna().all():
            soon.append(f"{line} never in every world")
            continue
        right.errorbar(seconds.columns, mean, [mean - seconds.min(), seconds.max() - mean],
                       color=PALETTE[color], marker="o", ms=5, capsize=2, label=line)  # fmt: skip
        best = mean.idxmin()
        soon.append(f"{line} {mean[best]:.1f} s at {best:,}")
    right.set(title=f"seconds to the log-loss of batch {seconds.columns[0]:,}")
    for ax, sizes in ((left, GPU_SIZES), (right, list(seconds.columns))):
        ax.set(xscale="log", yscale="log", xlabel="examples in a batch")
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=8)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    return show(
        figure,
        alt="Examples per second over the plain loop's, by size of batch: " + ", ".join(told)
        + (f"; not run: {', '.join(missing)}" if missing else "")
        + ". Soonest at the log-loss that a batch of 256 ends with: " + ", ".join(soon),
    )  # fmt: skip
