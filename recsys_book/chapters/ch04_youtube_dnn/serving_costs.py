"""Chapter 04: what finding costs, by index and by size of the catalogue.

Vectors of a trained generator are multiplied to the size wanted: each copy with noise of its own,
so that the crowd keeps the shape that training gave it. (Vectors drawn at random, which benchmarks
like, lie alike in all directions and are the hardest case there is.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles

import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.interactions import ABSENT
from recsys_book.index import Index, build_index, recall
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.serving import Funnel
from recsys_book.train import seeded

NOISE = 0.5  # of a copy, as a share of the vectors' own spread in each dimension


def multiplied(vectors: Tensor, n: int, seed: int = 0, noise: float = NOISE) -> Tensor:
    """`[n, D]`: the vectors `[N, D]`, again and again, each copy but the first with noise.

    Args:
        vectors: of a trained model.
        n: how many are wanted.
        seed: of the noise.
        noise: its standard deviation, as a share of that of the vectors, dimension by dimension.
    """
    check_positive("n", n)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(n) % len(vectors)
    copies = vectors[rows].clone()
    fresh = torch.randn(copies.shape, generator=generator) * vectors.std(0) * noise
    fresh[: len(vectors)] = 0
    return copies + fresh


def milliseconds(act: Callable[[int], object], n: int, warm_up: int = 3) -> list[float]:
    """How long `act(i)` takes, one by one, for i from 0 to n − 1.

    Args:
        act: called first `warm_up` times without a clock.
        n: how often.
        warm_up: how often before.
    """
    for i in range(warm_up):
        act(i % n)
    took = []
    for i in range(n):
        began = time.perf_counter()
        act(i)
        took.append(1e3 * (time.perf_counter() - began))
    return took


def told(took: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = quantiles(took, n=100)
    return {"median": median(took), "p99": ordered[98]}


def index_curve(
    index: Index, queries: Tensor, truth: Tensor, efforts: Sequence[int | None], n_timed: int = 200
) -> list[dict]:
    """Recall and milliseconds a query, one query at a time, by effort.

    Args:
        index: to be measured.
        queries: `[B, D]`.
        truth: `[B, k]` ids that the exact search finds.
        efforts: see `Index.search`.
        n_timed: queries that are timed; all are judged.
    """
    k, rows = truth.shape[1], []
    for effort in efforts:
        found = index.search(queries, k, effort)[1]
        took = milliseconds(
            lambda i, effort=effort: index.search(queries[i : i + 1], k, effort),
            min(n_timed, len(queries)),
        )
        missing = float((found == ABSENT).double().mean())
        rows.append(
            {"effort": effort, "recall": recall(found, truth), "missing": missing} | told(took)
        )
    return rows


def timed_build(vectors: Tensor, kind: str, **more) -> tuple[Index, float]:
    """An index and the seconds that it took."""
    began = time.perf_counter()
    index = build_index(vectors, kind, **more)
    return index, time.perf_counter() - began


@torch.no_grad()
def rank_everything(
    ranker: WatchTimeRanker,
    history: Tensor,
    fields: Tensor | None,
    continuous: Tensor | None,
    n: int,
) -> Tensor:
    """One stage: the ranker over the whole catalogue; the n best."""
    every = torch.arange(ranker.n_items)
    wide = lambda row: None if row is None else row.expand(len(every), -1)
    histories = history.expand(len(every), -1)
    expected = ranker.predict_watch_time(every, histories, wide(fields), wide(continuous))
    expected[history] = -torch.inf
    return expected.topk(n).indices


def untrained_funnel(
    n_items: int,
    *,
    dim: int = 32,
    hidden: Sequence[int] = (64, 32),
    kind: str = "hnsw",
    seed: int = 0,
) -> Funnel:
    """Both stages for a catalogue of any size, of the book's usual widths: for the clock, weights
    need no training."""
    with seeded(seed):
        generator = CandidateGenerator(n_items, dim, hidden, init_std=0.3)
        ranker = WatchTimeRanker(n_items, 2, (5, 5, 11), dim=dim, hidden=hidden, init_std=0.3)
    return Funnel(generator, ranker, build_index(generator.item_vectors(), kind))


def stage_costs(
    funnel: Funnel,
    *,
    n_requests: int = 100,
    length: int = 20,
    n: int = 20,
    n_candidates: int = 200,
    seed: int = 0,
) -> dict:
    """Milliseconds a request: two stages, each of their parts, and one ranker over everything.

    Args:
        funnel: whose ranker takes 3 fields and 2 continuous inputs.
        n_requests: histories, drawn evenly.
        length: of each.
        n: length of the list.
        n_candidates: handed over by the first stage.
        seed: of the draw.

    Returns:
        "two stages" and "one ranker" {"median", "p99"}, and "parts": part → median.
    """
    generator = torch.Generator().manual_seed(seed)
    n_items = funnel.index.n_items
    histories = torch.randint(n_items, (n_requests, length), generator=generator)
    fields, continuous = torch.tensor([1, 1, 1]), torch.tensor([0.5, 0.0])
    features = lambda items: (fields.expand(len(items), -1), continuous.expand(len(items), -1))
    parts: dict[str, list[float]] = {}

    def two(i: int) -> None:
        answer = funnel.recommend(histories[i], n, n_candidates=n_candidates, features=features)
        for name, ms in answer.milliseconds.items():
            parts.setdefault(name, []).append(ms)

    both = told(milliseconds(two, n_requests))
    one = lambda i: rank_everything(funnel.ranker, histories[i], fields, continuous, n)
    return {
        "two stages": both,
        "one ranker": told(milliseconds(one, max(10, n_requests // 5))),
        "parts": {name: median(values) for name, values in parts.items()},
    }
