"""Diagrams of chapter 03's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.show.plots import Box, Picture, architecture, show


def gmf() -> Picture:
    """GMF."""
    boxes = {
        "user": Box("user id", 0, 0, ("B",)),
        "film": Box("film id", 1.2, 0, ("B",)),
        "p": Box("user vector p", 0, 1.6, ("B", "D"), "user_vectors", "blue"),
        "q": Box("film vector q", 1.2, 1.6, ("B", "D"), "item_vectors", "orange"),
        "pq": Box("product p ∘ q", 0.6, 3.2, ("B", "D"), color="green"),
        "logit": Box("h · (p ∘ q) = logit", 0.6, 4.8, ("B", 1), "output", "black"),
    }
    arrows = [("user", "p"), ("film", "q"), ("p", "pq"), ("q", "pq"), ("pq", "logit")]
    ids = torch.zeros(4, dtype=torch.long)
    return show(
        architecture(GMF(20, 30), [ids, ids], {"B": 4, "D": 8}, boxes, arrows, "GMF"),
        alt="GMF: a user id and a film id look up a vector each; the vectors are multiplied place "
        "by place, and the weights h turn the product into one logit",
    )


def ncf_mlp() -> Picture:
    """NCFMLP with the paper's tower for 8 factors."""
    boxes = {
        "user": Box("user id", 0, 0, ("B",)),
        "film": Box("film id", 1.2, 0, ("B",)),
        "p": Box("user vector p", 0, 1.6, ("B", "D"), "user_vectors", "blue"),
        "q": Box("film vector q", 1.2, 1.6, ("B", "D"), "item_vectors", "orange"),
        "both": Box("side by side [p; q]", 0.6, 3.2, ("B", "2D"), color="grey"),
        "h1": Box("linear, ReLU", 0.6, 4.8, ("B", 32), color="green"),
        "h2": Box("linear, ReLU", 0.6, 6.4, ("B", 16), "tower.1", "green"),
        "h3": Box("linear, ReLU", 0.6, 8.0, ("B", 8), "tower.2", "green"),
        "logit": Box("h · the last = logit", 0.6, 9.6, ("B", 1), "output", "black"),
    }
    arrows = [("user", "p"), ("film", "q"), ("p", "both"), ("q", "both"), ("both", "h1")]
    arrows += [("h1", "h2"), ("h2", "h3"), ("h3", "logit")]
    ids = torch.zeros(4, dtype=torch.long)
    dims = {"B": 4, "D": 16, "2D": 32}
    return show(
        architecture(NCFMLP(20, 30), [ids, ids], dims, boxes, arrows, "MLP"),
        alt="The paper's MLP: a user vector and a film vector stand side by side and go through "
        "three layers with ReLU, 32, 16 and 8 wide, to one logit",
    )


def neumf() -> Picture:
    """NeuMF with 8 factors."""
    boxes = {
        "user": Box("user id", 0.6, 0, ("B",)),
        "film": Box("film id", 2.4, 0, ("B",)),
        "p": Box("p", -0.3, 1.7, ("B", 8), "gmf.user_vectors", "blue"),
        "q": Box("q", 0.8, 1.7, ("B", 8), "gmf.item_vectors", "orange"),
        "p2": Box("p', its own", 2.2, 1.7, ("B", 16), "mlp.user_vectors", "blue"),
        "q2": Box("q', its own", 3.3, 1.7, ("B", 16), "mlp.item_vectors", "orange"),
        "pq": Box("p ∘ q", 0.25, 3.4, ("B", 8), color="green"),
        "tower": Box("tower, three layers", 2.75, 3.4, ("B", 8), "mlp.tower.2", "green"),
        "logit": Box("h · [both] = logit", 1.5, 5.1, ("B",), "", "black"),
    }
    arrows = [("user", "p"), ("film", "q"), ("user", "p2"), ("film", "q2"), ("p", "pq")]
    arrows += [("q", "pq"), ("p2", "tower"), ("q2", "tower"), ("pq", "logit"), ("tower", "logit")]
    ids = torch.zeros(4, dtype=torch.long)
    return show(
        architecture(NeuMF(20, 30), [ids, ids], {"B": 4}, boxes, arrows, "NeuMF"),
        alt="NeuMF: GMF's product on the left and the MLP's tower on the right, each with user and "
        "film vectors of its own; one set of weights h over both gives the logit",
    )
