"""Writing and reading the records of long runs."""

from __future__ import annotations

import datetime
import hashlib
import html
import json
import math
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recsys_book import rooms
from recsys_book.reproduce.closure import code_of, records_named

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
        code: file → digest, of `closure.code_of`.
    """

    def __init__(self, name: str, seeds: Sequence[int], code: Mapping[str, str]) -> None:
        self.path, self.command = writable_place(name), command(name)
        self.seeds, self.code = list(seeds), dict(code)
        self.start, self.commit = time.perf_counter(), commit()  # files may change while it runs

    def write(self, figures: Mapping, pieces: Mapping | None = None) -> Path:
        """Write the record, whole or not at all, and return its path.

        Args:
            figures: what was found; tables as `table` makes them.
            pieces: `Store.sums()` of a run that may have been resumed. Its seconds are then those
                of all pieces, whichever run made them.
        """
        record = {
            "command": self.command,
            "commit": self.commit,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "seconds": round((pieces or {}).get("seconds", time.perf_counter() - self.start), 1),
            "seeds": self.seeds,
            "code": self.code,
            "figures": figures,
        } | ({"pieces": pieces} if pieces else {})
        if found := _no_json(figures, "figures"):
            raise ValueError(f"{found[0]} is {found[1]!r}; a record holds texts and finite numbers")
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, self.path)
        return self.path


def _no_json(value: object, place: str) -> tuple[str, object] | None:
    """Where something stands that JSON has not, and what it is."""
    if isinstance(value, Mapping):
        parts = [(f"{place}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{place}[{i}]", part) for i, part in enumerate(value)]
    else:
        plain = value is None or isinstance(value, str | bool | int)
        fine = plain or (isinstance(value, float) and math.isfinite(value))
        return None if fine else (place, value)
    return next(filter(None, (_no_json(part, where) for where, part in parts)), None)


def table(frame: pd.DataFrame) -> dict:
    """A table for a record: one row an observation, its index no part of it; `read_table` is the
    way back.

    Raises:
        ValueError: a figure is no number that JSON has.
    """
    if not np.isfinite(frame.select_dtypes("number").to_numpy(float)).all():
        raise ValueError("frame has a figure that is not finite")
    rows = [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return {"columns": list(map(str, frame.columns)), "data": rows}


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def read_table(record: Mapping, name: str) -> pd.DataFrame:
    """A table of a record.

    Args:
        record: of `read_record`.
        name: of the table among its figures.

    Raises:
        ValueError: no such table.
    """
    found = record["figures"].get(name)
    if not (isinstance(found, dict) and set(found) == {"columns", "data"}):
        tables = [k for k, v in record["figures"].items() if isinstance(v, dict) and "data" in v]
        raise ValueError(f"name is {name!r}; the tables of {record['name']} are {tables}")
    return pd.DataFrame(**found)


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
    """Short lines on where a record comes from, for the notebook to print."""
    commits, took = [record["commit"]], f"in {record['seconds']:.0f} s"
    if "pieces" in record:
        pieces = record["pieces"]
        commits = sorted({*pieces["commits"], *commits})
        took = f"{pieces['n']} pieces that took {pieces['processor_seconds'] / 3600:.1f} core hours"
    return (
        f"recorded {record['date']} at commit {', '.join(commits)}, {took}\n"
        f"on {record['machine']}\n"
        f"{state(record)}\n"
        f"repeat with: {command(record['name'])}"
    )


class Badge:
    """ "recorded", a small word on the page that opens to where the figures come from."""

    def __init__(self, record: dict) -> None:
        self.text = provenance(record)
        self.current = changed(record) == []

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        word = "recorded" if self.current else "recorded earlier"
        lines = html.escape(self.text).replace("\n", "<br>")
        return (
            f'<details class="recorded"><summary title="where these numbers come from">{word}'
            f'</summary><div class="recorded-lines">{lines}</div></details>'
        )


def badge(record: dict) -> Badge:
    """Where a record comes from, folded, for the notebook to show beside its figures."""
    return Badge(record)


def changed(record: Mapping) -> list[str] | None:
    """Files whose code is not what the record was made with; None where it does not tell.

    What the run imports by now and did not then is among them, and what it imported and is gone.
    """
    if "code" not in record:
        return None
    now, then = code_of_run(record["name"]), record["code"]
    return sorted(file for file in {*now, *then} if now.get(file) != then.get(file))


def code_of_run(name: str) -> dict[str, str]:
    """What a run depends on: files of the package, and other records that it reads, → digest.

    Raises:
        ValueError: the name is no room and run.
    """
    room, run = rooms.split(name)
    module = PACKAGE / "chapters" / room / f"runs_{run}.py"
    if not module.is_file():
        return {}
    found = code_of(module)
    others = {other for file in found for other in records_named_in(PACKAGE / file)} - {name}
    for other in sorted(others):
        figures = json.dumps(read_record(other)["figures"], sort_keys=True)
        found[f"record {other}"] = hashlib.sha256(figures.encode()).hexdigest()[:12]
    return found


def records_named_in(file: Path) -> set[str]:
    """Records that a file of the package reads by name."""
    return records_named(file.read_text(encoding="utf-8")) if file.suffix == ".py" else set()


def state(record: Mapping) -> str:
    """Whether the code is still what the record was made with, in words."""
    files = changed(record)
    if files is None:
        mixed = len(record.get("pieces", {}).get("commits", ())) > 1
        joined = "put together from pieces of several commits, " if mixed else ""
        return f"{joined}before records kept a digest of their code"
    if not files:
        return "with the code as it is"
    names = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return f"the code has changed since: {names}"


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
        # Records of other runs may be new: what this one depends on of them is in its digest.
        code = (str(here.parent), f":(exclude){here.parent / 'chapters' / '*' / 'records' / '*'}")
        changed = git("status", "--porcelain", "--", *code)
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
