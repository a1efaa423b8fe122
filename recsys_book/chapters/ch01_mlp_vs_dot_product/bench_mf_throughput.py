"""Training examples a second of matrix factorization, negatives included.

    python -m recsys_book.chapters.ch01_mlp_vs_dot_product.bench_mf_throughput

On the NCF split where $RECSYS_BOOK_DATA has it, else on random pairs of the same size. One epoch to
warm up, then the median of five. Every training step counts: shuffling, drawing four negatives a
positive, forward, backward, Adam.
"""

from __future__ import annotations

import statistics
import time

import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.runs_additive import (
    BATCH_SIZE,
    N_NEGATIVES,
    train_mf,
)
from recsys_book.data import Interactions, load
from recsys_book.data.fetch import DataUnavailable
from recsys_book.machine import threads_wanted, use_threads

DIM, EPOCHS = 32, 5


def pairs() -> Interactions:
    """The NCF split's training pairs, or as many random ones."""
    try:
        return load("ncf-ml-1m", download=False).train
    except DataUnavailable:
        generator = torch.Generator().manual_seed(0)
        keys = torch.randperm(6_040 * 3_706, generator=generator)[:988_129]
        return Interactions(keys // 3_706, keys % 3_706, 6_040, 3_706)


def main() -> None:
    use_threads(threads_wanted())  # $RECSYS_BOOK_THREADS, or one
    train = pairs()
    train_mf(train, DIM, seed=0, max_epochs=1)
    rates = []
    for seed in range(EPOCHS):
        start = time.perf_counter()
        train_mf(train, DIM, seed=seed, max_epochs=1)
        rates.append(len(train) * (1 + N_NEGATIVES) / (time.perf_counter() - start) / 1e6)
    print(
        f"d = {DIM}, batches of {BATCH_SIZE} positives and {N_NEGATIVES} negatives each, "
        f"{torch.get_num_threads()} threads: {statistics.median(rates):.2f} million examples a "
        f"second (from {min(rates):.2f} to {max(rates):.2f})"
    )


if __name__ == "__main__":
    main()
