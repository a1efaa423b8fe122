"""Maps of vectors on a plane, and the numbers that must stand beside them.

t-SNE keeps near neighbours near and promises nothing else: distances between groups, sizes of
groups and empty space between them mean little. Van der Maaten, Hinton: Visualizing Data using
t-SNE. JMLR 9, 2008. So a map is never shown here without a number that does not depend on the
drawing (`neighbour_purity`) and one that says how far the drawing can be believed
(`trustworthiness`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn import manifold
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_positive
from recsys_book.embeddings import nearest

#: How a map goes on from its successor: fewer steps, from half its size (so that points can pass
#: each other), and without the early exaggeration that would scramble the places it starts from.
GOING_ON = {"max_iter": 300, "early_exaggeration": 1.0}
SHRINK = 0.5


def epoch_maps(
    snapshots: Sequence[Tensor],
    *,
    perplexity: float = 30,
    seed: int = 0,
) -> list[np.ndarray]:
    """t-SNE maps of one set of points at successive moments of training, made to be compared.

    The last moment is laid out first; each earlier one starts from the map of its successor, so
    that points move and do not jump.

    Args:
        snapshots: representations `[n, D]`, in the order of training.
        perplexity: of t-SNE, about how many neighbours each point looks at; below n.
        seed: of t-SNE.

    Returns:
        arrays `[n, 2]`, in the order of training.

    Raises:
        ValueError: no snapshot, numbers of points that differ, NaN, a perplexity not below n.
    """
    if not snapshots:
        raise ValueError("snapshots is empty; there is nothing to lay out")
    for snapshot in snapshots:
        if snapshot.dim() != 2 or len(snapshot) != len(snapshots[0]):
            raise ValueError(
                f"snapshots contains shape {tuple(snapshot.shape)}; "
                f"each must be [{len(snapshots[0])}, D] (D may change)"
            )
        check_finite("snapshots", snapshot)
        if snapshot.shape[1] < 2:
            raise ValueError("snapshots contains D = 1; a map needs two dimensions or more")
        if bool((snapshot == snapshot[:1]).all()):
            raise ValueError("snapshots contains points that are all the same; no map tells them")
    if not 0 < perplexity < len(snapshots[0]):
        raise ValueError(
            f"perplexity is {perplexity} for {len(snapshots[0])} points; it must lie between"
        )
    maps: list[np.ndarray] = []
    for snapshot in reversed(snapshots):
        start, more = (SHRINK * maps[-1], GOING_ON) if maps else ("pca", {})
        tsne = manifold.TSNE(perplexity=perplexity, init=start, random_state=seed, **more)
        points = snapshot.detach().double()
        points = points - points.mean(0)
        points = points / points.abs().max()  # t-SNE fails at extreme scales, and needs none
        maps.append(tsne.fit_transform(points.numpy()))
    return maps[::-1]


def neighbour_purity(points: Tensor, labels: Tensor, k: int = 10) -> float:
    """Share of each point's k nearest neighbours that carry its label, the mean over points.

    Args:
        points: `[n, D]`; near means near in straight distance, so scale rows to length 1 where the
            angle is what counts.
        labels: `[n]`, or `[n, G]` bool where a point carries several: sharing one is enough.
        k: neighbours looked at, at most n − 1.

    Returns:
        0..1. Beside it belongs the same share among random pairs, `random_purity`.
    """
    check_positive("k", k)
    if k >= len(points):
        raise ValueError(f"k is {k} for {len(points)} points; it must be below")
    check_finite("points", points)
    search = NearestNeighbors(n_neighbors=k).fit(points.detach().numpy())
    return purity(torch.from_numpy(search.kneighbors(return_distance=False)), labels)


def purity(neighbours: Tensor, labels: Tensor) -> float:
    """Share of given neighbours that carry their point's label.

    Args:
        neighbours: `[n, k]` rows of the neighbours, the point itself not among them.
        labels: as in `neighbour_purity`.
    """
    if neighbours.dim() != 2 or neighbours.shape[1] < 1 or len(neighbours) != len(labels):
        raise ValueError(
            f"neighbours has shape {tuple(neighbours.shape)}, labels has {len(labels)} rows; "
            f"neighbours must be [{len(labels)}, k] with k >= 1"
        )
    check_ids("neighbours", neighbours, len(labels))
    return float(_agree(labels, torch.arange(len(labels))[:, None], neighbours).mean())


def random_purity(labels: Tensor) -> float:
    """What neighbour purity would be if neighbours were any other points at random.

    Args:
        labels: as in `neighbour_purity`.
    """
    n = len(labels)
    if n < 2:
        raise ValueError(f"labels has {n} rows; a pair needs two")
    if labels.dim() == 1:
        counts = labels.unique(return_counts=True)[1].double()
        return float((counts * (counts - 1)).sum() / (n * (n - 1)))
    alike = (labels.double() @ labels.double().T) > 0  # [n, n]
    return float((alike.sum() - alike.diagonal().sum()) / (n * (n - 1)))


def trustworthiness(points: Tensor, flat: np.ndarray, k: int = 10) -> float:
    """How far the neighbours drawn are neighbours: 1 where every one of them is.

    Venna, Kaski: Neighborhood Preservation in Nonlinear Projection Methods. ICANN 2001. About one
    half for points laid out at random.

    Args:
        points: `[n, D]`, the vectors.
        flat: `[n, 2]`, the map.
        k: neighbours looked at, below n / 2.
    """
    if np.shape(flat) != (len(points), 2):
        raise ValueError(f"flat has shape {np.shape(flat)}; it must be {(len(points), 2)}")
    if k != int(k) or not 1 <= k < len(points) / 2:
        raise ValueError(f"k is {k} for {len(points)} points; it must be whole, below half of them")
    check_finite("points", points)
    points = points.detach().double().numpy()
    return float(manifold.trustworthiness(points, flat, n_neighbors=k))


def matched_purity(
    neighbours: Tensor, labels: Tensor, popularity: Tensor, *, window: int = 10, seed: int = 0
) -> float:
    """Purity of pairs drawn to be as popular as the neighbours are, and nothing else.

    Popular items may share labels, and may be each other's neighbours, for no better reason than
    being popular. So each neighbour is swapped for another item of nearly its place by popularity.

    Args:
        neighbours: `[n, k]`, whose purity is in question.
        labels: as in `neighbour_purity`.
        popularity: `[n]`, any number that rises with it.
        window: how many places up or down a stand-in may come from.
        seed: of the draw.
    """
    n = len(popularity)
    if popularity.dim() != 1 or neighbours.dim() != 2 or len(neighbours) != n:
        raise ValueError(f"popularity has {n} entries for {len(neighbours)} points, or not [n]")
    check_finite("popularity", popularity.double())
    check_ids("neighbours", neighbours, n)
    check_positive("window", window)
    if 2 * window >= n:
        raise ValueError(f"window is {window} for {n} items; twice the window must be below")
    generator = torch.Generator().manual_seed(seed)
    order = popularity.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    own = place[:, None].expand_as(neighbours)
    step = torch.randint(1, window + 1, neighbours.shape, generator=generator)
    step = step * (2 * torch.randint(2, neighbours.shape, generator=generator) - 1)
    found = place[neighbours] + step
    # At the ends, and on the item itself, the other side is taken.
    bad = (found < 0) | (found >= n) | (found == own)
    found = torch.where(bad, place[neighbours] - step, found)
    again = (found < 0) | (found >= n) | (found == own)
    found = torch.where(again, place[neighbours], found)  # a corner: the neighbour stands in itself
    return purity(order[found], labels)


def _agree(labels: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Float tensor: 1 where the points at `a` and `b` (shapes that broadcast) share a label."""
    if labels.dim() == 1:
        return (labels[a] == labels[b]).float()
    return (labels.bool()[a] & labels.bool()[b]).any(-1).float()


# ---------------------------------------------------------------- popular and kindred items

THIRDS = ("rarest third", "middle third", "most clicked third")


def rank_of_popularity(counts: Tensor) -> Tensor:
    """`[N]` from 0, the rarest, to 1, the most popular; equals share the mean of their places."""
    return torch.from_numpy((rankdata(counts.numpy()) - 1) / max(len(counts) - 1, 1))


def most_popular(counts: Tensor, n: int) -> Tensor:
    """`[n]` rows of the most popular, in the order of the catalogue; of equals the earlier rows."""
    return counts.argsort(descending=True, stable=True)[:n].sort().values


def genre_table(genres: Sequence[Sequence]) -> Tensor:
    """`[N, G]` bool from each film's genres."""
    names = sorted({genre for some in genres for genre in some})
    table = torch.zeros(len(genres), len(names), dtype=torch.bool)
    for row, some in enumerate(genres):
        for genre in some:
            table[row, names.index(genre)] = True
    return table


def purities(vectors: Tensor, labels: Tensor, counts: Tensor, seed: int = 0) -> dict[str, float]:
    """Neighbour purity beside what random and equally popular pairs would give.

    Args:
        vectors: `[n, D]` of the films looked at.
        labels: `[n]`, or `[n, G]` bool.
        counts: `[n]` interactions of each.
        seed: of the matched pairs.
    """
    neighbours, _ = nearest(vectors, 10)
    return {
        "neighbours": purity(neighbours, labels),
        "as popular": matched_purity(neighbours, labels, counts, seed=seed),
        "random": random_purity(labels),
    }


def company(vectors: Tensor, counts: Tensor) -> dict[str, float]:
    """Share of the ten nearest that belong to a film's own third by popularity (chance: 1/3).

    Args:
        vectors: `[N, D]`.
        counts: `[N]` interactions of each.
    """
    third = torch.empty_like(counts)
    for i, rows in enumerate(counts.argsort(stable=True).tensor_split(3)):
        third[rows] = i
    return purity_by_popularity(vectors, third, counts)


def purity_by_popularity(vectors: Tensor, labels: Tensor, counts: Tensor) -> dict[str, float]:
    """Neighbour purity of each third of the films by popularity.

    Args:
        vectors: `[N, D]`.
        labels: `[N]`.
        counts: `[N]` interactions of each.
    """
    neighbours, _ = nearest(vectors, 10)
    agree = (labels[neighbours] == labels[:, None]).float().mean(1)  # [N]
    thirds = counts.argsort(stable=True).tensor_split(3)
    return {name: float(agree[rows].mean()) for name, rows in zip(THIRDS, thirds, strict=True)}
