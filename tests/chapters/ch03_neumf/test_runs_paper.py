"""The run of the paper's table: the whole of it on a small split."""

import json

import pytest

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import runs_paper as run
from recsys_book.reproduce.record import provenance, read_record
from recsys_book.reproduce.runs import remake


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    return tmp_path


def test_the_whole_table_on_a_small_split(split, short, results, monkeypatch, capsys):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 2)
    monkeypatch.setattr(run, "BUDGET", 2)
    # One size that is tuned and one that is not, one of them with two seeds: every kind of piece.
    monkeypatch.setattr(run, "SEEDS", {16: (0,), 32: (0, 1)})
    monkeypatch.setattr(run, "prepare", lambda: split)
    remake(run.NAME, workers=0)
    [record] = list((results / "ch03").iterdir())  # the pieces are gone
    figures = json.loads(record.read_text(encoding="utf-8"))["figures"]
    assert set(figures["baselines"]) == {"Popularity", "ItemKNN", "EASE", "IALS"}
    for factors, seeds in run.SEEDS.items():
        for name in (*run.MODELS, "NeuMF-pre"):
            runs = figures["cells"][f"{name}/{factors}"]
            assert len(runs) == len(seeds)
            assert all(0 <= r["test"][0] <= 1 and r["protocols"] for r in runs)
    record = read_record(run.NAME)
    n = record["pieces"]["n"]
    # Searches, cells, fused cells, their rates, closed forms, tuned and untuned; and kept weights.
    assert n == 8 + 9 + 3 + 2 + 4 + 12 + 6 == sum(record["pieces"]["commits"].values())
    assert provenance(record).count(f"{n} pieces") == 1
    assert "with the code as it is" in provenance(record)
