"""The models' architecture diagrams: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.content_factorization import ContentFactorization
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


def content_factorization() -> Picture:
    """ContentFactorization: content and ids in one gradient."""
    boxes = {
        "user": Box("user id", -0.4, 0, ("B",)),
        "film": Box("film id", 2, 0, ("B",)),
        "words": Box("its words", 3.7, 0, ("B", "C")),
        "b": Box("user bias", -1, 1.6, ("B", 1), "user_bias", "sky"),
        "p": Box("user vector", 0.2, 1.6, ("B", "D"), "user_vectors", "blue"),
        "q": Box("id vector", 1.4, 1.6, ("B", "D"), "id_vectors", "orange"),
        "W": Box("vector of words", 2.6, 1.6, ("B", "D"), "content_vectors", "vermilion"),
        "c": Box("id bias", 3.8, 1.6, ("B", 1), "id_bias", "sky"),
        "w": Box("bias of words", 5, 1.6, ("B", 1), "content_bias", "sky"),
        "sum": Box("sum", 2, 3.2, ("B", "D"), color="orange"),
        "dot": Box("dot product", 1.3, 4.7, ("B",), color="green"),
        "logit": Box("sum = logit", 1.3, 6.3, ("B",), "", "black"),
    }
    arrows = [("user", "b"), ("user", "p"), ("film", "q"), ("film", "c"), ("words", "W")]
    arrows += [("words", "w"), ("q", "sum"), ("W", "sum"), ("sum", "dot"), ("p", "dot")]
    arrows += [("dot", "logit"), ("b", "logit"), ("c", "logit"), ("w", "logit")]
    ids = torch.zeros(4, dtype=torch.long)
    model = ContentFactorization(n_users=2, content=torch.ones(3, 5), dim=8)
    dims = {"B": 4, "D": 8, "C": 5}
    return show(
        architecture(model, [ids, ids], dims, boxes, arrows, "ContentFactorization"),
        alt="Content factorization: a film's vector is the sum of a vector looked up by its id and "
        "of its words times a matrix; the dot product with the user's vector, plus biases of user, "
        "id and words, is the logit. For a new film the id's part is left out",
    )
