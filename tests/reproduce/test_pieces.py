"""Pieces of a long run: kept, not made again, whole or not at all, and of one code only."""

import functools
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from recsys_book.reproduce.pieces import NotYet, Pieces, Promise, Store, piece, wait_for


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    return Store("ch03/x", "a")


class Squares(Pieces):
    """A run whose pieces count how often they are worked out."""

    def __init__(self, store=None):
        super().__init__(store)
        self.made = []

    @piece
    def square(self, n):
        self.made.append(n)
        return {"value": n * n}

    @piece
    def sum_to(self, n):
        self.made.append(("sum", n))
        return sum(self.square(i)["value"] for i in range(n + 1))

    @piece
    def passed_on(self, n):
        return [self.square(n)]

    @piece
    def swallowed(self, n):
        found = self.square(n)
        try:
            return found["value"]
        except Exception:
            return None

    @piece
    def hidden(self, n):
        try:
            return self.square(n)["value"]
        except BaseException:
            return 0

    @piece
    def by_kind(self, n):
        return isinstance(self.square(n), dict)

    @piece
    def waits(self, n):
        wait_for(*(self.square(i) for i in range(n)), "plain", None)
        self.made.append("begun")
        return n

    def figures(self):
        return {"sums": [self.sum_to(n) for n in (2, 3)], "square": self.square(5)}


def test_a_piece_is_worked_out_once_wherever_it_is_called():
    run = Squares()
    assert run.figures() == {"sums": [5, 14], "square": {"value": 25}}
    assert run.made == [("sum", 2), 0, 1, 2, ("sum", 3), 3, 5]


def test_what_is_finished_is_found_by_a_later_run_of_the_same_code_only(store):
    first = Squares(store)
    assert first.sum_to(3) == 14 and len(first.made) == 5
    again = Squares(Store("ch03/x", "a"))
    assert again.sum_to(3) == 14 and again.made == []
    other = Squares(Store("ch03/x", "b"))
    assert other.sum_to(3) == 14 and len(other.made) == 5
    sums = store.sums()
    assert sums["n"] == 5 == sum(sums["commits"].values())
    assert sums["seconds"] >= 0 and sums["processor_seconds"] >= 0
    store.finish()
    assert not list(store.every.parent.iterdir())


def test_names_that_look_alike_are_kept_apart(store):
    for key, value in ((("a", "b c"), 1), (("a b", "c"), 2), (("a", "b", "c"), 3), (("a/b c",), 4)):
        store.keep(key, lambda value=value: value)
        assert store[key] == value
    assert len(list(store.folder.iterdir())) == 4


def test_a_piece_that_fails_leaves_nothing(store):
    def boom():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.keep(("one",), boom)
    assert ("one",) not in store and list(store.folder.iterdir()) == []
    weights = store.keep(("one",), lambda: {"w": torch.arange(3)})
    assert torch.equal(Store("ch03/x", "a")["one",]["w"], weights["w"])


def test_an_attempt_names_all_that_it_waits_for_and_keeps_nothing(store):
    run = Squares(store)
    wanted = [("sum_to", 2), ("sum_to", 3), ("square", 5)]
    assert run.attempt(("figures",)) == (None, wanted)
    assert run.attempt(("sum_to", 2)) == (None, [("square", 0)])
    assert run.attempt(("square", 0)) == ({"value": 0}, [])
    assert run.attempt(("sum_to", 2)) == (None, [("square", 1)])
    # None of these looks into it, or each hides that it did.
    for key in (("passed_on", 4), ("swallowed", 4), ("hidden", 4), ("by_kind", 4)):
        assert run.attempt(key) == (None, [("square", 4)])
        assert key not in store
    assert run.attempt(("waits", 3)) == (None, [("square", 1), ("square", 2)])
    assert "begun" not in run.made
    assert len(list(store.folder.glob("*.joblib"))) == 1


def test_a_mistake_comes_up_when_there_is_nothing_to_wait_for():
    class Wrong(Pieces):
        def figures(self):
            return {}["missing"]

    with pytest.raises(KeyError):
        Wrong().attempt(("figures",))


def test_whoever_looks_into_a_promise_stops():
    looks = [
        lambda p: p.value, lambda p: p["value"], lambda p: p(1), lambda p: [*p], len, bool, float,
        lambda p: p + 1, lambda p: 1 + p, lambda p: p == 1, lambda p: p < 1, sum, max, str,
        lambda p: f"{p}", lambda p: dict(**p), lambda p: {p: 1}, torch.tensor, hash,
        lambda p: 1 in p, lambda p: joblib.hash(p), repr, lambda p: repr((1, p)),
        lambda p: torch.zeros(2) * p,
        lambda p: np.mean([p, p], axis=0), lambda p: sorted([p, p]),
    ]  # fmt: skip
    for look in looks:
        with pytest.raises(NotYet):
            look(Promise())


@pytest.mark.parametrize("odd", [{1}, [1], {"a": 1}, np.float64(0.5), torch.tensor(1), (1, [2])])
def test_arguments_that_read_otherwise_elsewhere_are_refused(odd):
    with pytest.raises(ValueError, match="square is asked for with a "):
        Squares().square(odd)


def test_a_promise_that_was_remembered_is_told(store):
    class Remembers(Squares):
        @functools.cache  # noqa: B019
        def kept(self):
            return self.square(1)

        def figures(self):
            return {"x": self.kept()["value"]}

    run = Remembers(store)
    assert run.attempt(("figures",)) == (None, [("square", 1)])
    with pytest.raises(RuntimeError, match="a promise of an attempt before"):
        run.attempt(("figures",))


def test_a_damaged_piece_is_named_and_made_again(store):
    run = Squares(store)
    run.square(3)
    path = store.path(("square", 3))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"square_3\..*joblib was damaged and is thrown away"):
        run.square(3)
    assert run.square(3) == {"value": 9}


def test_two_processes_do_not_work_on_one_run(store):
    with store.alone(), pytest.raises(ValueError, match="at work on this run already"):
        with Store("ch03/x", "b").alone():
            pass
    (store.every / "at-work.txt").write_text("999999999")  # of a process that is gone
    with store.alone():
        pass


# ---------------------------------------------------------------- in processes


WORKERS = """
import sys
from recsys_book.reproduce.pieces import Pieces, Store, piece, work_out
class Run(Pieces):
    @piece
    def write(self, letter):
        before = {"c": "b", "b": "a"}.get(letter)
        if before and self.write(before) != before: raise ValueError("never")
        if sys.argv[2] == "circle" and self.write("c") != "c": raise ValueError("never")
        if sys.argv[2] == "fails" and letter == "b": raise ValueError("bad piece")
        open(sys.argv[1], "a").write(letter)
        return letter
    def figures(self):
        return {"letters": [self.write(letter) for letter in "cab"]}
if __name__ == "__main__":
    print(work_out(Run, Store("ch03/x", sys.argv[2]), workers=2))
"""


def test_pieces_wait_for_what_they_need_and_errors_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path / "results"))
    script, out = tmp_path / "workers.py", tmp_path / "out.txt"
    script.write_text(WORKERS, encoding="utf-8")
    go = lambda how: subprocess.run(
        [sys.executable, script, out, how], capture_output=True, text=True, timeout=1_200
    )
    done = go("all")
    assert done.returncode == 0 and done.stdout == "{'letters': ['c', 'a', 'b']}\n"
    assert out.read_text() == "abc"
    assert go("all").returncode == 0 and out.read_text() == "abc"  # nothing is made again
    failed = go("fails")
    assert failed.returncode != 0 and "bad piece" in failed.stderr and out.read_text() == "abca"
    circle = go("circle")
    assert circle.returncode != 0 and "pieces wait for each other" in circle.stderr


SLOW = """
import os, sys, time
from recsys_book.reproduce.pieces import Pieces, Store, piece, work_out
class Run(Pieces):
    @piece
    def sleep(self, name):
        open(sys.argv[1] + "." + name, "w").write(str(os.getpid()))
        time.sleep(900)
    def figures(self):
        return {name: self.sleep(name) for name in "ab"}
if __name__ == "__main__":
    work_out(Run, Store("ch03/x", "a"), workers=2)
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
def test_a_killed_run_takes_its_workers_along(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path / "results"))
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
