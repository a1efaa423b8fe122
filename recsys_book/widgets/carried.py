"""What a widget may carry to the page, and what may be set: the same rules for every widget.

What a widget holds goes to the page as JSON, which knows no NaN and no infinity: a page that meets
one shows nothing at all, and says nothing. So both are refused here, before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets


class Refused(ValueError, traitlets.TraitError):
    """A value that a widget cannot take. As a TraitError it makes a widget go back to what it was,
    also where several things are set at once."""


def check_carried(name: str, value: Any) -> Any:
    """Raise unless the page can read it: finite numbers, texts, None, lists, and dicts by texts.

    Args:
        name: the argument's name, for the message.
        value: what would be sent.

    Returns:
        the value.
    """
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(f"{name} is {value}; it must be a finite number, as JSON has no other")
    elif isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise Refused(f"{name} has the key {key!r}; a key must be a text")
            check_carried(f"{name}[{key!r}]", part)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            check_carried(f"{name}[{i}]", part)
    else:
        raise Refused(
            f"{name} is of type {type(value).__name__}; it must be a number, a text, a list or a "
            "dict, as JSON has nothing else"
        )
    return value


def check_place(name: str, value: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Raise unless value holds one whole number 0..n−1 for each n of sizes.

    Returns:
        it, as a list of plain integers.
    """
    fits = len(value) == len(sizes) and all(
        _whole(i) and 0 <= i < n for i, n in zip(value, sizes, strict=True)
    )
    if not fits:
        raise Refused(
            f"{name} is {list(value)}; it must be a place on {list(sizes)}, each counted from 0"
        )
    return [int(i) for i in value]


def check_ids_of(name: str, value: Sequence[int], n: int) -> list[int]:
    """Raise unless value holds whole numbers 0..n−1, any number of them; else as plain integers."""
    for i in value:
        if not _whole(i) or not 0 <= i < n:
            raise Refused(f"{name} contains {i!r}; ids run from 0 to {n - 1}")
    return [int(i) for i in value]


def check_between(name: str, value: int, low: int, high: int | None = None) -> int:
    """Raise unless value is a whole number from low to high (or without an upper end)."""
    if not _whole(value) or value < low or (high is not None and value > high):
        rule = f"{low} or more" if high is None else f"{low} to {high}"
        raise Refused(f"{name} is {value!r}; it must be {rule}")
    return int(value)


def check_title(title: str) -> str:
    """Raise unless there is a title, for readers and for screen readers."""
    if not isinstance(title, str) or not title.strip():
        raise Refused("title is empty; say in words what the widget shows")
    return title


def _whole(value: Any) -> bool:
    """A whole number of any kind; True is none."""
    if isinstance(value, (bool, np.bool_)):
        return False
    try:
        return int(value) == value
    except (TypeError, ValueError, OverflowError):
        return False
