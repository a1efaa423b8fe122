"""A claim: one sentence, its figure, its interval; asserted, shown and recorded.

Every figure that the book reports stands in a claim, so that no number in the prose can drift from
the code that measured it. The record travels in the notebook cell's output under a MIME type of its
own, and the page of findings is read from there.
"""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recsys_book.metrics import share_of_learnable

MIME = "application/vnd.recsys-book.claim+json"


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
    array = _figures(values)
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
    array = _figures(values)
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


class Claim:
    """A claim that held; shows itself as a sentence and carries its record."""

    def __init__(self, record: dict) -> None:
        self.record = record

    def __repr__(self) -> str:
        text = f"{self.record['claim']}: {figure_text(self.record)}"
        if bounds := interval_text(self.record):
            n = "" if self.record["n"] is None else f", {self.record['n']:,} {self.record['over']}"
            text += f" (95 % interval {bounds}{n})"
        return text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        mark = '<span class="claim-mark" aria-hidden="true">✓</span>'
        body = html.escape(repr(self))
        here = anchor(self.record["claim"])
        return {
            "text/plain": f"✓ {self!r}",
            "text/html": f'<div class="claim" id="{here}">{mark} {body}</div>',
            MIME: self.record,
        }


def claim(
    sentence: str,
    value: float | Interval,
    interval: tuple[float, float] | None = None,
    holds: bool = False,
    *,
    n: int | None = None,
    digits: int = 3,
) -> Claim:
    """State a finding, and stop if the figures do not bear it out.

    Args:
        sentence: the finding in words, without a full stop.
        value: its figure, or an `Interval`, which brings its own bounds, its number of seeds, or
            of users where it is a bootstrap.
        interval: (low, high), where there is one.
        holds: the condition that the sentence stands for, worked out from the figures.
        n: number of seeds (or other repeats) behind the interval.
        digits: decimals shown.

    Returns:
        a Claim, which a notebook shows when it ends a cell.

    Raises:
        ValueError: a value that is not a number, bounds in the wrong order.
        AssertionError: `holds` is false.
    """
    over = "seeds"
    if isinstance(value, Interval):
        n, over, interval = value.n, value.over, (value.low, value.high)
        value = value.mean
    low, high = (None, None) if interval is None else (float(interval[0]), float(interval[1]))
    if math.isnan(value):
        raise ValueError(f"value is {value}; a claim needs a number")
    record = {
        "claim": sentence,
        "value": float(value),
        "low": low,
        "high": high,
        "n": n,
        "over": over,
        "holds": bool(holds),
        "digits": digits,
    }
    made = Claim(record)
    if not holds:
        raise AssertionError(f"the figures do not bear this out: {made!r}")
    check_record(record)
    return made


def figure_text(record: dict) -> str:
    """The figure as the claim shows it; three decimals where the record does not say how many."""
    return _number(record["value"], record.get("digits", 3))


def interval_text(record: dict) -> str:
    """ "low to high" as the claim shows it; empty where there is no interval."""
    if record["low"] is None:
        return ""
    low, high = (_number(record[bound], record.get("digits", 3)) for bound in ("low", "high"))
    return f"{low} to {high}"


def anchor(sentence: str) -> str:
    """Where a page shows the claim: the same for as long as the sentence stays the same."""
    return f"claim-{hashlib.sha256(sentence.encode()).hexdigest()[:8]}"


def records_in(notebook: Mapping) -> list[dict]:
    """Records of the claims in an executed notebook's outputs, in order.

    Args:
        notebook: as `json` or `nbformat` reads it.

    Raises:
        ValueError: a record that is broken; the cell is named, counted from 1.
    """
    records = []
    for number, cell in enumerate(notebook["cells"], start=1):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                try:
                    check_record(output["data"][MIME])
                except ValueError as error:
                    raise ValueError(f"cell {number}: {error}") from None
                records.append(dict(output["data"][MIME]))
    return records


def check_record(record: Mapping) -> None:
    """Raise a ValueError unless this is the record of a claim that held, and complete."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a claim's record is {record!r}; it must have names and values")
    if lacking := {"claim", "value", "low", "high", "n", "holds"} - set(record):
        raise ValueError(f"a claim's record lacks {', '.join(sorted(lacking))}: {dict(record)}")
    sentence, low, high = record["claim"], record["low"], record["high"]
    if not isinstance(sentence, str) or not sentence.strip():
        raise ValueError(f"claim is {sentence!r}; it must be a sentence")
    if not _is_number(record["value"]):
        raise ValueError(f"value is {record['value']!r} for “{sentence}”; it must be a number")
    if not (low is None and high is None):
        if not (_is_number(low) and _is_number(high) and low <= high):
            raise ValueError(
                f"the interval of “{sentence}” is {low!r} to {high!r}; low comes first"
            )
    if record["n"] is not None and not _is_count(record["n"], least=1):
        raise ValueError(f"n is {record['n']!r} for “{sentence}”; it must be 1 or more")
    if not _is_count(record.get("digits", 3), least=0):
        raise ValueError(f"digits is {record['digits']!r} for “{sentence}”; it must be 0 or more")
    if record["holds"] is not True:
        raise ValueError(f"holds is {record['holds']!r} for “{sentence}”; it must be true")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _figures(values: Sequence[float]) -> np.ndarray:
    """`[n]` float64, two or more, all finite."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"values has shape {array.shape}; an interval needs two figures or more")
    if not np.isfinite(array).all():
        raise ValueError(f"values contains {array[~np.isfinite(array)][0]}; all must be finite")
    return array


def _number(value: float, digits: int) -> str:
    """Fixed decimals; a power of ten where those would show nothing but zeros."""
    if value != 0 and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:,.{digits}f}".replace("-", "−")


def with_intervals(rows: Sequence[Mapping[str, float]], digits: int = 2) -> pd.Series:
    """Mean and 95 % t-interval of each figure over seeds, as text.

    Args:
        rows: one a seed, name → figure.
        digits: decimals.
    """
    return pd.Series(
        {name: t_interval([row[name] for row in rows]).text(digits) for name in rows[0]}
    )
