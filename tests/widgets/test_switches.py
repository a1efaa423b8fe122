"""The switches: what is shown is what the table holds, and odd tables are refused."""

import numpy as np
import pytest
import traitlets

from recsys_book.widgets import Switches

RULES = {"ties": ["worst", "best"], "seed": ["0", "1", "2"]}


def made(**more):
    values = np.arange(18, dtype=float).reshape(2, 3, 3) / 100
    return Switches(values, RULES, ["Popularity", "MF", "NeuMF"], title="Who wins", **more)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (1, 0)])
def test_a_place_on_the_switches_is_a_row_of_the_table(place):
    widget = made(start=place)
    first = (place[0] * 3 + place[1]) * 3
    want = {name: (first + m) / 100 for m, name in enumerate(widget.models)}
    assert widget.shown() == pytest.approx(want)
    assert widget.combinations == 6 and len(widget.data) == 4 * 18


def test_a_kernel_can_flip_them_but_not_off_the_board():
    widget = made()
    widget.index = [1, 1]
    assert widget.shown()["MF"] == pytest.approx(0.13)
    for place in ([2, 0], [0, -1], [0]):
        with pytest.raises(traitlets.TraitError, match="must be a place on"):
            widget.index = place
    assert widget.index == [1, 1]


@pytest.mark.parametrize(
    "values, rules, models, message",
    [
        (np.zeros((2, 3, 2)), RULES, ["a", "b", "c"], "values has shape"),
        (np.full((2, 3, 2), np.nan), RULES, ["a", "b"], "values contains NaN"),
        (np.zeros((1, 2)), {"ties": ["worst"]}, ["a", "b"], "needs two or more"),
        (np.zeros((2, 1)), {"ties": ["worst", "best"]}, ["a"], "two models must be compared"),
        (np.zeros(2), {}, ["a", "b"], "needs two or more"),
    ],
)
def test_odd_tables_are_refused(values, rules, models, message):
    with pytest.raises(ValueError, match=message):
        Switches(values, rules, models, title="x")


def test_a_start_off_the_board_is_refused():
    with pytest.raises(traitlets.TraitError, match="must be a place on"):
        made(start=[0, 3])
