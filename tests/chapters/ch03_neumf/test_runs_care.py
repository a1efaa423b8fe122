"""Chapter 03's search with equal care: the box, its edges, and the whole run on a small split."""

import json
from dataclasses import replace

import pytest

from recsys_book.chapters.ch03_neumf import care, contest
from recsys_book.chapters.ch03_neumf import runs_care as run
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.reproduce.record import provenance, read_record
from recsys_book.reproduce.runs import remake

BOX = care.ON_MOVIELENS
INSIDE = Draw(32, 16, 0.003, 1e-6, 4, 1_024, 0.9)


def test_draws_lie_in_the_box_and_are_the_same_for_all():
    found = BOX.draws(200, seed=0)
    assert found[:24] == BOX.draws(24, seed=0) and len(set(found)) == 200
    for knob, ladder in BOX.choices.items():
        assert {getattr(draw, knob) for draw in found} == set(ladder)
    for knob, (low, high) in BOX.ranges.items():
        values = [getattr(draw, knob) for draw in found]
        assert low <= min(values) < low * 3 and high / 3 < max(values) <= high


@pytest.mark.parametrize(
    ("name", "knobs", "moved"),
    [
        ("NeuMF", {}, []),
        ("MF", {"tower": 64}, []),  # MF has no tower
        ("MLP", {"tower": 64, "factors": 256}, [("tower", 128)]),
        ("NeuMF", {"factors": 8}, [("factors", 4)]),
        ("GMF", {"n_negatives": 16, "decay": 1.0}, [("n_negatives", 32)]),
        ("GMF", {"n_negatives": 1}, []),
        ("MF", {"weight_decay": 1e-9, "lr": 0.025}, [("lr", 0.05)]),
        ("MF", {"weight_decay": 9e-5}, [("weight_decay", 1.8e-4)]),
    ],
)
def test_a_choice_at_an_edge_is_looked_beyond(name, knobs, moved):
    draw = Draw(**{**vars(INSIDE), **knobs})
    found = BOX.beyond(name, draw)
    changed = [
        (knob, value)
        for one in found
        for knob, value in vars(one).items()
        if value != getattr(draw, knob)
    ]
    assert [knob for knob, _ in changed] == [knob for knob, _ in moved]
    assert [value for _, value in changed] == pytest.approx([value for _, value in moved])


def test_closed_forms_are_looked_beyond_too():
    assert care.closed_beyond("EASE", {"l2": 300.0}) == []
    assert care.closed_beyond("EASE", {"l2": 90_000.0}) == [{"l2": 180_000.0}]
    options = {"k": 12, "shrinkage": 10.0, "damping": 1.0}
    assert care.closed_beyond("ItemKNN", options) == [{**options, "k": 6}]


@pytest.fixture
def figures(monkeypatch, tmp_path, split):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    for name, value in {
        "DRAWS": 3, "FIRST": (1, 2), "SECOND": (1, 1), "MAX_EPOCHS": 2, "SGD_EPOCHS": (1, 1),
        "SEEDS": (0, 1), "STEPS_BEYOND": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(run, name, value)
    small = {"factors": (4, 8, 16), "tower": (2, 4), "n_negatives": (1, 2)}
    monkeypatch.setattr(run, "BOX", replace(BOX, choices={**BOX.choices, **small}))
    monkeypatch.setattr(run, "prepare", lambda: split)
    remake(run.NAME, workers=0)
    [record] = list((tmp_path / "ch03").iterdir())  # the pieces are gone
    assert "with the code as it is" in provenance(read_record(run.NAME))
    return json.loads(record.read_text(encoding="utf-8"))["figures"]


def test_the_whole_run_on_a_small_split(figures, split):
    searches = figures["searches"]
    assert set(searches) == {*care.LEARNED, *care.CLOSED, "NeuMF-pre"}
    for name in care.LEARNED:
        first, second, last = searches[name]["tried"]
        assert [len(first), len(second)] == [3, 2] and len(last) >= 1
        assert searches[name]["score"] == max(one["score"] for one in last)
    for runs in figures["runs"].values():
        for one in runs:
            assert {len(word) for word in one["places"].values()} == {len(split.users)}
            assert one["test"][0] == pytest.approx(contest.hits(one["places"]["among 99"]).mean())
    assert [len(figures["runs"][name]) for name in ("EASE", "IALS", "NeuMF-pre")] == [1, 2, 2]
