"""Exercises of chapter 02: embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import TSNE, trustworthiness
from torch import Tensor

from recsys_book.check.core import Exercise, Finding, by_cases
from recsys_book.show.plots import PALETTE, Picture, show

# ---------------------------------------------------------------- 2.1 what a batch does to a table


def _table_gradient(ids: Tensor, upstream: Tensor, n_rows: int) -> Tensor:
    return torch.zeros(n_rows, upstream.shape[1]).index_add(0, ids, upstream)


def _last_one_wins(ids, upstream, n_rows):
    out = torch.zeros(n_rows, upstream.shape[1])
    out[ids] = upstream
    return out


def _mean_of_visits(ids, upstream, n_rows):
    visits = torch.bincount(ids, minlength=n_rows).clamp(min=1)
    return _table_gradient(ids, upstream, n_rows) / visits[:, None]


def _over_the_batch(ids, upstream, n_rows):
    return _table_gradient(ids, upstream, n_rows) / len(ids)


def _only_rows_seen(ids, upstream, n_rows):
    return _table_gradient(ids, upstream, n_rows)[ids.unique()]


def _gradient_cases(generator):
    if generator is None:
        ids, upstream = torch.tensor([2, 0, 2]), torch.tensor([[1.0, 0.0], [5.0, 5.0], [3.0, 1.0]])
        return [((ids, upstream, 4), "ids [2, 0, 2] in a table of 4 rows")]
    ids = torch.randint(30, (64,), generator=generator)
    return [((ids, torch.randn(64, 5, generator=generator), 40), "64 ids in a table of 40 rows")]


GRADIENT = Exercise(
    "What a batch does to a table",
    by_cases(
        _table_gradient,
        {
            "the last one wins": _last_one_wins,
            "it averages the visits of a row": _mean_of_visits,
            "it averages over the batch": _over_the_batch,
            "only the rows that were read": _only_rows_seen,
        },
        _gradient_cases,
    ),
    {
        "the last one wins": "out[ids] = … writes row 2 twice and keeps the second. A row that is "
        "read twice is pulled twice: add.",
        "it averages the visits of a row": "The loss is a sum over the batch's examples (or their "
        "mean, which is in the upstream gradient already). A popular film is pulled as often as "
        "it is read.",
        "it averages over the batch": "Whoever made the loss a mean has divided once, and "
        "that is in the upstream gradient. Dividing again makes steps B times smaller.",
        "only the rows that were read": "The gradient has the table's shape [n_rows, D]: zero for "
        "the rows that nobody read.",
    },
    ("torch.nn.functional.embedding",),
)

# ---------------------------------------------------------------- 2.2 how many rows


def _share_sharing(n: int, m: int) -> float:
    return 1 - math.exp((n - 1) * math.log1p(-1 / m))


def _rows_for(n: int, share: float) -> int:
    """Smallest m with 1 − (1 − 1/m)^(n−1) <= share, by halving an interval."""
    low, high = 1, 2
    while _share_sharing(n, high) > share:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _share_sharing(n, middle) > share else (low, middle)
    return high


def _sharing_judge(answer, seed):
    if not callable(answer):
        return Finding("A function of n and share is wanted.", "no function", "")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    tests = [(1_000_000, 0.1), (1_000, 0.5)]
    if generator is not None:
        draw = torch.rand(2, 3, generator=generator)
        tests = [(int(10 ** (3 + 3 * float(a))), 0.02 + 0.6 * float(b)) for a, b in draw.T]
    wrong = {
        "as many rows as ids": lambda n, s: n,
        "one in 1/share": lambda n, s: n / s,
        "share of the rows": lambda n, s: _half_open(lambda m: _rows_shared(n, m) <= s, n),
        "no two ids meet at all": lambda n, s: n * n / (2 * -math.log1p(-s)),
        "the complement": lambda n, s: _rows_for(n, 1 - s),
    }
    near = lambda a, b: abs(a - b) <= 0.005 * abs(b) + 1
    got = [float(answer(n, s)) for n, s in tests]
    bad = [i for i, (n, s) in enumerate(tests) if not near(got[i], _rows_for(n, s))]
    if not bad:
        return None
    name = next(
        (
            k
            for k, f in wrong.items()
            if all(near(g, f(*t)) for g, t in zip(got, tests, strict=True))
        ),
        None,
    )
    (n, s), g = tests[bad[0]], got[bad[0]]
    if not 1 <= g < math.inf:
        return Finding(f"for {n:,} ids it says {g:g} rows.", name)
    really = f"{_share_sharing(n, round(g)):.3f}" if g >= 2 else "nearly all"
    seen = f"with {g:,.0f} rows for {n:,} ids the share that shares a row is {really}, not {s:.3g}."
    return Finding(seen, name)


def _rows_shared(n: int, m: float) -> float:
    """Share of the *rows* with two ids or more."""
    x = n / m
    return 1 - math.exp(-x) * (1 + x)


def _half_open(holds, n) -> float:
    low, high = 1.0, 1e9 * n
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


ROWS = Exercise(
    "How many rows",
    _sharing_judge,
    {
        "as many rows as ids": "With one row an id on average, two thirds of all ids share: some "
        "rows get three, some none.",
        "one in 1/share": "n / share is near for small shares only. What is the chance that "
        "*none* of the other n − 1 ids falls on yours?",
        "share of the rows": "You asked what part of the rows is shared. The question is what part "
        "of the ids shares one: each id asks whether any of the other n − 1 fell on its row.",
        "no two ids meet at all": "That is the birthday question: the chance that there is a "
        "collision anywhere. Here a tenth of the ids may collide.",
        "the complement": "(1 − 1/m)^(n−1) is the chance to be alone. Share is one minus that.",
    },
)

# ---------------------------------------------------------------- 2.3 masked mean


def _masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(vectors.dtype)[..., None]
    return (vectors * weights).sum(-2) / weights.sum(-2).clamp(min=1)


def _divides_by_l(vectors, mask):
    return (vectors * mask[..., None]).sum(-2) / vectors.shape[-2]


def _ignores_the_mask(vectors, mask):
    return vectors.mean(-2)


def _nan_when_empty(vectors, mask):
    weights = mask.to(vectors.dtype)[..., None]
    return (vectors * weights).sum(-2) / weights.sum(-2)


def _a_sum(vectors, mask):
    return (vectors * mask[..., None]).sum(-2)


def _over_the_whole_batch(vectors, mask):
    return (vectors * mask[..., None]).sum(-2) / mask.sum().clamp(min=1)


def _counts_what_is_not_zero(vectors, mask):
    real = vectors * mask[..., None]
    return real.sum(-2) / (real != 0).any(-1).sum(-1, keepdim=True).clamp(min=1)


def _bag_cases(generator):
    if generator is None:
        v = torch.tensor([[[2.0, 0.0], [4.0, 6.0], [9.0, 9.0], [9.0, 9.0]]])
        full, two, none = (
            torch.tensor([[x] * k + [False] * (4 - k)])
            for x, k in ((True, 4), (True, 2), (True, 0))
        )
        both = torch.cat([v, 2 * v]), torch.cat([two, full])
        return [
            ((v, two), "two films watched, then two places of padding"),
            ((v, none), "nothing watched yet"),
            (both, "a short and a full history in one batch"),
            ((v * torch.tensor([[1.0], [0.0], [1.0], [1.0]]), two), "a watched film of zeros"),
        ]
    v = torch.randn(16, 7, 3, generator=generator)
    return [((v, torch.rand(16, 7, generator=generator) < 0.4), "16 histories of length 7 at most")]


MASKED_MEAN = Exercise(
    "A mask, not a zero row",
    by_cases(
        _masked_mean,
        {
            "it divides by L": _divides_by_l,
            "it ignores the mask": _ignores_the_mask,
            "an empty history is not a number": _nan_when_empty,
            "a sum, not a mean": _a_sum,
            "it divides by the watches of the whole batch": _over_the_whole_batch,
            "a row of zeros is taken for padding": _counts_what_is_not_zero,
        },
        _bag_cases,
    ),
    {
        "it divides by L": "Your mask divides by L, not by the number of real watches. Two films "
        "of four places then count half.",
        "it ignores the mask": "Padding is averaged in as if it had been watched. Zero it first, "
        "and do not count it.",
        "an empty history is not a number": "0 / 0. Somebody who has watched nothing needs a "
        "finite vector too: divide by 1 at least.",
        "a sum, not a mean": "A long history now gives a longer vector. Divide by how many films "
        "are real.",
        "it divides by the watches of the whole batch": "mask.sum() counts everybody's watches. "
        "Each row divides by its own: sum along the history.",
        "a row of zeros is taken for padding": "A film that was watched may have a vector of "
        "zeros, and counts all the same. What tells padding from a film is the mask alone.",
    },
    ("recsys_book.layers.masked_mean",),
)

# ---------------------------------------------------------------- 2.4 one click, one step


def _click_step(p: Tensor, q: Tensor, y: float, lr: float) -> tuple[Tensor, Tensor]:
    error = torch.sigmoid(p @ q) - y
    return p - lr * error * q, q - lr * error * p


def _one_after_the_other(p, q, y, lr):
    p = p - lr * (torch.sigmoid(p @ q) - y) * q
    return p, q - lr * (torch.sigmoid(p @ q) - y) * p


def _new_p_old_error(p, q, y, lr):
    error = torch.sigmoid(p @ q) - y
    p = p - lr * error * q
    return p, q - lr * error * p


def _uphill(p, q, y, lr):
    error = torch.sigmoid(p @ q) - y
    return p + lr * error * q, q + lr * error * p


def _squared_error(p, q, y, lr):
    error = p @ q - y
    return p - lr * error * q, q - lr * error * p


def _only_the_film(p, q, y, lr):
    return p, q - lr * (torch.sigmoid(p @ q) - y) * p


def _towards_itself(p, q, y, lr):
    error = torch.sigmoid(p @ q) - y
    return p - lr * error * p, q - lr * error * q


def _step_cases(generator):
    if generator is None:
        p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 2.0])
        return [
            ((p, q, 1.0, 1.0), "p = [1, 0], q = [.5, 2], clicked, a rate of 1"),
            ((p, q, 0.0, 1.0), "p = [1, 0], q = [.5, 2], not clicked, a rate of 1"),
        ]
    draw = lambda: torch.randn(6, generator=generator)
    return [((draw(), draw(), y, 0.3), f"vectors of length 6, y = {y:.0f}") for y in (1.0, 0.0)]


CLICK_STEP = Exercise(
    "One click, one step",
    by_cases(
        _click_step,
        {
            "one after the other": _one_after_the_other,
            "q meets the new p": _new_p_old_error,
            "uphill": _uphill,
            "squared error": _squared_error,
            "each is moved along itself": _towards_itself,
            "only the film moves": _only_the_film,
        },
        _step_cases,
    ),
    {
        "one after the other": "Both gradients are taken at the same place. Work out the error "
        "once, from the old p and q, then move both.",
        "q meets the new p": "The error is the old one, and the p that moves q is already the new "
        "one. Keep the old p until both have moved.",
        "uphill": "A clicked film should come nearer. The step is *minus* the rate times the "
        "gradient.",
        "squared error": "That is the gradient of (p·q − y)². Log-loss compares the *probability*, "
        "sigmoid(p·q), with y.",
        "each is moved along itself": "The derivative of p·q with respect to p is q, not p.",
        "only the film moves": "The loss has a derivative by p as well. Which two vectors stand in "
        "p·q?",
    },
)

# ---------------------------------------------------------------- 2.5 three maps that lie


@lru_cache(maxsize=4)
def three_maps(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Three sets of points and a t-SNE map of each.

    Args:
        seed: of the points.

    Returns:
        name → (points `[N, 8]`, their map `[N, 2]`, group of each point `[N]`; in "a" the groups
        are not given: all zeros).
    """
    random = np.random.default_rng(seed)
    noise = lambda n: random.normal(size=(n, 8))
    along = np.zeros((100, 8))
    along[:, 0] = np.linspace(0, 10, 100)
    a = along + 0.1 * noise(100)
    where = np.repeat([0, 1, 2], 40)
    b = noise(120)
    b[:, 0] += np.array([0, 8, 80])[where]
    size = np.repeat([0, 1], 50)
    c = noise(100) * np.array([1, 8])[size][:, None]
    c[:, 0] += 60 * size
    sets = {"a": (a, 3, np.zeros(100, int)), "b": (b, 15, where), "c": (c, 15, size)}
    return {name: (x, _tsne(x, perplexity), y) for name, (x, perplexity, y) in sets.items()}


def _tsne(points: np.ndarray, perplexity: float) -> np.ndarray:
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(points)


def draw_maps(maps: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Picture:
    """The maps of `three_maps` side by side, coloured by group."""
    figure, axes = plt.subplots(1, len(maps), figsize=(9, 3.2))
    for ax, (name, (_, drawn, group)) in zip(axes, maps.items(), strict=True):
        colors = np.array([PALETTE[c] for c in ("blue", "orange", "green")])[group]
        ax.scatter(*drawn.T, c=colors, s=12)
        ax.set(title=name, xticks=[], yticks=[])
    return show(
        figure,
        alt=f"Three t-SNE maps: a in {n_islands(maps['a'][1])} islands of one colour, b in three "
        "islands about equally far apart, c in two about equally large.",
    )


def n_islands(points: np.ndarray, gap: float = 3.0) -> int:
    """Groups that a gap parts: 1 and the number of edges of the shortest tree through all points
    that are longer than `gap` times its median edge.

    Args:
        points: `[N, D]`.
        gap: how many times longer.
    """
    edges = minimum_spanning_tree(squareform(pdist(np.asarray(points, dtype=float)))).data
    return 1 + int((edges > gap * np.median(edges)).sum())


def far_over_near(points: np.ndarray, group: np.ndarray) -> float:
    """Distance between the centres of groups 0 and 2, over that between 0 and 1."""
    centre = [points[group == g].mean(0) for g in range(3)]
    return float(np.linalg.norm(centre[2] - centre[0]) / np.linalg.norm(centre[1] - centre[0]))


def wide_over_narrow(points: np.ndarray, group: np.ndarray) -> float:
    """Root mean square distance to the own centre: group 1's over group 0's."""
    spread = lambda x: float(np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))
    return spread(points[group == 1]) / spread(points[group == 0])


def _maps_judge(answer, seed):
    wanted = {"a: groups", "b: far over near", "c: wide over narrow"}
    if not isinstance(answer, Mapping) or set(answer) != wanted:
        return Finding(f"A dict with {', '.join(sorted(wanted))} is wanted.")
    maps = three_maps(seed or 0)
    near = lambda x, y: abs(float(x) - y) <= 0.05 * y
    try:
        answer = {name: float(value) for name, value in answer.items()}
    except (TypeError, ValueError):
        return Finding("All three should be numbers.")
    if answer["a: groups"] != 1:
        (x, drawn, _), got = maps["a"], answer["a: groups"]
        seen = f"you say {got:g} groups in a; its map falls into {n_islands(drawn)}."
        return Finding(seen, "islands are taken for groups" if got > 1 else None)
    for key, part, measure, name in (
        ("b: far over near", "b", far_over_near, "a gap is read off the map"),
        ("c: wide over narrow", "c", wide_over_narrow, "a size is read off the map"),
    ):
        x, drawn, group = maps[part]
        if near(answer[key], measure(x, group)):
            continue
        seen = f"'{key}' is {float(answer[key]):.2f} in your answer."
        if near(answer[key], 1 / measure(x, group)):
            return Finding(seen, "upside down")
        return Finding(
            seen, name if abs(float(answer[key]) - measure(drawn, group)) < 0.35 else None
        )
    return None


THREE_MAPS = Exercise(
    "Three maps that lie",
    _maps_judge,
    {
        "islands are taken for groups": "With a perplexity of 3 a point looks at three neighbours, "
        "and a line breaks wherever one of them is a little farther. Ask the vectors: is there a "
        "gap between neighbours along the line?",
        "a gap is read off the map": "That is the ratio in the map. t-SNE keeps neighbours, not "
        "distances: measure between the centres of the groups in the eight dimensions.",
        "a size is read off the map": "That is the ratio in the map. t-SNE makes every "
        "neighbourhood about as wide as any other: measure in the eight dimensions.",
        "upside down": "The far (the wide) one goes on top of the fraction.",
    },
)

# ---------------------------------------------------------------- 2.6 a lie of your own


def _lie_judge(answer, seed):
    try:
        points, perplexity = answer
        points = np.asarray(points, dtype=float)
        perplexity = float(perplexity)
    except (TypeError, ValueError):
        return Finding("A pair is wanted: points [N, 16] and a perplexity.")
    if points.ndim != 2 or points.shape[1] != 16 or not 30 <= len(points) <= 200:
        return Finding(f"points have shape {points.shape}; wanted [30 to 200, 16].")
    if not np.isfinite(points).all() or not 1 < perplexity < len(points):
        return Finding("points must be finite, the perplexity between 1 and their number.")
    if len(np.unique(points.round(9), axis=0)) < len(points):
        return Finding(name="some points are the same point")
    if (really := n_islands(points)) > 1:
        return Finding(f"the points themselves fall into {really}.", "the groups are there")
    drawn = _tsne(points, perplexity)
    if (shown := n_islands(drawn)) < 3:
        return Finding(f"its map shows {shown}, at a perplexity of {perplexity:g}.", "no lie yet")
    trust = trustworthiness(points, drawn, n_neighbors=5)
    if trust <= 0.9:
        return Finding(f"its trustworthiness is {trust:.2f}.", "a bad map, not a lie")
    return None


OWN_LIE = Exercise(
    "A lie of your own",
    _lie_judge,
    {
        "the groups are there": "Then the map tells the truth. In the points every step to the "
        "next must be about as long as the others.",
        "no lie yet": "The map is in one piece. Fewer neighbours to look at: a smaller perplexity.",
        "a bad map, not a lie": "The map puts strangers side by side, too, and trustworthiness "
        "notices. The cunning one keeps neighbours and breaks the whole: fewer dimensions, less "
        "noise.",
        "some points are the same point": "Points that fall together make islands of their own. "
        "All must differ.",
    },
)

EXERCISES = {
    "2.1": GRADIENT,
    "2.2": ROWS,
    "2.3": MASKED_MEAN,
    "2.4": CLICK_STEP,
    "2.5": THREE_MAPS,
    "2.6": OWN_LIE,
}
