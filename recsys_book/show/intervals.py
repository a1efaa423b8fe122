"""Intervals at 95 %: over worlds or trainings by Student's t, over people by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recsys_book.metrics import share_of_learnable


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval over n seeds (or over n of something else, which it names)."""

    mean: float
    low: float
    high: float
    n: int
    over: str = "seeds"

    def text(self, digits: int = 3, sign: str = "") -> str:
        """Mean (low to high), for tables; `sign="+"` writes a plus before what is above 0."""
        show = lambda value: f"{value:{sign}.{digits}f}".replace("-", "−")
        return f"{show(self.mean)} ({show(self.low)} to {show(self.high)})"


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean and t-interval over seeds.

    Args:
        values: one figure per seed, at least two.
        level: coverage.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    array = check_figures(values)
    half = stats.t.ppf((1 + level) / 2, len(array) - 1) * stats.sem(array)
    return Interval(array.mean(), array.mean() - half, array.mean() + half, len(array))


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """t-interval of the difference a − b, where both models used the same seeds in one order."""
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} figures and b {len(b)}; pairs need equal numbers")
    return t_interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), level)


def bootstrap_interval(
    values: Sequence[float], level: float = 0.95, *, draws: int = 2_000, seed: int = 0
) -> Interval:
    """Mean and percentile bootstrap interval over users (or other cases).

    For a difference between two models give the users' differences: the pairs stay together.

    Args:
        values: one figure per user, at least two.
        level: coverage.
        draws: resamples.
        seed: of the draw.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    array = check_figures(values)
    found = stats.bootstrap(
        (array,), np.mean, n_resamples=draws, confidence_level=level, method="percentile",
        batch=max(1, 2_000_000 // len(array)), random_state=np.random.RandomState(seed),
    )  # fmt: skip
    low, high = map(float, found.confidence_interval)
    return Interval(array.mean(), low, high, len(array), over="users")


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    level: float = 0.95,
    *,
    draws: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the difference a − b of two models' figures, user by user.

    Every resample takes the same users for both models, so what makes a user hard for either drops
    out. Use it where each model was trained once and there are many users: it tells how far the
    difference would move with other users. How far it would move with another training it cannot
    tell; for that train over several seeds and take `paired_interval`.

    Args:
        a: one figure per user, at least two.
        b: the other model's, the same users in the same order.
        level, draws, seed: as in `bootstrap_interval`.

    Raises:
        ValueError: unequal numbers, fewer than two users, a figure that is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} figures and b {len(b)}; pairs need equal numbers")
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return bootstrap_interval(differences, level, draws=draws, seed=seed)


def learnable_interval(
    values: Sequence[float], popularity: Sequence[float], oracle: Sequence[float]
) -> Interval:
    """t-interval of the share of the learnable, over seeds.

    Each seed is rescaled by its own popularity and oracle first: a seed is a world of its own.

    Args:
        values: the model's figure under each seed.
        popularity: popularity's, same seeds, same order.
        oracle: the oracle's, same seeds, same order.
    """
    rows = zip(values, popularity, oracle, strict=True)
    return t_interval([share_of_learnable(*row) for row in rows])


def with_intervals(rows: Sequence[Mapping[str, float]], digits: int = 2) -> pd.Series:
    """Mean and 95 % t-interval of each figure over seeds, as text.

    Args:
        rows: one a seed, name → figure.
        digits: decimals.
    """
    return pd.Series(
        {name: t_interval([row[name] for row in rows]).text(digits) for name in rows[0]}
    )


def check_figures(values: Sequence[float]) -> np.ndarray:
    """`[n]` float64, two or more, all finite; else a ValueError says what is wrong."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"values has shape {array.shape}; an interval needs two figures or more")
    if not np.isfinite(array).all():
        raise ValueError(f"values contains {array[~np.isfinite(array)][0]}; all must be finite")
    return array
