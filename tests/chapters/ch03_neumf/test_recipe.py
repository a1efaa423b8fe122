"""The paper's recipe: the whole of a run on a small split."""

from itertools import count
from types import MappingProxyType

import pytest

from recsys_book.chapters.ch03_neumf import contest, recipe


@pytest.fixture
def small(monkeypatch, split):
    """Three epochs, large steps, for a split of sixty people."""
    monkeypatch.setattr(recipe, "EPOCHS", 3)
    monkeypatch.setattr(recipe, "SGD_EPOCHS", 2)
    monkeypatch.setattr(recipe, "RATES", (0.001, 0.05))
    monkeypatch.setattr(recipe, "SGD_RATES", (0.5, 5.0))
    monkeypatch.setattr(recipe, "POSITIVES", 64)
    monkeypatch.setattr(recipe, "prepare", lambda: split)


class Both(recipe.Recipe):
    """Two seeds of the parts, and a variant."""

    factors = 4
    cells = MappingProxyType(
        {(name, 4): (0, 1) for name in ("GMF", "MLP")}
        | {("NeuMF", 4): (0,), ("MLP, script", 4): (0,), ("MF", 8): (0,)}
    )
    fused = (0, 1)


def test_a_whole_column(small):
    run = Both()
    figures = run.figures()
    cells, tried = figures["cells"], figures["tried"]
    assert {name: list(rows) for name, rows in cells.items()} == {
        "GMF/4": ["0", "1"], "MLP/4": ["0", "1"], "NeuMF/4": ["0"], "MLP, script/4": ["0"],
        "MF/8": ["0"], "NeuMF, pre-trained/4": ["0", "1"],
    }  # fmt: skip
    assert set(tried) == {"GMF/4", "MLP/4", "NeuMF/4", "MF/8", "SGD"}  # a variant has no search
    for name, rows in cells.items():
        for row in rows.values():
            assert "weights" not in row
            hits = contest.hits(row["places"]["among 99"]).mean()
            assert hits == pytest.approx(row["test"][0]), name


def test_rate_and_epochs_are_those_that_validation_likes_best(small):
    run = Both()
    figures = run.figures()
    for name in ("GMF/4", "MLP/4", "NeuMF/4", "MF/8"):
        best = {rate: max(t["validation"]) for rate, t in figures["tried"][name].items()}
        row = figures["cells"][name]["0"]
        assert best[str(row["rate"])] == max(best.values())
        assert row["validation"].index(max(row["validation"])) + 1 == row["epochs"]
        assert len(row["watched_refit"]) == row["epochs"]
    like = {name: figures["cells"][name]["0"]["rate"] for name in ("MLP/4", "MLP, script/4")}
    assert len(set(like.values())) == 1


def test_where_sgd_only_harms_the_start_is_tested(small, monkeypatch):
    falling = count(1, -0.001)
    monkeypatch.setattr(contest.Judge, "validation", lambda judge, model: next(falling))
    row = Both().pretrained(0)
    assert row["epochs"] == 0 and row["test"] == row["start"]


def test_borrowed_rates_are_not_searched_for(small):
    class Borrowing(recipe.Recipe):
        factors = 4
        cells = MappingProxyType({(name, 4): (0,) for name in ("GMF", "MLP")})
        fused = (0,)
        borrowed = MappingProxyType({"GMF": 0.05, "MLP": 0.02})

    figures = Borrowing().figures()
    assert set(figures["tried"]) == {"SGD"}
    assert figures["cells"]["MLP/4"]["0"]["rate"] == 0.02
