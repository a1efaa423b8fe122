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
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.embeddings import expected_colliding, hash_ids, nearest, share_colliding
from recsys_book.metrics import share_of_learnable
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
        start=[1, len(steps) - 1],
    )


def collapse_figure(runs: Sequence[Mapping[str, Mapping]]) -> Picture:
    """Mean cosine between films by epoch, with and without negatives.

    Args:
        runs: `lab.with_and_without` of each seed.
    """
    cosines = {way: [run[way]["by epoch"] for run in runs] for way in runs[0]}
    colours = dict(zip(cosines, ("vermilion", "blue"), strict=True))
    figure = _by_epoch(cosines, colours, "mean cosine between films")
    told = ", ".join(f"{way} {np.mean([v[-1] for v in some]):.2f}" for way, some in cosines.items())
    return show(figure, alt=f"Mean cosine between films by epoch; at the end {told}")


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


# ---------------------------------------------------------------- how long


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
        ax.set(title=title, xlabel="length d of the vectors", ylabel=label)
    axes[1].legend(fontsize=8, loc="upper left")
    return show(figure, alt="How good by length of the vectors. " + "; ".join(told))


def lead(record: dict, key: str, way_a: str, dim_a: int, way_b: str, dim_b: int) -> Comparison:
    """By how much one way at one length is ahead of another; paired by seed. See `sweep_values`."""
    a, b = (sweep_values(record, key, way) for way in (way_a, way_b))
    compare = by_world if key == "simulated" else by_training
    return compare(a[dim_a], b[dim_b])


# ---------------------------------------------------------------- lengths and hashes


def length_figure(models: Mapping[str, Tensor], counts: Tensor) -> Picture:
    """Length of each film's vector against its popularity, model by model.

    Args:
        models: name → `[N, D]`.
        counts: `[N]` clicks.
    """
    figure, axes = plt.subplots(1, len(models), figsize=(8.2, 2.9))
    told = []
    for ax, (name, vectors) in zip(axes, models.items(), strict=True):
        length = vectors.norm(dim=1).numpy()
        ax.scatter(counts.numpy() + 1, length, s=6, lw=0, color=PALETTE["blue"])
        ax.set(xscale="log", title=name, xlabel="clicks + 1", ylim=(0, None))
        found = lab.length_and_popularity(vectors, counts)["correlation"]
        told.append(f"{name} {found:.2f}")
    axes[0].set_ylabel("length of the vector")
    return show(
        figure,
        alt="Length of film vectors against clicks; rank correlation " + ", ".join(told),
    )


def collisions_figure(n_ids: int = 1_000, buckets: Sequence[int] = ()) -> Picture:
    """Share of ids that share their place, measured and expected, with one hash and two.

    Args:
        n_ids: how many ids are hashed.
        buckets: sizes of the table; by default from an eighth to eight times n_ids.
    """
    buckets = list(buckets) or [round(n_ids * 2**p) for p in range(-3, 4)]
    ids = torch.arange(n_ids)
    one = [share_colliding(hash_ids(ids, m)) for m in buckets]
    both = lambda m: torch.stack([hash_ids(ids, m, seed) for seed in (0, 1)], dim=1)
    two = [share_colliding(both(m)) for m in buckets]
    # Either row may be shared with either row of another id: 2n draws into m rows.
    crowded = lambda m: torch.bincount(both(m).flatten(), minlength=m)[both(m)] > 1
    some = [float(crowded(m).any(1).float().mean()) for m in buckets]
    expected = [expected_colliding(n_ids, m) for m in buckets]
    figure, ax = plt.subplots(figsize=(6.4, 3.0))
    shares = [m / n_ids for m in buckets]
    ax.plot(shares, expected, color=PALETTE["grey"], ls="--", label="one hash, expected")
    ax.plot(shares, one, "o", color=PALETTE["vermilion"], label="one hash, measured")
    ax.plot(shares, some, "^", color=PALETTE["orange"], label="two hashes: a row shared")
    ax.plot(shares, two, "s", color=PALETTE["blue"], label="two hashes: the sum shared")
    ax.set_xscale("log", base=2)
    ax.set_xticks(shares, [f"{s:g}" for s in shares])
    ax.set(
        xlabel="rows of the table for each id", ylabel="share of ids not alone", ylim=(-0.03, 1.03)
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    told = ", ".join(
        f"{s:g}: {a:.2f} and {b:.2f}" for s, a, b in zip(shares, one, two, strict=True)
    )
    return show(
        figure, alt=f"Share of {n_ids:,} ids that collide, by rows an id, one hash and two: {told}"
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
        start=[0, 1],
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


WELL_KNOWN = (
    "Toy Story (1995)",
    "Star Wars: Episode IV - A New Hope (1977)",
    "Pulp Fiction (1994)",
    "Matrix, The (1999)",
    "Lion King, The (1994)",
)


def well_known(films: MovieLens, vectors: Tensor, least: int = 20) -> pd.DataFrame:
    """The five nearest films, by cosine, of five that everybody knows.

    Args:
        films: the set.
        vectors: `[N, D]`.
        least: ratings a neighbour must have.
    """
    among = films.ratings.item_counts() >= least
    rows, _ = nearest(vectors, 5, among=among)
    table = {
        title: [films.titles[i] for i in rows[films.titles.index(title)]] for title in WELL_KNOWN
    }
    return pd.DataFrame(table, index=[f"{i}." for i in range(1, 6)]).T
