"""Diagrams of chapter 02's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.embeddings import HashedEmbedding
from recsys_book.layers import FieldEmbedding
from recsys_book.show.diagrams import matrix_factorization
from recsys_book.show.plots import Box, Picture, architecture, show

__all__ = ["field_embedding", "hashed_embedding", "matrix_factorization"]


def field_embedding() -> Picture:
    """FieldEmbedding: F fields in one table."""
    boxes = {
        "ids": Box("ids, each from 0", 0, 0, ("B", "F")),
        "rows": Box("plus field offset", 1.25, 0, ("B", "F"), color="sky"),
        "out": Box("rows of one table", 2.5, 0, ("B", "F", "D"), "", "blue"),
    }
    arrows = [("ids", "rows"), ("rows", "out")]
    model, dims = FieldEmbedding([5, 3, 4], dim=8), {"B": 4, "F": 3, "D": 8}
    ids = torch.zeros(4, 3, dtype=torch.long)
    return show(
        architecture(model, [ids], dims, boxes, arrows, "FieldEmbedding"),
        alt="A field embedding: ids of each field, counted from 0, get the place where their field "
        "starts added, and look up rows of one table: B by F by D",
    )


def hashed_embedding() -> Picture:
    """HashedEmbedding: H rows an id."""
    boxes = {
        "ids": Box("ids", 0, 0, ("B",)),
        "rows": Box("H hashes", 1.25, 0, ("B", "H"), color="sky"),
        "vectors": Box("rows of the table", 2.5, 0, ("B", "H", "D"), "table", "blue"),
        "out": Box("sum", 3.75, 0, ("B", "D"), "", "green"),
    }
    arrows = [("ids", "rows"), ("rows", "vectors"), ("vectors", "out")]
    model, ids = HashedEmbedding(16, dim=8, n_hashes=2), torch.zeros(4, dtype=torch.long)
    return show(
        architecture(model, [ids], {"B": 4, "H": 2, "D": 8}, boxes, arrows, "HashedEmbedding"),
        alt="A hashed embedding: H hashes turn each id into H rows of one table, and the rows are "
        "added up: B by D",
    )
