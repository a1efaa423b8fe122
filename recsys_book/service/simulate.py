"""simulate(): some weeks of a small film-streaming service, as its log would show them.

What fills the lists stands in `recsys_book.service.loop`. Randomness comes from NumPy's frozen
RandomState, one stream a block of users, and every draw is decided in double precision: the integer
columns are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from recsys_book.service.log import COLUMNS, Log
from recsys_book.service.loop import LISTS, Service, session_starts
from recsys_book.service.world import EFFECTS, SLATE, World, make_world, stream

BLOCK = 4_096  # users simulated together; part of the result, as each block has its own stream


def simulate(
    n_users: int = 2_000,
    n_films: int = 1_000,
    days: int = 28,
    seed: int = 0,
    *,
    effects: Collection[str] = tuple(EFFECTS),
    without: Collection[str] = (),
) -> World:
    """Make the service and let its users live with it.

    Args:
        n_users: U.
        n_films: N, at least 50.
        days: length of the log.
        seed: of everything.
        effects: which of `EFFECTS` are planted.
        without: which of them are left out after all; everything else stays as it was.

    Returns:
        the World, its `log` filled.

    Raises:
        ValueError: a size out of range, an unknown effect.
    """
    for name, value, least in [
        ("n_users", n_users, 1),
        ("n_films", n_films, 50),
        ("days", days, 1),
    ]:
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; it must run from 0 to 2**32 - 1")
    for argument, names in (("effects", effects), ("without", without)):
        unknown = sorted(set(names) - set(EFFECTS))
        if unknown:
            raise ValueError(
                f"{argument} contains {unknown[0]!r}; effects are {', '.join(EFFECTS)}"
            )
    world = make_world(n_users, n_films, days, seed, frozenset(effects) - frozenset(without))
    service = Service(world)
    parts = [
        (np.arange(first, min(first + BLOCK, n_users), dtype=np.int32), stream(seed, "log", part))
        for part, first in enumerate(range(0, n_users, BLOCK))
    ]
    starts = [session_starts(world.activity[users], days, random) for users, random in parts]
    most = sum(int(n.sum()) for _, n in starts) * LISTS * SLATE
    # Room for every row at once, filled block by block: the log never stands in memory twice.
    columns = {name: np.empty(most, dtype=kind) for name, kind in COLUMNS.items()}
    n_rows = n_sessions = 0
    for (users, random), (start, count) in zip(parts, starts, strict=True):
        block = service.live(users, start, count, n_sessions, random)
        for name, values in block.items():
            columns[name][n_rows : n_rows + len(values)] = values
        n_rows += len(block["user"])
        n_sessions += int(count.sum())
    filled = {name: torch.from_numpy(column[:n_rows]) for name, column in columns.items()}
    world.log = Log(**filled, n_users=n_users, n_films=n_films)
    return world
