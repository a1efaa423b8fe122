"""Diagrams of chapter 05's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.wide_and_deep import Bag, WideAndDeep
from recsys_book.show.plots import Box, Picture, architecture, show


def wide_and_deep() -> Picture:
    """WideAndDeep with one bag cross and one bag in the deep side."""
    boxes = {
        "bag": Box("watched films", 0, 0, ("B", "L")),
        "ids": Box("ids", 1.6, 0, ("B", "F")),
        "pairs": Box("watched × shown", -0.6, 1.6, ("B", "L"), color="sky"),
        "wide": Box("bias, weights, sum", 0, 4.0, ("B",), "wide", "sky"),
        "v": Box("vectors, bag averaged", 2.2, 1.6, ("B", "F+1", "D"), "vectors", "blue"),
        "h1": Box("linear, ReLU", 2.2, 3.2, ("B", 64), "tower.layers.1", "orange"),
        "h2": Box("linear, ReLU", 2.2, 4.8, ("B", 32), "tower.layers.3", "orange"),
        "deep": Box("linear", 2.2, 6.4, ("B", 1), "out", "orange"),
        "logit": Box("sum = logit", 1.1, 8.0, ("B",), "", "black"),
    }
    arrows = [("bag", "pairs"), ("ids", "pairs"), ("pairs", "wide"), ("ids", "wide"), ("bag", "v")]
    arrows += [("ids", "v"), ("v", "h1"), ("h1", "h2"), ("h2", "deep")]
    arrows += [("wide", "logit"), ("deep", "logit")]
    model = WideAndDeep([2, 9, 2], [(Bag(1), 1)], dim=8, hidden=(64, 32), bag_fields=(1,))
    ids, bag = torch.zeros(4, 3, dtype=torch.long), torch.zeros(4, 5, dtype=torch.long)
    dims = {"B": 4, "F": 3, "F+1": 4, "L": 5, "D": 8}
    return show(
        architecture(model, [ids, {1: (bag, bag > 0)}], dims, boxes, arrows, "WideAndDeep"),
        alt="Wide & Deep: on the wide side ids, and every pair of a watched and the shown film, "
        "look up one weight each, which are summed with a bias; on the deep side ids look up "
        "vectors, those of watched films are averaged, and all go through two layers with ReLU to "
        "one number; the two sides are added to the logit",
    )
