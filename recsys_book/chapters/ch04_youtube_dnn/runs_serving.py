"""Chapter 04: recall and milliseconds of the indexes, and the size at which two stages pay.

Vectors of 64 dimensions from a generator trained on a simulated service of 4,000 films, multiplied
with noise to 10 thousand, 100 thousand and a million; queries are user vectors of its test. Times
are of one query at a time on one core; graphs and lists are built on all cores.
"""

from __future__ import annotations

from functools import cached_property

import torch

from recsys_book.chapters.ch04_youtube_dnn import candidates as lab
from recsys_book.chapters.ch04_youtube_dnn import serving_costs as costs
from recsys_book.machine import cores, use_threads
from recsys_book.reproduce import Pieces, piece
from recsys_book.service import simulate

NAME, SEEDS = "ch04/serving", (0,)
WORKERS = 1  # it takes times: nothing else may run beside it
DIM, K = 64, 100
SIZES = (10_000, 100_000, 1_000_000)
CATALOGUES = (300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
HNSW_EFFORTS = (100, 150, 200, 300, 500, 800, 1_200, 2_000, 3_000)
IVF_EFFORTS = (1, 2, 4, 8, 16, 32, 64)
#: Name → kind, efforts, lifted.
INDEXES = {
    "exact": ("exact", (None,), True), "flat": ("flat", (None,), True),
    "ivf": ("ivf", IVF_EFFORTS, True), "hnsw": ("hnsw", HNSW_EFFORTS, True),
    "hnsw, not lifted": ("hnsw", HNSW_EFFORTS, False),
}  # fmt: skip
DAY = 86_400


def trained() -> tuple[torch.Tensor, torch.Tensor]:
    """Item vectors `[N, 64]` and user vectors of test examples `[300, 64]`."""
    world = simulate(n_users=3_000, n_films=4_000, seed=0)
    task = lab.make_task(world.log.clicks(), 20 * DAY, 24 * DAY)
    model = lab.new_generator(task, dim=32, hidden=(64, DIM), seed=0)
    lab.train(
        model, task, lab.training_examples(task, until=task.test_from),
        lab.Recipe(lr=0.01, epochs=10), seed=0,
    )  # fmt: skip
    with torch.no_grad():
        return model.item_vectors().clone(), lab.user_vectors(model, task, task.test[:300])


def size(vectors: torch.Tensor, queries: torch.Tensor, n: int, normalize: bool) -> dict:
    """Every index at one size."""
    many, found = costs.multiplied(vectors, n), {}
    truth = None
    for name, (kind, efforts, lift) in INDEXES.items():
        if not lift and (normalize or n > 100_000):
            continue  # cosine needs none, and the point is made by then
        use_threads(cores())
        index, seconds = costs.timed_build(many, kind, normalize=normalize, lift=lift)
        if truth is None:
            truth = index.search(queries, K)[1]
        use_threads(1)
        n_timed = 200 if n <= 100_000 or kind in ("ivf", "hnsw") else 50
        found[name] = {
            "build_seconds": seconds,
            "curve": costs.index_curve(index, queries, truth, efforts, n_timed),
        }
    return found


class Work(Pieces):
    """The run: one index after the other, one size of the catalogue after the other."""

    @cached_property
    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of users and films, of a trained model."""
        return trained()

    @piece
    def indexes(self, n: int, normalize: bool) -> dict:
        """Every index on n films."""
        return size(*self.vectors, n, normalize)

    @piece
    def stages(self, n: int) -> dict:
        """What each stage costs on n films."""
        use_threads(cores())
        funnel = costs.untrained_funnel(n, kind="hnsw")
        use_threads(1)
        return costs.stage_costs(funnel, n_candidates=min(200, n // 2))

    def figures(self) -> dict:
        """What the record holds."""
        name = {False: "dot product", True: "cosine"}
        return {
            "indexes": {f"{n} {name[c]}": self.indexes(n, c) for n in SIZES for c in name},
            "stages": {str(n): self.stages(n) for n in CATALOGUES},
        }


def report(figures: dict) -> None:
    """Print what was found."""
    for key, kinds in figures["indexes"].items():
        for kind in (name for name in INDEXES if name in kinds):
            for row in kinds[kind]["curve"]:
                print(key, kind, {k: v and round(v, 3) for k, v in row.items()})
    for n, found in figures["stages"].items():
        print(n, found)
