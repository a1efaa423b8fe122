"""Checks of arguments, shared by the whole package.

Each raises one ValueError that names the argument, the value found and the rule it breaks. Nothing
is clipped or repaired in silence.

**Nothing at all** is no mistake where the answer can be as empty as the question. For a batch of
nobody a sampler gives `[0, n]`, a search `[0, k]`, a model's forward `[0]`, and a metric with a
value per user no value. A mean over nothing does not exist: what would be one (a loss, a pointwise
metric, a report over users) raises a ValueError.
"""

from __future__ import annotations

import numbers

import numpy as np
import torch
from torch import Tensor

LONGEST = 80  # characters of a value in a message


def check_ids(name: str, ids: Tensor, n: int) -> None:
    """Raise unless every entry of `ids` is an integer in 0..n−1.

    Args:
        name: the argument's name, for the message.
        ids: integer tensor of any shape; may be empty.
        n: number of ids that exist.
    """
    if ids.dtype not in (torch.int64, torch.int32):
        # float32 holds integers exactly only up to 2**24: larger ids would run together.
        raise ValueError(f"{name} has dtype {ids.dtype}; ids must be int64 (or int32)")
    if ids.numel() == 0:
        return
    low, high = (int(v) for v in torch.aminmax(ids))
    if low < 0 or high >= n:
        bad = low if low < 0 else high
        raise ValueError(f"{name} contains {bad}; ids must run from 0 to {n - 1}")


LONGEST = 80  # characters of a value in a message


class NotFinite(ValueError):
    """A figure that is no number, or endless."""


def check_finite(name: str, values: Tensor, allow_minus_inf: bool = False) -> None:
    """Raise if `values` contains NaN or an infinity (−inf may be allowed: an absent candidate)."""
    if torch.isnan(values).any():
        where = tuple(int(i) for i in torch.isnan(values).nonzero()[0])
        raise NotFinite(f"{name} contains NaN at {where}; every value must be a number")
    bad = torch.isposinf(values) if allow_minus_inf else torch.isinf(values)
    if bad.any():
        where = tuple(int(i) for i in bad.nonzero()[0])
        raise NotFinite(f"{name} contains {float(values[where])} at {where}; it must be finite")


def check_k(k: int, n_candidates: int) -> None:
    """Raise unless the cut-off satisfies 1 <= k <= n_candidates."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise ValueError(f"k is {k!r}; it must be a whole number")
    if k < 1 or k > n_candidates:
        raise ValueError(f"k is {k}; it must lie between 1 and the {n_candidates} candidates")


def check_positive(name: str, value: float, zero_allowed: bool = False) -> None:
    """Raise unless `value` is a number above zero (or at zero, where that is allowed)."""
    if not value >= 0 or (value == 0 and not zero_allowed) or value == float("inf"):
        rule = "0 or more" if zero_allowed else "above 0"
        raise ValueError(f"{name} is {value!r}; it must be {rule}")


def check_whole(name: str, value: int, low: int = 1) -> None:
    """Raise unless `value` is a whole number, `low` or more (numpy's too, but no boolean)."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, {low} or more")


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Raise unless the two tensors have one shape: silent broadcasting hides mistakes."""
    if a.shape != b.shape:
        raise ValueError(
            f"{name_a} has shape {tuple(a.shape)} and {name_b} {tuple(b.shape)}; "
            "they must be the same"
        )


def shown(value: object) -> str:
    """A value as a person would write it, at most a line of it."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
