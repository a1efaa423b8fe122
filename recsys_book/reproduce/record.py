"""Writing and reading the records of long runs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import tempfile
import time
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path

import torch

from recsys_book import rooms

PACKAGE = Path(__file__).parents[1]
#: Names a folder for records of a reader's own; reading looks there first.
RESULTS_VARIABLE = "RECSYS_BOOK_RESULTS"
PROVENANCE = ("command", "commit", "date", "machine", "seconds", "seeds", "figures")


def shipped(name: str) -> Traversable:
    """Where a record of the book is, by name such as "ch03/paper"; it comes with the package.

    Raises:
        ValueError: the name is no room and run.
    """
    room, run = rooms.split(name)
    return rooms.chapters() / room / "records" / f"{run}.json"


def place(name: str) -> Path:
    """Where a run writes its record: in $RECSYS_BOOK_RESULTS, or in its room of the checkout.

    Args:
        name: of the run, such as "ch03/paper".

    Raises:
        ValueError: the name is no room and run. Or the package is installed without its checkout,
            and the variable is not set: what is written among installed packages is lost with the
            next upgrade. Or the variable names something that is no folder.
    """
    room, run = rooms.split(name)
    if chosen := os.environ.get(RESULTS_VARIABLE):
        folder = Path(chosen).expanduser()
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{RESULTS_VARIABLE} is {chosen!r}; it must name a folder")
        return folder / rooms.short(room) / f"{run}.json"
    if not _in_checkout(PACKAGE):
        raise ValueError(
            f"{RESULTS_VARIABLE} is not set, and recsys-book is installed in {PACKAGE.parent}, "
            f"without its repository; set {RESULTS_VARIABLE} to the folder that this run may write"
        )
    return PACKAGE / "chapters" / room / "records" / f"{run}.json"


def _in_checkout(package: Path) -> bool:
    return (package.parent / "pyproject.toml").is_file()


def writable_place(name: str) -> Path:
    """`place(name)` in a folder that is there; asked before a run, so that no work is lost.

    Raises:
        ValueError: as `place`, or nothing can be written there.
    """
    path = place(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"the results folder {path.parent} cannot be written ({error.strerror}); "
            f"set {RESULTS_VARIABLE} to one that can"
        ) from error
    return path


class Run:
    """Times a run and writes its record.

    Args:
        name: of the run and its record, such as "ch03/paper".
        seeds: used.
    """

    def __init__(self, name: str, seeds: list[int]) -> None:
        self.path, self.command, self.seeds = writable_place(name), command(name), seeds
        self.start, self.commit = time.perf_counter(), commit()  # files may change while it runs

    def write(self, figures: dict, pieces: dict | None = None) -> Path:
        """Write the record, whole or not at all, and return its path.

        Args:
            figures: what was found.
            pieces: `Cells.sums()` of a run that may have been resumed. Its seconds are then those
                of all pieces, whichever run made them, and the commits that made them are told.
        """
        record = {
            "command": self.command,
            "commit": self.commit,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "seconds": round((pieces or {}).get("seconds", time.perf_counter() - self.start), 1),
            "seeds": self.seeds,
            "figures": figures,
        } | ({"pieces": pieces} if pieces else {})
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, self.path)
        return self.path


def command(name: str) -> str:
    """What repeats a run."""
    return f"python -m recsys_book.reproduce {name}"


def read_record(name: str) -> dict:
    """A recorded run by name: a reader's own where $RECSYS_BOOK_RESULTS holds it, else the book's.

    Args:
        name: such as "ch03/paper".

    Returns:
        the record with its name; the command in it is what made it at its commit.

    Raises:
        ValueError: no such record, a package without records, or a record that lacks a part of its
            provenance.
    """
    path = shipped(name)
    if os.environ.get(RESULTS_VARIABLE) and (own := place(name)).is_file():
        path = own
    if not path.is_file():
        known = recorded()
        if not known:
            raise ValueError(
                f"name is {name!r}, and recsys-book {version('recsys-book')} is installed without "
                f"its records ({rooms.chapters()} holds none); install the package again"
            )
        raise ValueError(
            f"name is {name!r}; the records are {', '.join(known)}. "
            "`python -m recsys_book.reproduce --help` names the runs that make them"
        )
    record = json.loads(path.read_text(encoding="utf-8"))
    missing = [part for part in PROVENANCE if part not in record]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return record | {"name": name}


def recorded() -> list[str]:
    """Names of the records that come with the package."""
    names = []
    for room, folder in rooms.rooms().items():
        inside = rooms.chapters() / folder / "records"
        files = [p.name for p in inside.iterdir()] if inside.is_dir() else []
        names += [f"{room}/{n.removesuffix('.json')}" for n in sorted(files) if _is_record(n)]
    return names


def _is_record(file: str) -> bool:
    return file.endswith(".json") and not file.startswith(".")


def provenance(record: dict) -> str:
    """Three short lines on where a record comes from, for the notebook to print."""
    commits, took = record["commit"], f"in {record['seconds']:.0f} s"
    if "pieces" in record:
        pieces = record["pieces"]
        commits = ", ".join(sorted({*pieces["commits"], commits}))
        took = f"{pieces['n']} pieces that took {pieces['processor_seconds'] / 3600:.1f} core hours"
    return (
        f"recorded {record['date']} at commit {commits}, {took}\n"
        f"on {record['machine']}\n"
        f"repeat with: {command(record['name'])}"
    )


def machine() -> str:
    """Cores, kind of processor, GPU if any, versions: what a time means nothing without."""
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return gpu + (
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def commit() -> str:
    """The commit the code stood at, with + where files had changed since; "unknown" in a wheel."""
    if not _in_checkout(PACKAGE):
        return "unknown"  # a repository around installed packages is not the book's
    try:
        here = Path(__file__).parent
        git = lambda *a: subprocess.run(
            ["git", *a], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        return git("rev-parse", "--short=10", "HEAD") + (
            "+" if git("status", "--porcelain", "--", str(here.parent)) else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
