"""Diagrams of chapter 04's models: hand-placed, with shapes held against a forward pass.

B batch, F fields, D length of a vector, H hidden units.
"""

from __future__ import annotations

import torch

from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.show.plots import Box, Picture, architecture, show


def candidate_generator() -> Picture:
    """CandidateGenerator with two context fields and example age."""
    boxes = {
        "history": Box("watched films", 0, 0, ("B", "L")),
        "context": Box("context", 1.5, 0, ("B", "F")),
        "age": Box("example age", 3.0, 0, ("B",)),
        "mean": Box("vectors, averaged", 0, 1.6, ("B", "D"), color="blue"),
        "fields": Box("vectors", 1.5, 1.6, ("B", "F", 8), "context", "blue"),
        "both": Box("side by side", 1.5, 3.2, ("B", "D+8F+1"), color="grey"),
        "h1": Box("linear, ReLU", 1.5, 4.8, ("B", 64), "tower.layers.1", "orange"),
        "user": Box("ReLU: user vector u", 1.5, 6.4, ("B", 32), "", "green"),
        "items": Box("film vectors v", 3.3, 6.4, ("N", 32), color="sky"),
        "logit": Box("u · v of every film", 2.4, 8.0, ("B", "N"), color="black"),
    }
    arrows = [("history", "mean"), ("context", "fields"), ("age", "both"), ("mean", "both")]
    arrows += [("fields", "both"), ("both", "h1"), ("h1", "user"), ("user", "logit")]
    arrows += [("items", "logit")]
    model = CandidateGenerator(20, 16, (64, 32), cardinalities=(5, 5), oldest=9.0)
    inputs = [
        torch.zeros(4, 7, dtype=torch.long), torch.zeros(4, 2, dtype=torch.long), torch.ones(4),
    ]  # fmt: skip
    dims = {"B": 4, "F": 2, "L": 7, "D": 16, "D+8F+1": 33, "N": 20}
    return show(
        architecture(model, inputs, dims, boxes, arrows, "CandidateGenerator"),
        alt="The first stage: vectors of the watched films are averaged, vectors of the context "
        "and the example's age stand beside them, two layers with ReLU make the user vector, and "
        "its dot product with every film's vector is that film's logit",
    )


def watch_time_ranker() -> Picture:
    """WatchTimeRanker with fields and continuous inputs."""
    boxes = {
        "item": Box("film shown", 0, 0, ("B",)),
        "history": Box("watched films", 1.3, 0, ("B", "L")),
        "fields": Box("other fields", 2.6, 0, ("B", "F")),
        "c": Box("continuous", 3.9, 0, ("B", "C")),
        "v": Box("vector", 0, 1.6, ("B", "D"), "items", "blue"),
        "mean": Box("averaged", 1.3, 1.6, ("B", "D"), color="blue"),
        "e": Box("vectors", 2.6, 1.6, ("B", "F", 8), "fields", "sky"),
        "powers": Box("x, x², √x", 3.9, 1.6, ("B", "3C"), color="orange"),
        "h1": Box("all, linear, ReLU", 1.95, 3.2, ("B", 64), "mlp.layers.1", "green"),
        "h2": Box("linear, ReLU", 1.95, 4.8, ("B", 32), "mlp.layers.3", "green"),
        "logit": Box("linear = logit", 1.95, 6.4, ("B",), "", "black"),
    }
    arrows = [("item", "v"), ("history", "mean"), ("fields", "e"), ("c", "powers")]
    arrows += [(name, "h1") for name in ("v", "mean", "e", "powers")]
    arrows += [("h1", "h2"), ("h2", "logit")]
    model = WatchTimeRanker(20, 2, (5, 5, 11), dim=16, hidden=(64, 32))
    zeros = lambda *shape: torch.zeros(*shape, dtype=torch.long)
    inputs = [zeros(4), zeros(4, 7), zeros(4, 3), torch.zeros(4, 2)]
    dims = {"B": 4, "F": 3, "L": 7, "D": 16, "C": 2, "3C": 6}
    return show(
        architecture(model, inputs, dims, boxes, arrows, "WatchTimeRanker"),
        alt="The second stage: the vector of the film shown, the mean of the watched films' "
        "vectors from the same table, vectors of other fields and three powers of the continuous "
        "inputs go through two layers with ReLU to one logit, of which exp is served",
    )
