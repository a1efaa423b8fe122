"""Figures and widgets of chapter 02."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from torch import Tensor
from torch.nn.functional import normalize

from recsys_book import maps
from recsys_book.chapters.ch02_embeddings import lab
from recsys_book.chapters.ch02_embeddings.answers import directions, spectrum
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.embeddings import nearest
from recsys_book.metrics import share_of_learnable
from recsys_book.service.world import GENRES, World
from recsys_book.show.claims import Comparison, by_training, by_world
from recsys_book.show.explorers import SHOWN_EPOCHS, explorer
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, show, to_png
from recsys_book.widgets import EmbeddingExplorer, Frames

WAY_STYLES = {  # name of a way → colour, marker, words
    "nothing": ("vermilion", "s", "no penalty, all 20 epochs"),
    "epochs": ("orange", "^", "no penalty, epochs chosen"),
    "epochs and penalty": ("blue", "o", "penalty and epochs chosen"),
}


# ---------------------------------------------------------------- three tribes on a plane


def tribes_frames(steps: Sequence[int] = (0, 1, 2, 3, 5, 8, 12, 20, 30)) -> Frames:
    """The widget: vectors of length 2 of three tribes and their films, with and without negatives.

    But for the last way there are no biases: what has to be said, the vectors must say.

    Args:
        steps: epochs of which pictures are taken.
    """
    log, tribe = lab.tribes()
    ways = {
        "clicks alone": (0, False),
        "1 negative per click": (1, False),
        "4 negatives per click": (4, False),
        "4 negatives and biases": (4, True),
    }
    figures, alts, captions = [], [], []
    for way, (n_negatives, biases) in ways.items():
        told = lab.train_and_watch(
            log, dim=2, lr=0.05, weight_decay=1e-3, epochs=max(steps), n_negatives=n_negatives,
            batch_size=64, biases=biases,
        )  # fmt: skip
        reach = 1.1 * max(float(v.abs().max()) for v in told.items + told.users)
        for step in steps:
            figure, ax = plt.subplots(figsize=(4.2, 4.2))
            ax.scatter(*told.users[step].T, s=18, color=PALETTE["grey"], marker="x", label="people")
            for g, (name, colour) in enumerate(
                {"comedy": "orange", "drama": "blue", "crime": "green"}.items()
            ):
                ax.scatter(
                    *told.items[step][tribe == g].T, s=34, color=PALETTE[colour], lw=0, label=name
                )
            ax.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
            ax.axvline(0, color="#bbbbbb", lw=0.8, zorder=0)
            ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
            ax.grid(False)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, fontsize=8)
            figures.append(to_png(figure, colors=32))
            cosine = lab.mean_cosine(told.items[step])
            pure = maps.neighbour_purity(normalize(told.items[step]), tribe)
            words = f"mean cosine between films {cosine:.2f}, neighbour purity {pure:.2f}"
            words = words.replace("-", "−")
            captions.append(f"After {step} epochs: {words}")
            alts.append(f"Vectors of 60 films and 90 people, {way}, after {step} epochs: {words}")
    return Frames.from_images(
        figures,
        {"trained on": list(ways), "epoch": list(steps)},
        alts,
        title="Three tribes, each with films of its own, in two dimensions",
        captions=captions,
        start=[0, len(steps) - 1],
    )


def click_arrows(p: Tensor, q: Tensor, lr: float) -> Picture:
    """What one step of gradient descent on the log-loss does to a person's and a film's vector.

    Args:
        p, q: `[2]`, the two vectors before.
        lr: learning rate of the step.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.6), sharex=True, sharey=True)
    told = []
    for ax, (label, words) in zip(axes, ((1.0, "a click"), (0.0, "no click")), strict=True):
        error = float(torch.sigmoid(p @ q)) - label
        after = (p - lr * error * q, q - lr * error * p)
        for name, before, end, colour in zip(
            ("person", "film"), (p, q), after, ("blue", "orange"), strict=True
        ):
            for vector, alpha in ((before, 0.35), (end, 1.0)):
                ax.annotate(
                    "", vector.tolist(), (0, 0),
                    arrowprops={
                        "arrowstyle": "-|>", "lw": 2.2, "color": PALETTE[colour], "alpha": alpha,
                        "shrinkA": 0, "shrinkB": 0,
                    },
                )  # fmt: skip
            x, y = (end + 0.14 * end / end.norm()).tolist()
            ax.text(x, y, name, color=PALETTE[colour], fontsize=9, ha="center", va="center")
        product, moved = float(p @ q), f"{float(after[0] @ after[1]):.2f}".replace("-", "−")
        ax.set_title(f"{words}: p · q from {product:.2f} to {moved}", fontsize=10)
        ax.axhline(0, color="#cccccc", lw=0.8, zorder=0)
        ax.axvline(0, color="#cccccc", lw=0.8, zorder=0)
        ax.set_aspect("equal")
        told.append(f"{words}, dot product from {product:.2f} to {moved}")
    ax.set(xlim=(-0.7, 1.4), ylim=(-0.6, 1.4))
    return show(
        figure,
        alt="A person's vector and a film's, pale before one step of gradient descent and dark "
        "after it: " + "; ".join(told),
    )


def purity_figure(runs: Sequence[Sequence[Mapping[str, float]]], title: str = "") -> Picture:
    """Neighbour purity by epoch, beside equally popular and random pairs.

    Args:
        runs: one list a seed, `maps.purities` of each epoch.
        title: over the figure.
    """
    names = {"neighbours": "blue", "as popular": "orange", "random": "grey"}
    values = {name: [[row[name] for row in run] for run in runs] for name in names}
    figure = _by_epoch(values, names, "share that shares a genre")
    figure.axes[0].set(ylim=(0, 1), title=title)
    told = ", ".join(
        f"{name} {np.mean([v[-1] for v in some]):.2f}" for name, some in values.items()
    )
    return show(figure, alt=f"Share of pairs that share a genre by epoch; at the end {told}")


def _by_epoch(values: Mapping, colours: Mapping[str, str], label: str):
    rows = [
        (name, epoch, value)
        for name, runs in values.items()
        for run in runs
        for epoch, value in enumerate(run)
    ]
    figure, ax = plt.subplots(figsize=(6.4, 3.2))
    sns.lineplot(
        pd.DataFrame(rows, columns=["", "epoch", label]), x="epoch", y=label, hue="",
        palette={name: PALETTE[colour] for name, colour in colours.items()},
        errorbar=lambda v: (min(v), max(v)), marker="o", ax=ax,
    )  # fmt: skip
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


# ---------------------------------------------------------------- what counts as no

LOGS = {
    "clicks": ("on clicks,\nnegatives drawn", "blue"),
    "impressions": ("on impressions", "vermilion"),
}


def handwriting(record: dict, key: str) -> dict[str, list[float]]:
    """Trained on "clicks" or "impressions", or pairs at "random" → a purity a world.

    Args:
        record: `ch02/answers`.
        key: such as "preferences off, guess on".
    """
    rows = record["figures"]["handwriting"][key]
    return {kind: [row[kind] for row in rows] for kind in rows[0]}


def handwriting_table(record: dict, kind: str = "clicks") -> pd.DataFrame:
    """Neighbour purity of MF: a row by what people want, a column by what the service keeps; means
    over the worlds.

    Args:
        record: `ch02/answers`.
        kind: trained on "clicks" or on "impressions".
    """
    people = {"on": "people prefer genres", "off": "nobody prefers a genre"}
    service = {"on": "the service keeps its guess", "off": "it keeps none"}
    return pd.DataFrame(
        {
            words: {
                who: t_interval(
                    handwriting(record, f"preferences {wanted}, guess {kept}")[kind]
                ).mean
                for wanted, who in people.items()
            }
            for kept, words in service.items()
        }
    ).map(lambda mean: f"{mean:.2f}".replace("0.", ".", 1))


def two_maps(films: Mapping[str, tuple[World, Tensor]], perplexity: float = 30) -> Picture:
    """Films of two worlds side by side by t-SNE, a colour a genre; those that were clicked.

    Args:
        films: title → world, and vectors `[N, d]`.
        perplexity: of the maps.
    """
    figure, axes = plt.subplots(1, len(films), figsize=(7.6, 4.4))
    colours, told = plt.get_cmap("tab20"), []
    for ax, (title, (world, vectors)) in zip(axes, films.items(), strict=True):
        clicked = lab.clicked_before(world).item_counts() > 0
        genre = torch.from_numpy(world.film.genre)[clicked]
        [flat] = maps.epoch_maps([vectors[clicked]], perplexity=perplexity)
        ax.scatter(*flat.T, c=colours(genre.numpy()), s=7)
        near = nearest(vectors[clicked], 10, by="cosine")[0]
        pure = f"{maps.purity(near, genre):.2f}".replace("0.", ".", 1)
        ax.set_title(f"{title}\n(neighbour purity {pure})", fontsize=10.5)
        ax.set(xticks=[], yticks=[])
        told.append(f"{title}: neighbour purity {pure}")
    dots = [plt.Line2D([], [], marker="o", ls="", color=colours(g)) for g in range(len(GENRES))]
    figure.legend(dots, GENRES, loc="outside lower center", ncols=6, fontsize=8)
    return show(figure, alt="Two maps of films, coloured by genre. " + "; ".join(told))


def handwriting_figure(record: dict) -> Picture:
    """Neighbour purity where people prefer genres or not, and the service keeps a guess or not."""
    keys = list(record["figures"]["handwriting"])
    figure, ax = plt.subplots(figsize=(6.8, 2.9))
    told = []
    for y, key in enumerate(reversed(keys)):
        values = handwriting(record, key)
        for shift, (kind, (words, colour)) in zip((0.14, -0.14), LOGS.items(), strict=True):
            found = t_interval(values[kind])
            ax.errorbar(
                found.mean, y + shift, xerr=found.high - found.mean, fmt="o", ms=6, capsize=3,
                color=PALETTE[colour], label=f"MF {words}".replace("\n", " ") if y == 0 else None,
            )  # fmt: skip
            text = f"{found.mean:.2f}".replace("0.", ".")
            ax.text(found.high + 0.015, y + shift, text, va="center", fontsize=9)
            told.append(f"{key}, MF {words}: {text}".replace("\n", " "))
    chance = float(np.mean(values["random"]))
    ax.axvline(chance, color=PALETTE["grey"], ls="--", lw=1)
    ax.text(chance, len(keys) - 0.45, "random pairs", fontsize=8, ha="center", color="#555555")
    ax.set_yticks(range(len(keys)), list(reversed(keys)))
    ax.set(xlim=(0, 1), ylim=(-0.5, len(keys) - 0.25), xlabel="neighbours of the same genre")
    ax.legend(fontsize=8.5, loc="lower right")
    return show(figure, alt="Neighbour purity by genre. " + "; ".join(told))


def two_logs_values(record: dict, name: str, measure: str) -> list[float]:
    """A figure a world: "ndcg", "clicks", and of MF "purity" or "random".

    Args:
        record: `ch02/answers`.
        name: "clicks", "impressions", either with ", other setting" after it, "EASE" or "truth".
        measure: see `answers.two_logs`.
    """
    return [world[name][measure] for world in record["figures"]["two logs"]]


def two_logs_figure(record: dict) -> Picture:
    """The same model on two logs: what its vectors know of genres, and what its lists are worth."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 1.9), sharey=True)
    titles = {"purity": "neighbours of the same genre", "clicks": "clicks its ten films would earn"}
    told = []
    for ax, (measure, title) in zip(axes, titles.items(), strict=True):
        for y, (name, (words, colour)) in enumerate(reversed(LOGS.items())):
            found = t_interval(two_logs_values(record, name, measure))
            ax.errorbar(
                found.mean, y, xerr=found.high - found.mean, fmt="o", ms=6, capsize=3,
                color=PALETTE[colour],
            )  # fmt: skip
            text = f"{found.mean:.2f}".replace("0.", ".")
            at = {"x": found.low - 0.02, "y": y, "ha": "right", "va": "center"}
            ax.text(**at, s=text, fontsize=9)
            told.append(f"MF {words}, {title}: {text}".replace("\n", " "))
        ax.set_title(title, fontsize=10)
    chance = float(np.mean(two_logs_values(record, "clicks", "random")))
    truth = float(np.mean(two_logs_values(record, "truth", "purity")))
    for x in (chance, truth):
        axes[0].axvline(x, color=PALETTE["grey"], ls="--", lw=1)
    axes[0].set_xticks(
        [chance, 0.5, truth], ["random\npairs", ".5", "the truth's\nown"], fontsize=8
    )
    axes[1].set_xticks([0, 0.5, 1], ["most\nclicked", ".5", "oracle"], fontsize=8)
    axes[0].set_yticks([0, 1], [f"MF {words}" for words, _ in reversed(LOGS.values())])
    axes[0].set(xlim=(0, 1.05), ylim=(-0.5, 1.6))
    axes[1].set(xlim=(-0.05, 1.05))
    told.append(f"the truth's own purity: {truth:.2f}")
    return show(figure, alt="; ".join(told))


def swapped_table(record: dict) -> pd.DataFrame:
    """Both logs under both settings: purity, and the clicks of the ten films; over worlds."""
    names = [f"{log}{other}" for log in LOGS for other in ("", ", other setting")]
    columns = {"purity": "neighbours of the genre", "clicks": "clicks of the ten films"}
    rows = {
        name: {
            words: t_interval(two_logs_values(record, name, measure)).text(2)
            for measure, words in columns.items()
        }
        for name in names
    }
    return pd.DataFrame(rows).T


SWAPPED = (
    "Mean and 95 % interval over five worlds. The model on clicks has 32 dimensions, a rate of "
    ".02 that falls by a fifth per pass, and twelve passes; that on impressions 8 dimensions, "
    ".04, falling by two fifths, six passes, and a number for each place in the list. In the rows "
    "'other setting' each has the dimension, rate, penalty and passes of the other."
)


# ---------------------------------------------------------------- how long


SPECTRA = (
    "Take the cloud of film vectors, find the direction in which it reaches farthest, then the "
    "next at a right angle to it, and so on (its singular values; the mean is taken off). 'As 55 "
    "equal ones' counts how many directions of equal reach would be as evenly spread (the "
    "exponential of the entropy of the shares of variance). Many dimensions do not fill evenly, "
    "and least so with the penalty that ranks best. So the number does not tell you how many "
    "dimensions pay off: the service fills more and needs fewer. Guo and colleagues (2024) find "
    "that the vectors of models of many fields occupy few directions, for another reason (how "
    "fields interact), and call it embedding collapse; there it keeps larger models from getting "
    "better. Dashed: a table of noise, 1,000 by 256."
)


def spectra_figure(record: dict) -> Picture:
    """Singular values of film vectors of 8 and 256 dimensions, beside those of a table of noise.

    Args:
        record: `ch02/answers`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.8, 3.1), sharey=True)
    noise = spectrum(torch.randn(1_000, 256, generator=torch.Generator().manual_seed(0)))
    styles = (
        ("256", "epochs", "sky", "no penalty"),
        ("256", lab.WAYS[-1], "blue", "penalty tuned"),
        ("8", lab.WAYS[-1], "orange", "penalty tuned"),
    )
    told = []
    for ax, (key, title) in zip(
        axes, {"simulated": "simulated service", "films": "MovieLens small"}.items(), strict=True
    ):
        for row, (dim, way, colour, words) in enumerate(styles):
            found = record["figures"]["spectra"][key][way][dim]
            mean = np.mean(found, axis=0)
            ax.plot(range(1, len(mean) + 1), mean, "-o", ms=2, color=PALETTE[colour])
            equal = np.mean([directions(one) for one in found])
            ax.text(
                0.03, 0.24 - 0.1 * row, f"d = {dim}, {words}: as {equal:.0f} equal ones",
                transform=ax.transAxes, fontsize=8, color=PALETTE[colour],
            )  # fmt: skip
            told.append(f"{title}, d = {dim}, {words}: as many as {equal:.0f} equal directions")
        ax.plot(range(1, 257), noise, "--", color=PALETTE["grey"], lw=1.2)
        ax.set(title=title, xlabel="direction, farthest first", ylim=(0, 1.05))
        ax.set_xscale("log", base=2)
        ax.set_xticks([1, 8, 32, 256], ["1", "8", "32", "256"])
    axes[0].set_ylabel("reach, as a share of the first")
    return show(figure, alt="Singular values of film vectors. " + "; ".join(told))


def sweep_values(record: dict, key: str, way: str) -> dict[int, list[float]]:
    """Length → a figure a seed: share of the learnable where the truth is known, else NDCG@10.

    Args:
        record: `ch02/embeddings`.
        key: "simulated" or "films".
        way: of `lab.WAYS`.
    """
    found = record["figures"]["sweep"][key]
    rows = {int(dim): row["ndcg"] for dim, row in found["ways"][way].items()}
    if key == "films":
        return rows
    return {dim: _shares(values, found["popularity"]) for dim, values in rows.items()}


def _shares(ndcg: Sequence[float], popularity: Sequence[float]) -> list[float]:
    pairs = zip(ndcg, popularity, strict=True)
    return [share_of_learnable(value, popular, 1.0) for value, popular in pairs]


def sweep_figure(record: dict) -> Picture:
    """How good by length of the vectors, on both logs, with intervals over seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.8))
    told = []
    names = {
        "simulated": ("simulated service, 1,000 films", "share of the learnable, by NDCG@10"),
        "films": ("MovieLens small, 9,742 films", "NDCG@10"),
    }
    for ax, (key, (title, label)) in zip(axes, names.items(), strict=True):
        for shift, (way, (colour, marker, words)) in zip(
            (0.93, 1.0, 1.07), WAY_STYLES.items(), strict=True
        ):
            values = sweep_values(record, key, way)
            dims, intervals = np.array(list(values)), [t_interval(v) for v in values.values()]
            means = [v.mean for v in intervals]
            ax.errorbar(
                dims * shift, means, yerr=[v.high - v.mean for v in intervals], ms=5, lw=1.6,
                color=PALETTE[colour], marker=marker, capsize=2.5, elinewidth=1, label=words,
            )  # fmt: skip
            best = int(np.argmax(means))
            ax.plot(
                dims[best] * shift, means[best], "o", ms=13, mfc="none", mew=1.6,
                mec=PALETTE[colour],
            )  # fmt: skip
            told.append(f"{key}, {words}: best at {dims[best]} with {means[best]:.3f}")
        popular = 0.0 if key == "simulated" else record["figures"]["sweep"][key]["popularity"][0]
        ax.axhline(popular, color=PALETTE["grey"], ls="--", lw=1)
        ax.text(2, popular, "popularity", va="bottom", fontsize=8, color=PALETTE["grey"])
        ax.set_xscale("log", base=2)
        ax.set_xticks(dims, [str(d) for d in dims])
        ax.set(title=title, xlabel="dimensions d", ylabel=label)
    axes[1].legend(fontsize=8, loc="upper left")
    return show(figure, alt="How good by dimensions of the vectors. " + "; ".join(told))


def lead(record: dict, key: str, way_a: str, dim_a: int, way_b: str, dim_b: int) -> Comparison:
    """By how much one way at one length is ahead of another; paired by seed. See `sweep_values`."""
    a, b = (sweep_values(record, key, way) for way in (way_a, way_b))
    compare = by_world if key == "simulated" else by_training
    return compare(a[dim_a], b[dim_b])


# ---------------------------------------------------------------- lengths and hashes


COSTS = (
    "16 ids at a time, in rows of 32 numbers. Bytes are those of what is fed to the table: 16 "
    "one-hots, or 16 whole numbers. Multiplications are those of the product. The product's cost "
    "grows with the number of ids, the look-up's does not."
)
HASHING = (
    "Films in tables of one row per film, a half, a quarter and an eighth, with one hash and with "
    "two, in three worlds; 1 would be the oracle. Even with as many rows as films ranking is worse "
    "in the mean: with one hash two films in three share their row, with two nearly all share one. "
    "With few rows it matters most whether each film keeps a bias of its own: a single number per "
    "film. Keep it. (Settings were chosen for the table without a hash.)"
)
LENGTHS = (
    "Three worlds. correlation: rank correlation of a vector's length with popularity. cosine and "
    "dot product: mean popularity (0 rarest, 1 most popular) of the ten nearest by each. top: the "
    "share of all places in those lists that a fiftieth of the films takes; .02 would be even. On "
    "this service popularity goes into the length with biases and with iALS, not without biases; "
    "on MovieLens it does so in all three (.69 without biases)."
)
BRIDGES = (
    "Nearly every film has a second genre. Of the neighbours that are of another genre than the "
    "film: how often is it the film's second one, and how often would chance make it so? A trace "
    "of a bridge at most; the interval reaches down to chance."
)


def hashing_values(record: dict) -> dict[str, list[float]]:
    """What was hashed ("bias/hashes/rows a film", or "whole") → shares of the learnable."""
    popularity = record["figures"]["sweep"]["simulated"]["popularity"]
    return {key: _shares(v, popularity) for key, v in record["figures"]["hashing"].items()}


def hashing_figure(record: dict) -> Picture:
    """Share of the learnable with hashed films, by rows a film, with intervals over worlds."""
    found = hashing_values(record)
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    styles = {
        "own/2": ("blue", "o", "-", "own bias, two hashes"),
        "own/1": ("blue", "s", "--", "own bias, one hash"),
        "hashed/2": ("vermilion", "o", "-", "bias hashed too, two"),
        "hashed/1": ("vermilion", "s", "--", "bias hashed too, one"),
    }
    told = []
    for key, (colour, marker, line, words) in styles.items():
        rows = {float(k.rsplit("/", 1)[1]): v for k, v in found.items() if k.startswith(key + "/")}
        values = [t_interval(v) for v in rows.values()]
        ax.errorbar(
            list(rows), [v.mean for v in values], yerr=[v.high - v.mean for v in values],
            color=PALETTE[colour], marker=marker, ls=line, capsize=3, label=words,
        )  # fmt: skip
        told.append(f"{words} {values[0].mean:.3f} to {values[-1].mean:.3f}")
    whole = np.mean(found["whole"])
    for y, words in ((whole, "a row for each film"), (0.0, "popularity")):
        ax.axhline(y, color=PALETTE["grey"], ls=":", lw=1.2)
        ax.text(0.125, y, words, fontsize=8, va="bottom", color=PALETTE["grey"])
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(rows), [f"{s:g}" for s in rows])
    ax.set(xlabel="rows of the table for each film", ylabel="share of the learnable")
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return show(
        figure,
        alt=f"Share of the learnable, one row a film to an eighth; whole table {whole:.3f}: "
        + "; ".join(told),
    )


# ---------------------------------------------------------------- where maps lie

PERPLEXITIES = (2, 5, 15, 30, 50)


def lying_data(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Three sets of points in 16 dimensions whose truth is known.

    Returns:
        name → points `[n, 16]`, group `[n]`.
    """
    random = np.random.RandomState(seed)
    noise = random.randn(200, 16)
    centre = np.zeros((3, 16))
    centre[1, 0], centre[2, 0] = 10, 100  # gaps of 10 and 90
    third = np.repeat(np.arange(3), 60)
    far = centre[third] + random.randn(180, 16)
    half = np.repeat(np.arange(2), 90)
    spread = np.where(half == 0, 0.5, 5.0)[:, None] * random.randn(180, 16)  # ten times as wide
    spread[half == 1, 0] += 60
    return {
        "pure noise": (noise, np.zeros(200, dtype=int)),
        "one group far away": (far, third),
        "one tight, one wide": (spread, half),
    }


def lay_out(points: np.ndarray, perplexity: float, seed: int = 0) -> np.ndarray:
    """A t-SNE map `[n, 2]` with scikit-learn's defaults, in fewer steps."""
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=600)
    return tsne.fit_transform(points)


#: At which perplexity each lie is measured: low for the noise, scikit-learn's default for the rest.
LIES_AT = {"pure noise": 2, "one group far away": 30, "one tight, one wide": 30}


def lies(seeds: Sequence[int] = (0, 1, 2)) -> dict[str, tuple[list[float], list[float]]]:
    """How the three sets look in the map, and how they are.

    Args:
        seeds: of the points.

    Returns:
        name → (truth, map), each with a figure a seed. "pure noise": silhouette of the forty
        clusters k-means finds (0 none, 1 perfect), in noise on a plane and in the map of noise: on
        a plane, since in 16 dimensions any silhouette is low; "one group far away": the larger gap
        as a multiple of the smaller; "one tight, one wide": the wide group's spread as a multiple
        of the tight one's.
    """
    result: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in LIES_AT}
    for seed in seeds:
        for name, (points, group) in lying_data(seed).items():
            plane = np.random.RandomState(seed + 1_000).randn(len(points), 2)
            truth = plane if name == "pure noise" else points
            drawn = lay_out(points, LIES_AT[name])
            for kept, shown in zip(result[name], (truth, drawn), strict=True):
                kept.append(_figure_of(name, shown, group))
    return result


def _figure_of(name: str, points: np.ndarray, group: np.ndarray) -> float:
    if name == "pure noise":
        found = KMeans(40, n_init=3, random_state=0).fit_predict(points)
        return float(silhouette_score(points, found))
    middle = np.stack([points[group == g].mean(0) for g in range(group.max() + 1)])
    if name == "one group far away":
        gap = lambda a, b: np.linalg.norm(middle[a] - middle[b])
        return float(gap(1, 2) / gap(0, 1))
    spread = [np.linalg.norm(points[group == g] - middle[g], axis=1).mean() for g in (0, 1)]
    return float(spread[1] / spread[0])


def lies_frames() -> Frames:
    """The widget: the truth on the left, its t-SNE map on the right, by perplexity."""
    figures, alts, captions = [], [], []
    words = {
        "pure noise": "The truth: one cloud without any structure.",
        "one group far away": "The truth: the gap to the green group is nine times the other gap.",
        "one tight, one wide": "The truth: the orange group is ten times as wide as the blue one.",
    }
    colours = np.array([PALETTE[c] for c in ("blue", "orange", "green")])
    for name, (points, group) in lying_data().items():
        truth = PCA(2).fit_transform(points)
        for perplexity in PERPLEXITIES:
            flat = lay_out(points, perplexity)
            figure, axes = plt.subplots(1, 2, figsize=(6.2, 3.1))
            for ax, xy, title in (
                (axes[0], truth, "truth (a flat projection)"),
                (axes[1], flat, f"t-SNE, perplexity {perplexity}"),
            ):
                ax.scatter(*xy.T, s=9, lw=0, c=colours[group])
                ax.set(xticks=[], yticks=[], title=title)
                ax.set_aspect("equal", adjustable="datalim")
            figures.append(to_png(figure, colors=48))
            trust = maps.trustworthiness(torch.from_numpy(points), flat)
            captions.append(f"{words[name]} Trustworthiness of the map: {trust:.2f}")
            alts.append(f"{name}: {words[name]} Beside it the map at perplexity {perplexity}")
    return Frames.from_images(
        figures,
        {"data": list(words), "perplexity": list(PERPLEXITIES)},
        alts,
        title="Where t-SNE lies",
        captions=captions,
        start=[1, 3],  # one group far away, at the usual perplexity
    )


def films_explorer(
    films: MovieLens, snapshots: Sequence[Tensor], n: int = 1_000, **more
) -> EmbeddingExplorer:
    """The most rated films of MovieLens, epoch by epoch; neighbours are looked for among them.

    Args:
        films: the set.
        snapshots: film vectors `[N, D]` of every epoch, the start first.
        n: how many.
        more: see `explorer`.
    """
    counts = films.ratings.item_counts()
    rows = maps.most_popular(counts, n)
    epochs = [e for e in SHOWN_EPOCHS if e < len(snapshots)]
    ratings = counts[rows].tolist()
    genres = [films.genres[i] for i in rows]
    details = [
        f"{', '.join(g) or 'no genre'}, {c} ratings" for g, c in zip(genres, ratings, strict=True)
    ]
    first = [g[0] if g else "none" for g in genres]
    return explorer(
        [snapshots[e][rows] for e in epochs], epochs, maps.genre_table(films.genres)[rows],
        [films.titles[i] for i in rows], details, {"first genre": first, "ratings": ratings},
        title=f"The {n:,} most rated films of MovieLens small, epoch by epoch", **more,
    )  # fmt: skip
