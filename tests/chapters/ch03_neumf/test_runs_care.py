"""The run of equal care: the whole of it on a small split."""

import json

import pytest

from recsys_book.chapters.ch03_neumf import care, contest, recipe
from recsys_book.chapters.ch03_neumf import runs_care as run
from recsys_book.chapters.ch03_neumf.care import Box
from recsys_book.reproduce.runs import remake

SMALL = Box(
    choices={
        "factors": (2, 4, 8), "tower": (2, 4), "n_negatives": (1, 2, 4), "batch_size": (64, 256),
        "decay": (0.8, 1.0),
    },
    ranges={"lr": (3e-3, 3e-2), "weight_decay": (1e-9, 1e-4)},
)  # fmt: skip


@pytest.fixture
def figures(monkeypatch, tmp_path, split):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    monkeypatch.setattr(care, "ON_MOVIELENS", SMALL)
    monkeypatch.setattr(run, "DRAWS", 4)
    monkeypatch.setattr(run, "ROUNDS", ((4, 1), (2, 2), (1, 4)))
    monkeypatch.setattr(run, "SEEDS", (0, 1))
    monkeypatch.setattr(run, "CLOSED_SEEDS", {"ItemKNN": (0,), "EASE": (0,), "IALS": (0, 1)})
    monkeypatch.setattr(run, "SGD_EPOCHS", 2)
    monkeypatch.setattr(recipe, "prepare", lambda: split)
    small = {**care.CLOSED["IALS"][1], "dim": (2, 8), "sweeps": (2, 4)}
    monkeypatch.setitem(care.CLOSED, "IALS", (care.CLOSED["IALS"][0], small))
    path = remake(run.NAME, workers=0)
    return json.loads(path.read_text(encoding="utf-8"))["figures"]


def test_everybody_has_as_many_draws_and_the_best_is_tested(figures):
    assert list(figures["search"]) == [*care.LEARNED, *care.CLOSED]
    for name, found in figures["search"].items():
        assert len(found["rounds"][0]) >= 4, name
        if name in care.LEARNED:
            assert [len(one) for one in found["rounds"][:3]] == [4, 2, 1]
            firsts = [draw for draw, _ in found["rounds"][0]]
            assert firsts == [vars(draw) for draw in SMALL.draws(4, 0)]  # the same for all
        draw, score = max(found["rounds"][-1], key=lambda one: one[1])
        assert draw == found["best"], name
        assert score == max(score for _, score in found["rounds"][-1])
    for name, rows in figures["cells"].items():
        assert len(rows) == (1 if name in ("Popularity", "ItemKNN", "EASE") else 2), name
        for row in rows.values():
            assert contest.hits(row["places"]["among 99"]).mean() == pytest.approx(row["test"][0])
            assert "weights" not in row
    for name in care.LEARNED:  # the better ones go on
        first, second, third, _ = figures["search"][name]["rounds"]
        for before, after in ((first, second), (second, third)):
            by_score = sorted(before, key=lambda one: -one[1])
            assert [d for d, _ in after] == [d for d, _ in by_score[: len(after)]]
