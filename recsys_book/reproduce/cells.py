"""A long run in pieces: what is finished is kept, and a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

import torch
from tqdm.auto import tqdm

from recsys_book.machine import cores, keep_freed_memory, use_threads
from recsys_book.reproduce.record import PACKAGE, commit, writable_place


class Cells:
    """The pieces of one run, kept in a folder beside the records until the record is written.

    Pieces that other code made are thrown away: the folder carries a digest of the package's source
    and of `identity`.

    Args:
        name: of the run.
        identity: what else the pieces depend on, such as the seeds.
    """

    def __init__(self, name: str, identity: object) -> None:
        record = writable_place(name)
        self.folder = record.with_name(f".{record.stem}.cells")
        mark = self.folder / "made-by.txt"
        digest = _digest(identity)
        if not mark.is_file() or mark.read_text(encoding="utf-8") != digest:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            mark.write_text(digest, encoding="utf-8")

    def get(self, key: str, make: Callable[[], dict]) -> dict:
        """What `make()` returns, from disk where this piece is finished already.

        Args:
            key: names the piece; `/` and spaces are fine.
            make: works the piece out; its dict must fit into JSON. "seconds" is added to it,
                "processor_seconds", which do not count while the run was made to wait, and the
                "commit" that made it.
        """
        path = self.path(key, "json")
        if path.is_file():
            value = json.loads(path.read_text(encoding="utf-8"))
        else:
            began, busy = time.perf_counter(), time.process_time()
            value = make()
            value["seconds"] = round(time.perf_counter() - began, 1)
            value["processor_seconds"] = round(time.process_time() - busy, 1)
            value["commit"] = commit()
            _whole(path, lambda partial: partial.write_text(json.dumps(value, allow_nan=False)))
        return value

    def keep(self, key: str, weights: dict) -> None:
        """Keep tensors for a later piece; call it before the piece that makes them ends."""
        _whole(self.path(key, "pt"), lambda partial: torch.save(weights, partial))

    def kept(self, key: str) -> dict:
        """What `keep` kept."""
        return torch.load(self.path(key, "pt"), weights_only=True)

    def path(self, key: str, kind: str) -> Path:
        """Where a piece is kept."""
        return self.folder / f"{key.replace('/', '-').replace(' ', '_')}.{kind}"

    def sums(self) -> dict:
        """What all finished pieces took together, whichever run made them.

        Returns:
            "seconds", "processor_seconds", "n" pieces, and "commits": commit → pieces it made.
        """
        every = [json.loads(f.read_text(encoding="utf-8")) for f in self.folder.glob("*.json")]
        kinds = ("seconds", "processor_seconds")
        took = {kind: round(sum(piece[kind] for piece in every), 1) for kind in kinds}
        commits = Counter(piece.get("commit", "unknown") for piece in every)
        return took | {"n": len(every), "commits": dict(commits)}

    def finish(self) -> None:
        """Throw the pieces away; the record is written."""
        shutil.rmtree(self.folder)


def in_processes(
    pieces: Mapping[tuple, Sequence[tuple]],
    make_worker: Callable[[], object],
    workers: int | None = None,
) -> None:
    """Work pieces out, one process a core: on small models that is quicker than one on all cores.

    Args:
        pieces: each with the pieces that must be finished before it, in the order of preference. A
            piece is a method of the worker and its arguments: ("world", 3).
        make_worker: called once in each process, a function of a module; what the worker's methods
            find they keep in Cells.
        workers: processes; by default as many as there are cores, one where a GPU is at hand.
    """
    workers = workers or (1 if torch.cuda.is_available() else cores())
    left, done, running = dict(pieces), set(), {}
    bar = tqdm(
        total=len(left), unit="piece", disable=os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (make_worker,)) as pool:
        while left or running:
            for piece in [p for p, needs in left.items() if done.issuperset(needs)]:
                if len(running) == workers:
                    break
                del left[piece]
                running[pool.submit(_work_out, piece)] = piece
            if not running:
                raise ValueError(f"pieces {list(left)} need pieces that there are not")
            bar.set_postfix_str("; ".join(" ".join(map(str, p)) for p in running.values()))
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()  # an error in a worker ends the run
                done.add(running.pop(future))
                bar.update()
    bar.close()


_worker: object = None  # of this process


def _begin(make_worker: Callable[[], object]) -> None:
    global _worker
    os.environ["TQDM_DISABLE"] = "1"  # one bar is enough
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_threads(1)
    torch.set_flush_denormal(True)  # weights that a penalty drove to nothing slow everything down
    keep_freed_memory()
    _worker = make_worker()


def _work_out(piece: tuple) -> None:
    getattr(_worker, piece[0])(*piece[1:])


def _end_with_parent() -> None:
    """A run that is killed takes its workers along: they would go on, and keep pieces that a later
    run, of other code, takes for its own."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then swap: a kill in between leaves no half a piece."""
    partial = path.with_name(path.name + ".partial")
    write(partial)
    os.replace(partial, path)


def _digest(identity: object) -> str:
    found = hashlib.sha256(repr(identity).encode())
    for source in sorted(PACKAGE.rglob("*.py")):
        found.update(source.read_bytes())
    return found.hexdigest()
