"""The models' architecture diagrams: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.show.plots import Box, Picture, architecture, show


def matrix_factorization() -> Picture:
    """MatrixFactorization with biases."""
    boxes = {
        "user": Box("user id", 0, 0, ("B",)),
        "film": Box("film id", 2, 0, ("B",)),
        "b": Box("user bias", -0.5, 1.6, ("B", 1), "user_bias", "sky"),
        "p": Box("user vector", 0.5, 1.6, ("B", "D"), "user_vectors", "blue"),
        "q": Box("film vector", 1.5, 1.6, ("B", "D"), "item_vectors", "orange"),
        "c": Box("film bias", 2.5, 1.6, ("B", 1), "item_bias", "sky"),
        "dot": Box("dot product", 1, 3.2, ("B",), color="green"),
        "logit": Box("sum = logit", 1, 4.8, ("B",), "", "black"),
    }
    arrows = [("user", "b"), ("user", "p"), ("film", "q"), ("film", "c"), ("p", "dot")]
    arrows += [("q", "dot"), ("b", "logit"), ("dot", "logit"), ("c", "logit")]
    ids = torch.zeros(4, dtype=torch.long)
    model = MatrixFactorization(n_users=2, n_items=3, dim=8)
    return show(
        architecture(model, [ids, ids], {"B": 4, "D": 8}, boxes, arrows, "MatrixFactorization"),
        alt="Matrix factorization: a user id and a film id each look up a vector and a bias; the "
        "dot product of the vectors plus the two biases is the logit",
    )


def factorization_machine() -> Picture:
    """FactorizationMachine over F fields."""
    boxes = {
        "ids": Box("ids", 0.75, 0, ("B", "F")),
        "w": Box("weights, sum", 0, 1.6, ("B",), "linear", "sky"),
        "v": Box("vectors", 1.5, 1.6, ("B", "F", "D"), "vectors", "blue"),
        "pairs": Box("all pairs, dot", 1.5, 3.2, ("B",), color="green"),
        "logit": Box("sum = logit", 0.75, 4.8, ("B",), "", "black"),
    }
    arrows = [("ids", "w"), ("ids", "v"), ("v", "pairs"), ("w", "logit"), ("pairs", "logit")]
    model = FactorizationMachine([2, 2, 2], dim=8)
    ids, dims = torch.zeros(4, 3, dtype=torch.long), {"B": 4, "F": 3, "D": 8}
    return show(
        architecture(model, [ids], dims, boxes, arrows, "FactorizationMachine"),
        alt="A factorization machine: ids look up weights, which are summed, and vectors, of which "
        "every pair meets in a dot product; both sums make the logit",
    )
