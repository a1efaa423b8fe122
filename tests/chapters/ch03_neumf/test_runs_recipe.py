"""The run of the paper's table by its own recipe: the whole of it on a small split."""

import json

import numpy as np
import pytest

from recsys_book.chapters.ch03_neumf import contest
from recsys_book.chapters.ch03_neumf import runs_recipe as run
from recsys_book.reproduce.record import provenance, read_record
from recsys_book.reproduce.runs import remake


@pytest.fixture
def figures(monkeypatch, tmp_path, split):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    monkeypatch.setattr(run, "MAX_EPOCHS", 3)
    monkeypatch.setattr(run, "BEGIN", 1)
    monkeypatch.setattr(run, "SGD_EPOCHS", 1)
    # One size that is tuned and one that is not, one of them with two seeds: every kind of piece.
    monkeypatch.setattr(run, "SEEDS", {16: (0,), 32: (0, 1)})
    monkeypatch.setattr(run, "MORE", {("NeuMF, script", 16): (0,), ("GMF", 16): (0, 1)})
    monkeypatch.setattr(run, "prepare", lambda: split)
    remake(run.NAME, workers=0)
    [record] = list((tmp_path / "ch03").iterdir())  # the pieces are gone
    assert "with the code as it is" in provenance(read_record(run.NAME))
    return json.loads(record.read_text(encoding="utf-8"))["figures"]


def test_the_whole_table_on_a_small_split(figures, split):
    assert [len(figures["cells"][f"{name}/32"]) for name in run.MODELS] == [2, 2, 2]
    assert len(figures["cells"]["GMF/16"]) == 2
    for name, cells in figures["cells"].items():
        for cell in cells:
            words = [*cell["places"].values(), *cell.get("places before SGD", {}).values()]
            assert {len(word) for word in words} == {len(split.users)}
            among_99 = cell["places"]["among 99"]
            kept = [contest.hits(among_99).mean(), contest.gains(among_99).mean()]
            assert cell["test"] == pytest.approx(kept), name
            start = int("NeuMF-pre" in name)  # before SGD counts as an epoch
            best = int(np.argmax(cell["validation"]))
            assert cell["epochs"] == best + 1 - start
            assert len(cell["test by epoch, validation pairs left out"]) == len(cell["validation"])
    for begun in figures["rates begun"].values():
        assert set(begun) == {str(lr) for lr in run.RATES}
    assert all(lr in run.RATES for lr in figures["rates"].values())
    assert all(lr in run.SGD_RATES for lr in figures["rates of SGD"].values())
