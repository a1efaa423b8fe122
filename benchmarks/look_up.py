"""`layers.look_up` beside `layers.select_rows`: seconds of a forward and backward pass, as ratios.

    python benchmarks/look_up.py

Sizes are those of the book: fields of an impression, single weights, vectors of matrix
factorization. Compare within one run only.
"""

import statistics
import time

import torch

from recsys_book.layers import look_up, select_rows
from recsys_book.machine import use_threads

SIZES = {
    "fields, batch of 256": (4_000, 16, 256, 19),
    "fields, batch of 1,024": (4_000, 16, 1_024, 19),
    "single weights": (4_000, 1, 1_024, 19),
    "vectors of 64, batch of 8,192": (3_000, 64, 8_192, 5),
}  # rows of the table, their length, examples, ids an example


def seconds(way, table: torch.Tensor, ids: torch.Tensor, repeats: int = 60) -> float:
    """Median of a forward and backward pass."""
    took = []
    for _ in range(repeats):
        table.grad = None
        began = time.perf_counter()
        way(table, ids).sum().backward()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    use_threads(1)
    generator = torch.Generator().manual_seed(0)
    for name, (n, dim, batch, each) in SIZES.items():
        table = torch.randn(n, dim, generator=generator).requires_grad_()
        ids = torch.randint(n, (batch, each), generator=generator)
        ratios = [seconds(look_up, table, ids) / seconds(select_rows, table, ids) for _ in range(5)]
        print(f"{name}: look_up takes {statistics.median(ratios):.2f} times select_rows")


if __name__ == "__main__":
    main()
