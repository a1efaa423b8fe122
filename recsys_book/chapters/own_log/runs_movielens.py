"""What `python -m recsys_book.try_your_own` finds on ml-latest-small: figures only, no titles."""

from __future__ import annotations

from dataclasses import astuple

from recsys_book.chapters.own_log.lab import try_log
from recsys_book.data import load
from recsys_book.reproduce.record import Run

NAME = "own_log/movielens"


def main() -> None:
    """Run it, print it, record it."""
    run = Run(NAME, [0])
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
    print("written to", run.write({"notes": trial.notes, "k": trial.k, "rows": rows}))
