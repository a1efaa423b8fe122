"""Diagrams of chapter 01's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.layers import MLP
from recsys_book.show.diagrams import factorization_machine, matrix_factorization
from recsys_book.show.plots import Box, Picture, architecture, show

__all__ = ["factorization_machine", "matrix_factorization", "mlp"]


def mlp() -> Picture:
    """MLP with one hidden layer on a pair."""
    boxes = {
        "in": Box("user, film", 0, 0, ("B", 2)),
        "first": Box("linear", 1.25, 0, ("B", "H"), "layers.0", "blue"),
        "bend": Box("ReLU", 2.5, 0, ("B", "H"), "layers.1", "orange"),
        "last": Box("linear = logit", 3.75, 0, ("B", 1), "layers.2", "black"),
    }
    arrows = [("in", "first"), ("first", "bend"), ("bend", "last")]
    return show(
        architecture(MLP(2, (16,)), [torch.zeros(4, 2)], {"B": 4, "H": 16}, boxes, arrows, "MLP"),
        alt="An MLP: two inputs, a linear layer to H units, ReLU, and a linear layer to one logit",
    )
