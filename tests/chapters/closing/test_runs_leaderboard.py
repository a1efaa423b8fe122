"""The leaderboard's run: worlds new to all, settings from records, entries of one's own."""

import sys

import pytest
import torch

from recsys_book.chapters.ch00_why_deep_learning import runs_simulated as ladder_run
from recsys_book.chapters.ch03_neumf import runs_simulated as ncf_run
from recsys_book.chapters.ch04_youtube_dnn import runs_simulated as youtube_run
from recsys_book.chapters.ch05_wide_and_deep import runs_simulated as wide_run
from recsys_book.chapters.closing import leaderboard as lab
from recsys_book.chapters.closing import runs_leaderboard as run
from recsys_book.reproduce import __main__ as command
from recsys_book.reproduce import (
    read_record,
)
from recsys_book.reproduce import record as record_module
from recsys_book.reproduce.runs import remake
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def world():
    """So short that users have watched little: there is a first session of many people."""
    return simulate(n_users=120, n_films=90, days=8, seed=3)


def test_no_world_of_the_table_was_looked_at_before():
    others = {ladder_run.TUNING_WORLD, youtube_run.TUNING_WORLD, *ncf_run.TUNING_WORLDS}
    others |= set(wide_run.TUNING_WORLDS)
    for other in (ladder_run, ncf_run, youtube_run, wide_run):
        others |= set(other.SEEDS)
    assert others.isdisjoint(run.SEEDS) and len(set(run.SEEDS)) == 5


@pytest.fixture
def small_run(tmp_path, monkeypatch):
    """The run on small worlds, its records in a folder of its own beside copies of the others."""
    shipped = record_module.shipped
    own = lambda name: tmp_path / f"{name}.json"
    for name in ("ch00/simulated", "ch03/simulated", "ch04/simulated", "ch05/simulated"):
        own(name).parent.mkdir()
        own(name).write_text(shipped(name).read_text())
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    monkeypatch.setattr(record_module, "shipped", own)  # the book's own stay out
    monkeypatch.setattr(run, "simulate", lambda seed: simulate(60, 80, 6, seed))
    monkeypatch.setattr(run, "SEEDS", (5, 6))
    monkeypatch.setattr(run, "DAYS", 2)
    monkeypatch.setattr(run, "CHAPTERS", dict.fromkeys(
        ["popularity", "EASE", "oracle by clicks", "oracle by watch time"], "00"
    ))  # fmt: skip
    return tmp_path


def test_the_run_writes_its_record_and_takes_entries(small_run, capsys, monkeypatch):
    with pytest.raises(ValueError, match="name is 'closing/leaderboard'; the records are"):
        run.enter("recsys_book.chapters.closing.leaderboard:popularity")
    remake(run.NAME, workers=0)
    record = read_record("closing/leaderboard")
    entries = record["figures"]["entries"]
    assert record["seeds"] == [5, 6] and len(entries["EASE"]) == 2
    assert not (small_run / "closing" / ".leaderboard.pieces").exists()
    before = (small_run / "closing" / "leaderboard.json").read_text()
    capsys.readouterr()
    spec = "recsys_book.chapters.closing.leaderboard:popularity"
    monkeypatch.setattr(sys, "argv", ["reproduce", run.NAME, "--policy", spec])
    command.main()
    out = capsys.readouterr().out
    assert f"world 6: {entries['popularity'][1]['clicks']:,} clicks" in out
    assert spec in out and "oracle by watch time" in out
    assert (small_run / "closing" / "leaderboard.json").read_text() == before


@pytest.mark.parametrize(
    "spec, rule",
    [
        ("my_policy", "must read module:function"),
        (":make", "must read module:function"),
        ("module:", "must read module:function"),
        ("no_such_module_here:make", "cannot be imported"),
        ("recsys_book.chapters.closing.leaderboard:no_such", "has no 'no_such'"),
        ("recsys_book.chapters.closing.leaderboard:CHAPTERS", "is no function"),
    ],
)
def test_a_bad_entry_is_named(spec, rule):
    with pytest.raises(ValueError, match=rule) as found:
        run.load_maker(spec)
    assert repr(spec) in str(found.value)


def test_an_entry_must_give_a_policy_and_keep_to_the_rules(small_run):
    with pytest.raises(ValueError, match="policy is None"):
        run.run_entry(lambda world, seed: None, 5, 1)
    twice = lambda world, seed: lambda request: torch.zeros(len(request), 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="a film twice"):
        run.run_entry(twice, 5, 1)


def test_the_record_is_whole():
    record = read_record("closing/leaderboard")
    entries, n = record["figures"]["entries"], len(run.SEEDS)
    assert record["seeds"] == list(run.SEEDS) and record["figures"]["days"] == run.DAYS
    assert list(entries) == list(lab.CHAPTERS)
    assert record["pieces"]["n"] == n * len(entries)
    for name, rows in entries.items():
        assert len(rows) == n, name
        for row in rows:
            assert row["clicks"] > 0 and row["hours"] > 0
    # What the settings' records hold now is what the entries were trained with.
    assert record["figures"]["settings"] == run.chosen_settings()
