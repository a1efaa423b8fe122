"""Maps of vectors, epoch by epoch, as a widget with what the vectors themselves say beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recsys_book import maps
from recsys_book.data.interactions import Interactions
from recsys_book.service.world import GENRES, World
from recsys_book.widgets import EmbeddingExplorer
from recsys_book.widgets.explorer import MAX_CATEGORIES


def explorer(
    snapshots: Sequence[Tensor],
    epochs: Sequence[int],
    labels: Tensor | None,
    titles: Sequence[str],
    details: Sequence[str],
    colourings: Mapping[str, Sequence],
    *,
    title: str,
    perplexity: float = 30,
    measures: Sequence[str] = ("cosine distance", "dot product"),
    noun: str = "film",
    among: Tensor | None = None,
    axis: str = "epoch",
) -> EmbeddingExplorer:
    """Lay out the epochs, write purity and trustworthiness under each map, and make the widget.

    Args:
        snapshots: vectors `[n, D]`, one for each of `epochs`.
        epochs: which they are.
        labels: `[n]` or `[n, G]` bool: what purity is about; None where nothing is known.
        titles, details, colourings, measures, noun, among, axis: see EmbeddingExplorer.
        title: of the widget.
        perplexity: of the maps.
    """
    directions = [normalize(v) for v in snapshots]
    flat = maps.epoch_maps(directions, perplexity=perplexity)
    captions = [
        f"Trustworthiness of the map: {maps.trustworthiness(vectors, places):.2f}"
        for vectors, places in zip(directions, flat, strict=True)
    ]
    if labels is not None:
        random = maps.random_purity(labels)
        pure = [maps.neighbour_purity(vectors, labels) for vectors in directions]
        captions = [
            f"In the vectors: neighbour purity {p:.2f} (random pairs {random:.2f}). {caption}"
            for p, caption in zip(pure, captions, strict=True)
        ]
    return EmbeddingExplorer.from_vectors(
        snapshots,
        flat,
        titles,
        title=title,
        epochs=epochs,
        colourings=colourings,
        details=details,
        captions=captions,
        measures=measures,
        noun=noun,
        among=among,
        axis=axis,
    )


SHOWN_EPOCHS = (0, 1, 2, 3, 4, 6, 8, 12)


def world_explorer(
    world: World, log: Interactions, snapshots: Sequence[Tensor], **more
) -> EmbeddingExplorer:
    """Every film of a simulated service, epoch by epoch.

    Args:
        world: whose films.
        log: what the vectors were trained on.
        snapshots: film vectors `[N, D]` of every epoch, the start first.
        more: see `explorer`.
    """
    epochs = [e for e in SHOWN_EPOCHS if e < len(snapshots)]
    clicks, film = log.item_counts().tolist(), world.film
    genre = [GENRES[g] for g in film.genre]
    second = [GENRES[g] for g in film.second_genre]
    details = [
        f"{a}, then {b}, {n:,} clicks" for a, b, n in zip(genre, second, clicks, strict=True)
    ]
    return explorer(
        [snapshots[e] for e in epochs], epochs, torch.from_numpy(film.genre),
        [str(title) for title in world.titles], details, {"genre": genre, "clicks": clicks},
        title="Films of the simulated service, epoch by epoch", **more,
    )  # fmt: skip


def frequent(names: Sequence[str], n: int = MAX_CATEGORIES) -> list[str]:
    """The names, all but the most frequent put together as "other", n different at most."""
    order = pd.Series(names).value_counts().index.tolist()
    kept = set(order) if len(order) <= n else set(order[: n - 1])
    return [name if name in kept else "other" for name in names]
