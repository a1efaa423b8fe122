"""A long run in pieces: each is worked out once and kept; a killed run goes on where it stopped.

A run is a class. Its pieces are methods marked `@piece`, which call one another; its `figures`
calls those that the record wants. Nothing else says which piece needs which: a process that works
one out and calls another that is not there yet gets a promise, and where the code looks into it,
the piece is put aside until the promise is kept. So a piece asks for what it needs before its own
work.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import torch
from tqdm.auto import tqdm

from recsys_book.machine import cores, keep_freed_memory, use_threads
from recsys_book.reproduce.record import commit, writable_place

Key = tuple  # (name of the method, *its arguments)


def piece(method: Callable) -> Callable:
    """A method whose value is worked out once for each set of arguments, and kept.

    Arguments are plain values, given by position; the value can be pickled.
    """

    @functools.wraps(method)
    def ask(self: Pieces, *arguments: Any) -> Any:
        return self.ask(method, (method.__name__, *arguments))

    return ask


class Pieces:
    """A run: its methods marked `@piece` are its pieces, and `figures` what the record holds.

    Args:
        store: where finished pieces are kept; in memory by default, and a piece that is missing is
            then worked out where it is called.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store | Memory = Memory() if store is None else store
        self._at_work: Key | None = None  # of a process of a run: what it is to work out, no other
        self._promised: list[Key] = []

    def figures(self) -> dict:
        """What the record holds; fits into JSON, tables as `record.table` makes them."""
        raise NotImplementedError

    def ask(self, method: Callable, key: Key) -> Any:
        """The value of a piece, or a promise of it."""
        _check_plain(key)
        if key in self.store:
            return self.store[key]
        if self._at_work is None or key == self._at_work:
            return self.store.keep(key, lambda: self._whole(method, key))
        self._promised.append(key)
        return Promise()

    def _whole(self, method: Callable, key: Key) -> Any:
        """What a piece is, unless a promise went into it, whatever became of that on the way."""
        value = method(self, *key[1:])
        if self._promised:
            raise NotYet
        return value

    def attempt(self, key: Key) -> tuple[Any, list[Key]]:
        """The value of a piece, or of ("figures",); or None and the pieces that it waits for."""
        self._at_work, self._promised = key, []
        try:
            value = getattr(self, key[0])(*key[1:])
        except NotYet:
            if not self._promised:
                raise RuntimeError(f"{key} looked into a promise of an attempt before") from None
            value = None
        except Exception:
            if not self._promised:
                raise
            value = None  # a promise led it astray; what is a mistake comes up again
        finally:
            self._at_work = None
        return (None, self._promised) if self._promised else (value, [])


def _check_plain(key: Key) -> None:
    """Arguments decide where a piece is kept: they must read alike in every process."""

    def plain(value: Any) -> bool:
        if isinstance(value, tuple):
            return all(map(plain, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return all(plain(getattr(value, field.name)) for field in dataclasses.fields(value))
        return value is None or type(value) in (str, int, float, bool, Promise)

    for value in key[1:]:
        if type(value) is not Promise and not plain(value):
            raise ValueError(
                f"{key[0]} is asked for with a {type(value).__name__}; arguments must be "
                "texts, numbers of Python, truth values, None, or tuples and dataclasses of them"
            )


class NotYet(BaseException):
    """Looked into a promise; no Exception, so that nobody on the way takes it for a failure."""


class Promise:
    """The value of a piece that is not there yet. It may be passed on; looking into it ends the
    attempt, which is made again when all that was promised by then is there."""

    def __getattr__(self, name: str) -> Any:
        raise NotYet


def wait_for(*values: Any) -> None:
    """Put a piece aside until all these are there: before its own work, or to have pieces worked
    out side by side that are looked into one by one."""
    if any(type(value) is Promise for value in values):
        raise NotYet


def _look(self: Promise, *_: Any) -> Any:
    raise NotYet


for _name in (
    "iter len bool int float index str repr format reduce eq ne lt le gt ge hash getitem "
    "contains call add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow "
    "rpow neg abs round and rand or ror array reduce_ex"
).split():
    setattr(Promise, f"__{_name}__", _look)


# ---------------------------------------------------------------- where pieces are kept


class Memory(dict):
    """Pieces of a run that is tried out: kept as long as it lives."""

    def keep(self, key: Key, make: Callable[[], Any]) -> Any:
        """Work it out."""
        self[key] = make()
        return self[key]


class Store:
    """Pieces in a folder beside the record, those of other code in a folder of their own.

    There is no way to take a piece of other code: the folder is named by the digest, and a process
    whose code has another does not begin.

    Args:
        name: of the run.
        digest: of the code and the settings that the pieces depend on.
    """

    def __init__(self, name: str, digest: str) -> None:
        record = writable_place(name)
        self.every = record.with_name(f".{record.stem}.pieces")
        self.folder = self.every / digest
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: Key) -> Path:
        """Where a piece is kept: its words, and a digest of them, as two may look alike."""
        words = re.sub(r"[^\w.=-]+", "_", " ".join(map(str, key)))[:80]
        return self.folder / f"{words}.{hashlib.sha256(repr(key).encode()).hexdigest()[:10]}.joblib"

    def __contains__(self, key: Key) -> bool:
        return self.path(key).is_file()

    def __getitem__(self, key: Key) -> Any:
        return _load(self.path(key))["value"]

    def keep(self, key: Key, make: Callable[[], Any]) -> Any:
        """Work a piece out, and keep it with the seconds it took and the commit.

        "processor_seconds" do not count while the run was made to wait.
        """
        began, busy = time.perf_counter(), time.process_time()
        value = make()
        kept = {
            "value": value,
            "seconds": time.perf_counter() - began,
            "processor_seconds": time.process_time() - busy,
            "commit": commit(),
        }
        path = self.path(key)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        joblib.dump(kept, partial)
        os.replace(partial, path)  # a kill in between leaves no half a piece
        return value

    def sums(self) -> dict:
        """What all finished pieces took together: "seconds", "processor_seconds", "n" of them, and
        "commits": commit → pieces it made."""
        every = [_load(f) for f in sorted(self.folder.glob("*.joblib"))]
        kinds = ("seconds", "processor_seconds")
        took: dict = {kind: round(sum(piece[kind] for piece in every), 1) for kind in kinds}
        commits = Counter(piece["commit"] for piece in every)
        return took | {"n": len(every), "commits": dict(commits)}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process of this machine works on the run meanwhile.

        Raises:
            ValueError: one does.
        """
        mark = self.every / "at-work.txt"
        if mark.is_file() and _is_alive(other := int(mark.read_text() or 0)):
            raise ValueError(f"process {other} is at work on this run already, in {self.every}")
        mark.write_text(str(os.getpid()))
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def finish(self) -> None:
        """Throw the pieces away, those of other code too; the record is written."""
        shutil.rmtree(self.every)


def _load(path: Path) -> dict:
    try:
        return joblib.load(path)
    except Exception as error:  # whatever half a file leads to
        path.unlink(missing_ok=True)
        raise ValueError(f"{path} was damaged and is thrown away; begin the run again") from error


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (OSError, OverflowError):
        return False
    return process > 0


# ---------------------------------------------------------------- working them out


def work_out(
    make_worker: Callable[[Store], Pieces], store: Store, workers: int | None = None
) -> dict:
    """The figures of a run, one process a core: on small models that is quicker than one on all.

    Args:
        make_worker: called once in each process, a class or function of a module.
        store: where pieces are kept.
        workers: processes; by default as many as there are cores, one where a GPU is at hand.

    Raises:
        ValueError: pieces wait for each other.
    """
    workers = workers or (1 if torch.cuda.is_available() else cores())
    run = make_worker(store)
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    context = multiprocessing.get_context("spawn")
    bar = tqdm(total=0, unit="piece", disable=quiet)
    pool = ProcessPoolExecutor(workers, context, _begin, (make_worker, store))
    try:
        while True:
            figures, asked = run.attempt(("figures",))
            if not asked:
                return figures
            _keep_promises(pool, workers, asked, bar)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()  # what others are at need not end first
        raise
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)


def _keep_promises(
    pool: ProcessPoolExecutor, workers: int, asked: Iterable[Key], bar: tqdm
) -> None:
    """Work out pieces, and what they turn out to need."""
    # By how they are written: to Python 1 and True are one key, and kept they are two pieces.
    keys = {repr(key): key for key in asked}
    needs: dict[str, set[str]] = {name: set() for name in keys}  # still to be begun
    done: set[str] = set()
    running: dict[Future, str] = {}
    bar.total += len(keys)
    while needs or running:
        for name in [name for name, first in needs.items() if first <= done]:
            if len(running) == workers:
                break
            del needs[name]
            running[pool.submit(_work_out, keys[name])] = name
        if not running:
            raise ValueError(f"pieces wait for each other: {sorted(needs)}")
        bar.set_postfix_str("; ".join(running.values()))
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running[future]
            try:
                waits = future.result()  # an error in a worker ends the run
            except BrokenProcessPool as error:
                raise RuntimeError(f"a process ended at one of {list(running.values())}") from error
            del running[future]
            if not waits:
                done.add(name)
                bar.update()
                continue
            new = {repr(key): key for key in waits if repr(key) not in keys}
            bar.total += len(new)
            keys |= new
            needs = {other: set() for other in new} | needs | {name: {repr(key) for key in waits}}


_worker: Pieces


def _begin(make_worker: Callable[[Store], Pieces], store: Store) -> None:
    global _worker
    os.environ["TQDM_DISABLE"] = "1"  # one bar is enough
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_threads(1)
    torch.set_flush_denormal(True)  # weights that a penalty drove to nothing slow everything down
    keep_freed_memory()
    _worker = make_worker(store)


def _work_out(key: Key) -> list[Key]:
    """What the piece waits for; nothing where it is kept now."""
    return _worker.attempt(key)[1]


def _end_with_parent() -> None:
    """A run that is killed takes its workers along: they would go on for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
