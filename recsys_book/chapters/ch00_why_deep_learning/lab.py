"""Chapter 00's map: film vectors of matrix factorization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.chapters.ch00_why_deep_learning.ladder import climb, shares
from recsys_book.maps import neighbour_purity, random_purity
from recsys_book.service.click_models import Settings, Task, new_click_model, train_click_model

__all__ = ["climb", "film_vectors", "shares", "sights"]


def film_vectors(task: Task, settings: Settings, *, seed: int) -> list[Tensor]:
    """Matrix factorization's film vectors before training and after each epoch.

    Returns:
        tensors `[N, D]` of length 1, so that near means a small angle; of length 0 where the
        penalty has left nothing of a film that was never shown.
    """
    vectors = lambda model: nn.functional.normalize(model.model.item_vectors.weight[1:].detach())
    kept = [vectors(new_click_model(task, "MF", settings, seed))]

    keep = lambda _, model: kept.append(vectors(model))
    rows = task.before(task.test_from)
    train_click_model(task, "MF", settings, rows, seed=seed, after_epoch=keep)
    return kept


def sights(tasks: Sequence[Task], vectors: Sequence[Sequence[Tensor]]) -> dict[str, dict]:
    """What is often said of maps of films, in numbers: mean over worlds, on the vectors themselves.

    Args:
        tasks: one a world.
        vectors: for each, `film_vectors`; the last are looked at.

    Returns:
        "among the ten nearest" and "among all films" → label → share that agrees: by genre, by
        second genre, and by third of popularity (times shown).
    """
    near, everywhere = {}, {}
    for task, epochs in zip(tasks, vectors, strict=True):
        world = task.world
        shown = torch.bincount(world.log.film.long(), minlength=world.n_films)
        third = shown.argsort().argsort() * 3 // world.n_films
        labels = {
            "genre": torch.from_numpy(world.film.genre),
            "second genre": torch.from_numpy(world.film.second_genre),
            "popularity, in thirds": third,
        }
        for name, label in labels.items():
            near.setdefault(name, []).append(neighbour_purity(epochs[-1], label))
            everywhere.setdefault(name, []).append(random_purity(label))
    mean = lambda values: {name: float(np.mean(v)) for name, v in values.items()}
    return {"among the ten nearest": mean(near), "among all films": mean(everywhere)}
