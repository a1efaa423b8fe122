"""Pieces of a long run: kept, not made again, whole or not at all."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from recsys_book.reproduce import cells as pieces


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    return tmp_path


def test_finished_pieces_are_not_made_again(results):
    made = []
    make = lambda: made.append(1) or {"value": len(made)}
    first = pieces.Cells("ch03/x", "a").get("one/two three", make)
    assert pieces.Cells("ch03/x", "a").get("one/two three", make) == first and made == [1]
    assert first["value"] == 1 and first["seconds"] >= 0 and first["processor_seconds"] >= 0
    assert pieces.Cells("ch03/x", "a").sums()["commits"] == {first["commit"]: 1}
    assert pieces.Cells("ch03/x", "a").sums()["n"] == 1
    assert pieces.Cells("ch03/x", "another identity").get("one/two three", make)["value"] == 2


def test_a_piece_that_fails_leaves_nothing(results):
    cells = pieces.Cells("ch03/x", "a")

    def boom() -> dict:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cells.get("one", boom)
    with pytest.raises(ValueError):  # NaN is no JSON
        cells.get("one", lambda: {"value": float("nan")})
    assert not cells.path("one", "json").exists()
    assert cells.get("one", lambda: {"value": 1})["value"] == 1


def test_weights_are_kept_until_the_run_ends(results):
    cells = pieces.Cells("ch03/x", "a")
    cells.keep("model/8", {"refit": {"w": torch.arange(3)}})
    assert torch.equal(pieces.Cells("ch03/x", "a").kept("model/8")["refit"]["w"], torch.arange(3))
    cells.finish()
    assert not list((results / "ch03").iterdir())


WORKERS = """
import sys
import time
from recsys_book.reproduce.cells import in_processes
class Worker:
    def write(self, letter):
        open(sys.argv[1], "a").write(letter)
    def fail(self):
        raise ValueError("bad piece")
if __name__ == "__main__":
    a, b, c = (("write", letter) for letter in "abc")
    pieces = {c: [b], b: [a], a: []}
    if len(sys.argv) > 2: pieces = {("fail",): [], a: [("fail",)]}
    in_processes(pieces, Worker, workers=2)
"""


def test_pieces_wait_for_what_they_need_and_errors_end_the_run(tmp_path):
    script, out = tmp_path / "workers.py", tmp_path / "out.txt"
    script.write_text(WORKERS, encoding="utf-8")
    go = lambda *more: subprocess.run(
        [sys.executable, script, out, *more], capture_output=True, text=True, timeout=1_200
    )
    assert go().returncode == 0 and out.read_text() == "abc"
    failed = go("with a bad piece")
    assert failed.returncode != 0 and "bad piece" in failed.stderr and out.read_text() == "abc"


SLOW = """
import os, sys, time
from recsys_book.reproduce.cells import in_processes
class Worker:
    def sleep(self, name):
        open(sys.argv[1] + "." + name, "w").write(str(os.getpid()))
        time.sleep(900)
if __name__ == "__main__":
    in_processes({("sleep", "a"): [], ("sleep", "b"): []}, Worker, workers=2)
"""


def soon(true, seconds: float) -> bool:
    """Whether something becomes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return bool(true())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_killed_run_takes_its_workers_along(tmp_path):
    script, out = tmp_path / "slow.py", tmp_path / "pid"
    script.write_text(SLOW, encoding="utf-8")
    run = subprocess.Popen([sys.executable, script, out], stderr=subprocess.DEVNULL)
    files = [tmp_path / "pid.a", tmp_path / "pid.b"]
    assert soon(lambda: all(f.is_file() and f.read_text() for f in files), 600)
    workers = [Path("/proc", f.read_text()) for f in files]
    assert all(worker.exists() for worker in workers)
    run.kill()
    run.wait()
    gone = lambda worker: not worker.exists() or "(zombie)" in (worker / "status").read_text()
    assert soon(lambda: all(gone(worker) for worker in workers), 300)
