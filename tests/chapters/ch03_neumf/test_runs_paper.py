"""The run of the paper's table: plans that hold together, and the whole of it on a small split."""

import json

import pytest

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import runs_paper as run
from recsys_book.chapters.ch03_neumf import runs_simulated as simulated_run
from recsys_book.reproduce.record import provenance, read_record


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("plan", [run.plan(), simulated_run.plan()])
def test_plans_hold_all_that_they_need(plan):
    assert all(need in plan for needs in plan.values() for need in needs)
    left, done = dict(plan), set()
    while left:  # no circle
        ready = [piece for piece, needs in left.items() if done.issuperset(needs)]
        assert ready
        done.update(ready)
        left = {piece: needs for piece, needs in left.items() if piece not in done}


def one_after_the_other(plan, make_worker):
    worker, left, done = make_worker(), dict(plan), set()
    while left:
        for piece in [p for p, needs in left.items() if done.issuperset(needs)]:
            getattr(worker, piece[0])(*piece[1:])
            done.add(piece)
            del left[piece]


def test_the_whole_table_on_a_small_split(split, short, results, monkeypatch, capsys):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 2)
    monkeypatch.setattr(run, "BUDGET", 2)
    # One size that is tuned and one that is not, one of them with two seeds: every kind of piece.
    monkeypatch.setattr(run, "SEEDS", {16: (0,), 32: (0, 1)})
    monkeypatch.setattr(run, "prepare", lambda: split)
    monkeypatch.setattr(run, "in_processes", one_after_the_other)
    run.main()
    [record] = list((results / "ch03").iterdir())  # the pieces are gone
    figures = json.loads(record.read_text(encoding="utf-8"))["figures"]
    assert set(figures["baselines"]) == {"Popularity", "ItemKNN", "EASE", "IALS"}
    for factors, seeds in run.SEEDS.items():
        for name in (*run.MODELS, "NeuMF-pre"):
            runs = figures["cells"][f"{name}/{factors}"]
            assert len(runs) == len(seeds)
            assert all(0 <= r["test"][0] <= 1 and r["protocols"] for r in runs)
    record = read_record(run.NAME)
    assert record["pieces"]["n"] == sum(record["pieces"]["commits"].values()) == len(run.plan())
    assert provenance(record).count(f"{len(run.plan())} pieces") == 1
