"""Writing and reading the records of long runs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import torch

#: Names a folder other than book/results, for records of a reader's own.
RESULTS_VARIABLE = "RECSYS_BOOK_RESULTS"
PROVENANCE = ("command", "commit", "date", "machine", "seconds", "seeds", "figures")


def results_folder() -> Path:
    """book/results of the repository this package was installed from, or $RECSYS_BOOK_RESULTS."""
    chosen = os.environ.get(RESULTS_VARIABLE)
    return Path(chosen) if chosen else Path(__file__).parents[2] / "book" / "results"


class Run:
    """Times a run and writes its record.

    Args:
        name: of the record.
        command: what repeats it, one line.
        seeds: used.
    """

    def __init__(self, name: str, command: str, seeds: list[int]) -> None:
        self.name, self.command, self.seeds = name, command, seeds
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
        path = results_folder() / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, path)
        return path


def read_record(name: str) -> dict:
    """A recorded run by name.

    Raises:
        ValueError: no such record, or one that lacks a part of its provenance.
    """
    path = results_folder() / f"{name}.json"
    if not path.is_file():
        known = sorted(p.stem for p in results_folder().glob("*.json"))
        raise ValueError(
            f"name is {name!r}; {results_folder()} holds {', '.join(known) or 'no record'}. "
            "`python -m recsys_book.reproduce --help` names the runs that make them"
        )
    record = json.loads(path.read_text(encoding="utf-8"))
    missing = [part for part in PROVENANCE if part not in record]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return record


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
    """The commit the code stood at, with + where files had changed since."""
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
