"""The search for settings: it ends at a peak with all its neighbours tried, and says if it did
not."""

import math

import pytest

from recsys_book.search import search


def hill(at):
    """A smooth hill with its top at lr .04, dim 64, fall .8."""
    return -(
        abs(math.log(at["lr"] / 0.04)) + abs(math.log2(at["dim"] / 64)) + abs(at["fall"] - 0.8)
    )


START = {"lr": 0.01, "dim": 16, "fall": 0.4, "kept": 3}
STEPS = {"lr": 2.0, "dim": 2, "fall": (0.4, 0.6, 0.8, 1.0)}


def test_it_walks_out_of_the_box_it_began_in():
    found = search(hill, START, STEPS)
    assert found.best == {"lr": 0.04, "dim": 64, "fall": 0.8, "kept": 3} and found.settled
    assert isinstance(found.best["dim"], int) and found.score == hill(found.best)
    tried = [setting for setting, _ in found.tried]
    assert len({tuple(s.values()) for s in tried}) == len(tried)  # nothing twice
    for name, values in {"lr": (0.02, 0.08), "dim": (32, 128), "fall": (0.6, 1.0)}.items():
        for value in values:  # both neighbours of every part of the best
            assert found.best | {name: value} in tried
    assert max(score for _, score in found.tried) == found.score


def test_the_end_of_a_list_is_no_edge_and_a_spent_budget_is_said():
    assert search(lambda s: s["fall"], START, STEPS).best["fall"] == 1.0
    short = search(hill, START, STEPS, budget=4)
    assert len(short.tried) == 4 and not short.settled
    assert short.score == max(score for _, score in short.tried)


def test_a_plateau_is_not_walked_along():
    slope = lambda setting: 1e-6 * math.log2(setting["dim"])
    assert search(slope, {"dim": 16}, {"dim": 2}, budget=9).best["dim"] == 16 * 2**8
    found = search(slope, {"dim": 16}, {"dim": 2}, least=1e-4)
    assert found.best["dim"] == 16 and found.settled and len(found.tried) == 3
    with pytest.raises(ValueError, match="least is -1"):
        search(slope, {"dim": 16}, {"dim": 2}, least=-1)


@pytest.mark.parametrize(
    "start, steps, budget, told",
    [
        ({}, {"lr": 2.0}, 9, "steps has 'lr'"),
        ({"lr": 0.1}, {"lr": 1.0}, 9, "a factor must be above 1"),
        ({"fall": 0.5}, {"fall": (0.4, 0.6)}, 9, "must be one of"),
        ({"lr": 0.1}, {"lr": 2.0}, 0, "budget is 0"),
    ],
)
def test_bad_searches(start, steps, budget, told):
    with pytest.raises(ValueError, match=told):
        search(lambda _: 0.0, start, steps, budget)
