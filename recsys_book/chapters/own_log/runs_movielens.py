"""What `python -m recsys_book.try_your_own` finds on ml-latest-small: figures only, no titles."""

from __future__ import annotations

from dataclasses import astuple

from recsys_book.chapters.own_log.lab import try_log
from recsys_book.data import load

NAME, SEEDS = "own_log/movielens", (0,)


def figures() -> dict:
    """What the record holds; printed as it is found."""
    trial = try_log(load("ml-latest-small").ratings)
    rows = [
        {
            "model": row.model,
            "settings": row.settings,
            "hit_rate": astuple(row.hit_rate),
            "ndcg": astuple(row.ndcg),
            "above_popularity": astuple(row.above_popularity),
        }
        for row in trial.rows
    ]
    for row in rows:
        print(row)
    return {"notes": trial.notes, "k": trial.k, "rows": rows}
