"""Writing and reading the records of long runs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import tempfile
import time
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path

import torch

#: Names a folder for records of a reader's own; reading looks there first.
RESULTS_VARIABLE = "RECSYS_BOOK_RESULTS"
PROVENANCE = ("command", "commit", "date", "machine", "seconds", "seeds", "figures")


def shipped() -> Traversable:
    """The folder of the records that come with the package."""
    return resources.files("recsys_book") / "records"


def results_folder() -> Path:
    """Where runs write: $RECSYS_BOOK_RESULTS, or the records of the checkout this package is in.

    Raises:
        ValueError: the package is installed without its checkout, and the variable is not set: what
            is written among installed packages is lost with the next upgrade. Or the variable names
            something that is no folder.
    """
    if chosen := os.environ.get(RESULTS_VARIABLE):
        folder = Path(chosen).expanduser()
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{RESULTS_VARIABLE} is {chosen!r}; it must name a folder")
        return folder
    package = Path(__file__).parents[1]
    if not _in_checkout(package):
        raise ValueError(
            f"{RESULTS_VARIABLE} is not set, and recsys-book is installed in {package.parent}, "
            f"without its repository; set {RESULTS_VARIABLE} to the folder that this run may write"
        )
    return package / "records"


def _in_checkout(package: Path) -> bool:
    return (package.parent / "pyproject.toml").is_file()


def writable_folder() -> Path:
    """`results_folder()`, made where it is missing; asked before a run, so that no work is lost.

    Raises:
        ValueError: as `results_folder`, or nothing can be written there.
    """
    folder = results_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"the results folder {folder} cannot be written ({error.strerror}); "
            f"set {RESULTS_VARIABLE} to one that can"
        ) from error
    return folder


class Run:
    """Times a run and writes its record.

    Args:
        name: of the record.
        command: what repeats it, one line.
        seeds: used.
    """

    def __init__(self, name: str, command: str, seeds: list[int]) -> None:
        self.name, self.command, self.seeds = name, command, seeds
        writable_folder()
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
        path = writable_folder() / f"{self.name}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, path)
        return path


def read_record(name: str) -> dict:
    """A recorded run by name: a reader's own where $RECSYS_BOOK_RESULTS holds it, else the book's.

    Raises:
        ValueError: no such record, a package without records, or a record that lacks a part of its
            provenance.
    """
    path = shipped() / f"{name}.json"
    if os.environ.get(RESULTS_VARIABLE) and (own := results_folder() / f"{name}.json").is_file():
        path = own
    if not path.is_file():
        known = sorted(p.name.removesuffix(".json") for p in _records(shipped()))
        if not known:
            raise ValueError(
                f"name is {name!r}, and recsys-book {version('recsys-book')} is installed without "
                f"its records ({shipped()} holds none); install the package again"
            )
        raise ValueError(
            f"name is {name!r}; the records are {', '.join(known)}. "
            "`python -m recsys_book.reproduce --help` names the runs that make them"
        )
    record = json.loads(path.read_text(encoding="utf-8"))
    missing = [part for part in PROVENANCE if part not in record]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return record


def _records(folder: Traversable) -> list[Traversable]:
    """The records in a folder; none where it is missing."""
    return [p for p in folder.iterdir() if p.name.endswith(".json")] if folder.is_dir() else []


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
        f"repeat with: {record['command']}"
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
    if not _in_checkout(Path(__file__).parents[1]):
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
