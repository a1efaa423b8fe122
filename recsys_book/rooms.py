"""One room a chapter: the folders in `recsys_book/chapters`, and what they are called for short.

`ch03_neumf` is the room of the chapter in `chapters/03_neumf.ipynb`; for short it is `ch03`, and
its recorded run `ch03/paper` is `runs_paper.py` there, with its record in `records/paper.json`.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable


def chapters() -> Traversable:
    """The folder of the rooms, as it is installed."""
    return resources.files("recsys_book") / "chapters"


def rooms() -> dict[str, str]:
    """short name → folder's name, in the order of the book, the rooms without a number last."""
    inside = chapters()
    folders = [p.name for p in inside.iterdir() if p.is_dir()] if inside.is_dir() else []
    return {short(name): name for name in sorted(folders, key=_order) if name[0] not in "_."}


def short(folder: str) -> str:
    """`ch03_neumf` → `ch03`; a name without a number stays."""
    numbered = re.match(r"ch\d\d(?=_)", folder)
    return numbered[0] if numbered else folder


def split(name: str) -> tuple[str, str]:
    """`ch03/paper` → the folder of its room, and `paper`.

    Raises:
        ValueError: it is no room and run, or there is no such room.
    """
    found = re.fullmatch(r"(\w+)/(\w+)", name) if isinstance(name, str) else None
    if not found:
        raise ValueError(f"name is {name!r}; it must be a room and a run, such as 'ch03/paper'")
    known = rooms()
    if found[1] not in known:
        raise ValueError(f"name is {name!r}; the rooms are {', '.join(known)}")
    return known[found[1]], found[2]


def _order(folder: str) -> tuple[bool, str]:
    return (short(folder) == folder, folder)
