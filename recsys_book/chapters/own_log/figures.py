"""The map of a reader's own log."""

from __future__ import annotations

from collections.abc import Sequence

from recsys_book.chapters.own_log.lab import ItemVectors
from recsys_book.maps import genre_table
from recsys_book.show.explorers import SHOWN_EPOCHS, explorer, frequent
from recsys_book.widgets import EmbeddingExplorer


def items_explorer(items: ItemVectors, groups: Sequence[str] | None = None) -> EmbeddingExplorer:
    """The items of a reader's own log, epoch by epoch.

    Args:
        items: see `own_log.Trial`.
        groups: the kind of each item, "" where it is not known; several are joined by |. Colours
            take the first, purity is about sharing any; nothing is shared with an unknown kind.
    """
    epochs = [e for e in range(len(items.snapshots)) if e in SHOWN_EPOCHS]
    if epochs[-1] != len(items.snapshots) - 1:
        epochs.append(len(items.snapshots) - 1)
    details = [f"{n:,} interactions" for n in items.counts]
    colourings: dict[str, Sequence] = {"popularity": items.counts}
    labels = None
    if groups is not None:
        parts = [[p.strip() for p in group.split("|") if p.strip()] for group in groups]
        kinds = [", ".join(some) or "no group" for some in parts]
        details = [f"{kind}, {d}" for kind, d in zip(kinds, details, strict=True)]
        colourings = {"group": frequent([some[0] if some else "none" for some in parts])}
        colourings["popularity"] = items.counts
        # An unknown kind is not a kind to be shared: it agrees with nothing.
        labels = genre_table(parts) if any(parts) else None
    n = len(items.titles)
    return explorer(
        [items.snapshots[e] for e in epochs], epochs, labels, items.titles, details, colourings,
        title=f"Your {n:,} items met most often, as matrix factorization came to see them",
        perplexity=min(30, n / 4), noun="item",
    )  # fmt: skip
