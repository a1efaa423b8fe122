"""Diagrams of chapter 06's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.content_factorization import ContentFactorization
from recsys_book.show.plots import Box, Picture, architecture, show


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
