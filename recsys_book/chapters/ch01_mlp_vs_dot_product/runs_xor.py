"""Chapter 01's larger sweeps on made-up data: parity by dimension, and learning a dot product.

The sweep over the number of examples is run twice for one width: with the steps that all points
have, and with eight times as many. So what is left after the longer training is due to too few
examples, and not to too few steps.
"""

from __future__ import annotations

import pandas as pd
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.lab import (
    learn_dot_product,
    one_per_seed,
    train_together,
)
from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import parity
from recsys_book.layers import MLP
from recsys_book.losses import bce
from recsys_book.metrics import log_loss
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.reproduce import Pieces, piece, table

NAME = "ch01/xor"
PARITY_DIMS, PARITY_SEEDS = (2, 4, 8, 16, 32, 64), (0, 1, 2, 3, 4)
WIDTHS, SIZES, SEEDS = (16, 64, 256), (500, 2_000, 8_000, 32_000, 128_000), (0, 1, 2)
STEPS = 6_000  # of Adam, for every width and number of examples
LONG_WIDTH, LONG_STEPS = 64, 48_000


def parity_by_dim(dims=PARITY_DIMS, seeds=PARITY_SEEDS, steps: int = 1_000) -> dict:
    """Lowest log-loss that a factorization machine, and an MLP, ever reach on three-way parity.

    Returns:
        {"fm": {dim: [lowest log-loss per seed]}, "mlp": [final log-loss per seed]}.
    """
    corners, labels = parity(3)
    lowest = {}
    for dim in dims:
        models = one_per_seed(lambda: FactorizationMachine([2, 2, 2], dim, init_std=0.5), seeds)  # noqa: B023
        best = [float("inf")] * len(models)

        def watch(step, models=models, best=best):
            with torch.no_grad():
                now = [log_loss(labels, model(corners)) for model in models]
            best[:] = [min(b, n) for b, n in zip(best, now, strict=True)]

        train_together(models, lambda m: bce(m(corners), labels), steps=steps, watch=watch)
        lowest[dim] = best
    mlps = one_per_seed(lambda: MLP(3, (16,)), seeds)
    x = corners.float()
    train_together(mlps, lambda m: bce(m(x).squeeze(-1), labels), steps=steps)
    with torch.no_grad():
        final = [log_loss(labels, m(x).squeeze(-1)) for m in mlps]
    return {"fm": lowest, "mlp": final}


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def parity(self) -> dict:
        """FM by the length of its vectors, and an MLP."""
        return parity_by_dim()

    @piece
    def dot_product(self, width: int, n_examples: int, steps: int, seed: int) -> float:
        """RMSE of one MLP on fresh pairs."""
        [error] = learn_dot_product(width, n_examples, seeds=(seed,), steps=steps)
        return error

    def figures(self) -> dict:
        """What the record holds."""
        points = [(w, n, STEPS) for w in WIDTHS for n in SIZES]
        points += [(LONG_WIDTH, n, LONG_STEPS) for n in SIZES]
        rows = [
            (*point, seed, self.dot_product(*point, seed)) for point in points for seed in SEEDS
        ]
        columns = ["width", "n_examples", "steps", "seed", "rmse"]
        return {
            "parity": self.parity(),
            "dot_product": table(pd.DataFrame(rows, columns=columns)),
        }
