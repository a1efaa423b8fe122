"""Diagrams of chapter 00's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.dnn import DNN
from recsys_book.show.diagrams import factorization_machine, matrix_factorization
from recsys_book.show.plots import Box, Picture, architecture, show

__all__ = ["dnn", "factorization_machine", "matrix_factorization"]


def dnn() -> Picture:
    """DNN over F fields and two bags."""
    boxes = {
        "ids": Box("fields", 0, 0, ("B", "F")),
        "bag": Box("two bags", 1.2, 0, ("B", "L")),
        "v": Box("vectors, each bag averaged", 0.6, 1.6, ("B", "F+2", "D"), "vectors", "blue"),
        "flat": Box("side by side", 0.6, 3.2, ("B", "(F+2)D"), color="grey"),
        "h1": Box("linear, ReLU", 0.6, 4.8, ("B", 128), "mlp.layers.1", "orange"),
        "h2": Box("linear, ReLU", 0.6, 6.4, ("B", 64), "mlp.layers.3", "orange"),
        "logit": Box("linear = logit", 0.6, 8.0, ("B",), "", "black"),
    }
    arrows = [("ids", "v"), ("bag", "v"), ("v", "flat"), ("flat", "h1"), ("h1", "h2")]
    arrows += [("h2", "logit")]
    model = DNN([2, 9, 7], dim=8, hidden=(128, 64), bag_fields=(1, 2))
    ids, bag = torch.zeros(4, 3, dtype=torch.long), torch.zeros(4, 5, dtype=torch.long)
    dims = {"B": 4, "F": 3, "F+2": 5, "L": 5, "D": 8, "(F+2)D": 40}
    inputs = [ids, {1: (bag, bag > 0), 2: (bag, bag > 0)}]
    return show(
        architecture(model, inputs, dims, boxes, arrows, "DNN: B examples, F fields, vectors of D"),
        alt="A deep model: ids look up vectors, the vectors of each of two bags of L ids are "
        "averaged, all stand side by side and go through two layers with ReLU to one logit",
    )
