"""Chapter 04's drawings: the funnel with its costs, nearest neighbours, a walk through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Polygon

from recsys_book.show.plots import PALETTE, Picture, show

N = 100_000  # films of the funnel that is drawn


def funnel(costs: dict) -> Picture:
    """Two stages and what each costs, from a recorded run.

    Args:
        costs: `ch04/serving`.
    """
    row = costs["figures"]["stages"][str(N)]
    parts, one, two = row["parts"], row["one ranker"]["median"], row["two stages"]["median"]
    first = parts["user vector"] + parts["candidates"]
    steps = [
        (f"{N:,} films", 4.4),
        ("200 candidates", 1.9),
        ("10 films", 0.9),
    ]
    between = [
        f"first network, once, and a search: {first:.1f} ms",
        f"second network, 200 times: {parts['ranking']:.1f} ms",
    ]
    figure, ax = plt.subplots(figsize=(6.4, 3.5), layout="none")
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    for i, ((words, width), (_, below)) in enumerate(
        zip(steps, [*steps[1:], ("", 0.5)], strict=True)
    ):
        y = -2.2 * i
        ax.text(0, y, words, ha="center", va="center", fontsize=12, weight="bold")
        if i < 2:
            shape = [(-width, y - 0.4), (width, y - 0.4), (below, y - 1.8), (-below, y - 1.8)]
            ax.add_patch(Polygon(shape, color=PALETTE["blue" if i == 0 else "orange"], alpha=0.25))
            ax.text(0, y - 1.05, between[i], ha="center", va="center", fontsize=11)
    ax.set(xlim=(-4.6, 4.6), ylim=(-5.0, 0.6))
    ax.axis("off")
    return show(
        figure,
        alt=f"A funnel: {N:,} films; {between[0]}; 200 candidates; {between[1]}; 10 films. "
        f"Together {two:.1f} milliseconds; the second network on all {N:,} films takes {one:.0f}",
    )


def neighbours(seed: int = 3, k: int = 6) -> Picture:
    """A person's vector among film vectors, the k films with the largest dot products ringed."""
    random = np.random.RandomState(seed)
    films, u = random.normal(size=(60, 2)), np.array([1.1, 0.8])
    near = np.argsort(-(films @ u))[:k]
    figure, ax = plt.subplots(figsize=(4.6, 3.6))
    ax.scatter(*films.T, s=22, color=PALETTE["grey"], label="films")
    ax.scatter(*films[near].T, s=130, facecolors="none", edgecolors=PALETTE["orange"], lw=2)
    arrow = {"arrowstyle": "-|>", "color": PALETTE["blue"], "lw": 2.5}
    ax.annotate("", xy=u, xytext=(0, 0), arrowprops=arrow)
    ax.text(*(u + 0.08), "u", fontsize=14, color=PALETTE["blue"], weight="bold")
    edge = np.array([-u[1], u[0]]) / np.linalg.norm(u)  # films on this line have one dot product
    cut = np.sort(films @ u)[-k] - 0.02
    foot = u * cut / (u @ u)
    ends = np.stack([foot - 4 * edge, foot + 4 * edge])
    ax.plot(*ends.T, ls="--", lw=1, color=PALETTE["orange"])
    ax.set(xlim=(-2.7, 2.7), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
    ax.grid(False)
    return show(
        figure,
        alt=f"An arrow u among {len(films)} points; the {k} points that lie farthest in its "
        "direction are ringed, beyond a dashed line at right angles to it",
    )


# ---------------------------------------------------------------- a graph of neighbours


def layers(points: np.ndarray, shares: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    """Which points are on each layer, the sparsest first; a layer has all of those above it."""
    order = np.random.RandomState(seed).permutation(len(points))
    return [np.sort(order[: max(2, round(share * len(points)))]) for share in shares]


def links(points: np.ndarray, there: np.ndarray, degree: int) -> dict[int, list[int]]:
    """Each point's nearest others on a layer, both ways."""
    found: dict[int, set[int]] = {int(i): set() for i in there}
    for i in there:
        far = np.linalg.norm(points[there] - points[i], axis=1)
        for j in there[np.argsort(far)[1 : degree + 1]]:
            found[int(i)].add(int(j))
            found[int(j)].add(int(i))
    return {i: sorted(others) for i, others in found.items()}


def walk(
    points: np.ndarray, graph: Mapping[int, Sequence[int]], start: int, query: np.ndarray
) -> list[int]:
    """Greedy: go to the neighbour that is nearest to the query, until none is nearer."""
    path, far = [start], lambda i: float(np.linalg.norm(points[i] - query))
    while True:
        best = min(graph[path[-1]], key=far, default=path[-1])
        if far(best) >= far(path[-1]):
            return path
        path.append(best)


def hnsw(seed: int = 4, n: int = 70) -> Picture:
    """Three layers of a graph, and a search that goes down through them."""
    random = np.random.RandomState(seed)
    points, query = random.uniform(size=(n, 2)), np.array([0.83, 0.2])
    floors = layers(points, (0.07, 0.3, 1.0), seed)
    graphs = [links(points, there, degree) for there, degree in zip(floors, (2, 3, 3), strict=True)]
    figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.7), sharex=True, sharey=True)
    far = np.linalg.norm(points[floors[0]] - query, axis=1)
    at, looked = int(floors[0][far.argmax()]), 0
    titles = ("top: few films, long links", "middle", "bottom: all films")
    for ax, there, graph, title in zip(axes, floors, graphs, titles, strict=True):
        for i, others in graph.items():
            for j in others:
                ax.plot(*points[[i, j]].T, color="#CCCCCC", lw=0.8, zorder=1)
        ax.scatter(*points[there].T, s=16, color=PALETTE["grey"], zorder=2)
        path = walk(points, graph, at, query)
        looked += len({j for i in path for j in graph[i]})
        ax.plot(*points[path].T, "o-", color=PALETTE["blue"], lw=2.2, ms=5, zorder=3)
        ax.plot(*query, "*", ms=15, color=PALETTE["orange"], zorder=4)
        ax.set_title(title, fontsize=10)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        at = path[-1]
    return show(
        figure,
        alt=f"Three layers of a graph over {n} points, of {', '.join(str(len(f)) for f in floors)}"
        f" points each. A walk goes to the point nearest a star on the top layer, on from there on "
        f"the next, and on the bottom to the nearest; it looks at {looked} links' ends in all",
    )
