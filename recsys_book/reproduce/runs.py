"""Finding the runs of the rooms, and making their records."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from recsys_book import rooms
from recsys_book.machine import has_bfloat16
from recsys_book.reproduce.pieces import Pieces, Store, work_out
from recsys_book.reproduce.record import Run, changed, code_of_run, read_record, writable_place


def runs() -> dict[str, str]:
    """Run → the module that works it out: for `ch03/paper`, `runs_paper` in the room ch03_neumf."""
    found = {}
    for room, folder in rooms.rooms().items():
        for path in sorted((rooms.chapters() / folder).iterdir(), key=lambda path: path.name):
            stem, _, kind = path.name.rpartition(".")
            if kind == "py" and stem.startswith("runs_"):
                run = f"{room}/{stem.removeprefix('runs_')}"
                found[run] = f"recsys_book.chapters.{folder}.{stem}"
    return found


def remake(name: str, workers: int | None = None) -> Path:
    """Work a run out, or go on with it, and write its record.

    Args:
        name: such as "ch03/paper".
        workers: processes of a run in pieces; by default what the run says, or a process a core;
            0 for all of it in this one, which is for tests.

    Returns:
        the record's path.

    Raises:
        ValueError: no such run, or its record cannot be written.
    """
    module, code = module_of(name), code_of_run(name)
    writable_place(name)
    getattr(module, "ready", lambda: None)()
    run = Run(name, seeds_of(module), code)
    if hasattr(module, "Work"):
        store = Store(name, digest(code, settings_of(module)))
        with store.alone():
            if workers == 0:
                figures = module.Work(store).figures()
            else:
                worker = functools.partial(make_worker, name, digest(code))
                figures = work_out(worker, store, workers or getattr(module, "WORKERS", None))
            path = run.write(figures, store.sums())
        store.finish()
    else:
        figures = module.figures()
        path = run.write(figures)
    getattr(module, "report", lambda figures: None)(figures)
    return path


def make_worker(name: str, expected: str, store: Store) -> Pieces:
    """A process's own copy of a run.

    Raises:
        ValueError: the code has changed since the run began.
    """
    if digest(code_of_run(name)) != expected:
        raise ValueError(f"the code of {name} has changed since the run began; begin it again")
    return module_of(name).Work(store)


def module_of(name: str) -> ModuleType:
    """The module of a run.

    Raises:
        ValueError: no such run.
    """
    if name not in runs():
        raise ValueError(f"name is {name!r}; the runs are {', '.join(runs())}")
    return import_module(runs()[name])


def settings_of(module: ModuleType) -> dict:
    """What pieces depend on besides the code: versions, the processor, and what the run names in
    `settings()`."""
    versions = {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}
    python = ".".join(platform.python_version_tuple()[:2])
    named = getattr(module, "settings", dict)()
    return versions | {"python": python, "bfloat16": has_bfloat16()} | named


def digest(code: Mapping[str, str], settings: Mapping | None = None) -> str:
    """One for all files, and settings where there are some."""
    code = code if settings is None else {**code, "settings": repr(sorted(settings.items()))}
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:16]


def seeds_of(module: ModuleType) -> list[int]:
    """Every seed that a run names in SEEDS: a tuple, or one for each size or the like."""
    seeds = module.SEEDS
    groups = seeds.values() if isinstance(seeds, Mapping) else [seeds]
    return sorted({seed for group in groups for seed in group})


def stale() -> dict[str, list[str] | None]:
    """Run → files whose code has changed since its record; all that lacks a record, or whose record
    does not tell its code: None. Runs whose record is current are not among them."""
    found: dict[str, list[str] | None] = {}
    for name in runs():
        try:
            files = changed(read_record(name))
        except ValueError:
            files = None
        if files != []:
            found[name] = files
    return found


def records_of(name: str) -> set[str]:
    """The other records that a run reads."""
    mark = "record "
    return {file.removeprefix(mark) for file in code_of_run(name) if file.startswith(mark)}


def hours(name: str) -> float | None:
    """Core hours that a run took when it was recorded; None where there is no record."""
    try:
        record = read_record(name)
    except ValueError:
        return None
    return record.get("pieces", {}).get("processor_seconds", record["seconds"]) / 3600
