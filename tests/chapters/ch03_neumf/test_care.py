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
    assert care.closed_beyond("EASE", (("l2", 300.0),)) == []
    assert care.closed_beyond("EASE", (("l2", 90_000.0),)) == [(("l2", 180_000.0),)]
    options = {"k": 12, "shrinkage": 10.0, "damping": 1.0}
    found = care.closed_beyond("ItemKNN", tuple(options.items()))
    assert [dict(one) for one in found] == [{**options, "k": 6}]


def test_those_that_did_well_go_on_for_longer():
    asked = []

    def score(settings, epochs):
        asked.append((list(settings), epochs))
        return {one: one * epochs for one in settings}

    rounds = care.halving([3, 1, 4, 2], ((4, 1), (2, 5), (1, 9)), score)
    assert asked == [([3, 1, 4, 2], 1), ([4, 3], 5), ([4], 9)]
    assert rounds == [{3: 3, 1: 1, 4: 4, 2: 2}, {4: 20, 3: 15}, {4: 36}]


def test_the_search_leaves_the_box_while_that_helps():
    asked = []

    def score(new):
        asked.append(new)
        return {one: 0.5 if one < 6 else 0.1 for one in new}

    known = {4: 0.3, 3: 0.4}
    assert care.climb_out(known, lambda one: [one + 1], score, steps=9) == known  # 4 is known
    assert asked == []
    found = care.climb_out(known, lambda one: [one + 2], score, steps=9)
    assert asked == [[5], [7]] and found == known | {5: 0.5, 7: 0.1}
    grows = lambda new: {one: float(one) for one in new}
    assert care.climb_out({0: 0.0}, lambda one: [one + 1], grows, steps=2) == {0: 0, 1: 1, 2: 2}
    assert known == {4: 0.3, 3: 0.4}
