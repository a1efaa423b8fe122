"""Chapter 03's search with equal care: the box, and its edges."""

import pytest

from recsys_book.chapters.ch03_neumf import care
from recsys_book.chapters.ch03_neumf.care import Draw

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
