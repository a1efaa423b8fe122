"""Frames: every frame in order, and what does not fit."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from traitlets import TraitError

from recsys_book.show.plots import to_png
from recsys_book.widgets import Frames


def frames(**more):
    options = {
        "values": np.linspace(0, 1, 2 * 3 * 4).reshape(2, 3, 1, 2, 2),
        "axes": {"kind": ["a", "b"], "step": [0, 1, 2]},
        "alts": [f"frame {i}" for i in range(6)],
        "title": "T",
        "vmin": 0,
        "vmax": 1,
    } | more
    return Frames.from_arrays(**options)


def test_frames_hold_every_frame_in_order():
    widget = frames()
    assert widget.offsets == [0, 4, 8, 12, 16, 20, 24] and len(widget.lut) == 768
    cells = np.frombuffer(widget.data, np.uint8)
    assert cells[0] == 0 and cells[-1] == 255 and (np.diff(cells.astype(int)) > 0).all()
    assert [axis["select"] for axis in widget.axes] == [True, False]
    assert widget.payload == 24


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"alts": ["x"] * 5}, "5 alts for 6 places"),
        ({"alts": [""] + ["x"] * 5}, "empty text"),
        ({"axes": {"step": [0, 1, 2]}}, "values has shape"),
        ({"vmax": 0.5}, "outside vmin=0 to vmax=0.5"),
        ({"vmin": 1, "vmax": 1}, "vmin must be below vmax"),
        ({"values": np.full((2, 3, 1, 2, 2), np.nan)}, "NaN"),
        ({"panels": ("a", "b")}, "2 titles for 1 panels"),
        ({"start": [0, 3]}, "start is"),
        ({"captions": ["one"]}, "1 captions"),
    ],
)
def test_frames_refuse_what_does_not_fit(more, message):
    with pytest.raises(ValueError, match=message):
        frames(**more)


@pytest.mark.parametrize(
    "place", [[9, 0], [0, 3], [-1, 0], [0], [0, 0, 0], [], [0.5, 0], ["a", 0], [True, 0], None, 1]
)
def test_frames_stand_only_where_there_is_a_frame(place):
    widget = frames(start=[1, 2])
    with pytest.raises((ValueError, TraitError), match="index"):
        widget.index = place
    assert widget.index == [1, 2]
    with pytest.raises((ValueError, TypeError), match="start|iterable|len"):
        frames(start=1 if place is None else place)


def test_a_bad_place_beside_a_good_one_changes_neither():
    """As a page's message, which sets several things at once."""
    widget = frames()
    with pytest.raises(ValueError, match=r"index is \[9, 0\]; it must be a place on \[2, 3\]"):
        with widget.hold_trait_notifications():
            widget.interval, widget.index = 200, [9, 0]
    assert (widget.index, widget.interval) == ([0, 0], 350)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"points": [{"x": math.nan, "y": 0}]}, r"points\[0\]\['x'\] is nan"),
        ({"points": [{"x": 0, "y": -math.inf}]}, r"points\[0\]\['y'\] is -inf"),
        ({"extent": (0, math.inf, 0, 1)}, r"extent\[1\] is inf"),
        ({"vmax": math.inf}, "vmax inf"),
        ({"vmin": -math.inf}, "vmin is -inf"),
        ({"vmin": -1.7e308, "vmax": 1.7e308}, "both finite"),
        ({"values": np.full((2, 3, 1, 2, 2), np.inf)}, "infinity"),
        ({"title": " "}, "title is empty"),
    ],
)
def test_frames_carry_nothing_that_json_has_not(more, message):
    with pytest.raises(ValueError, match=message):
        frames(**more)


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1: 2}, {"x": [0, math.nan]}, np.float32(1)])
def test_nothing_unreadable_can_be_set_on_a_widget(bad):
    widget = frames()
    for name, value in (("picture", {"deep": [bad]}), ("axes", [{"name": bad}])):
        with pytest.raises((ValueError, TraitError), match=name):
            setattr(widget, name, value)
    assert widget.picture["kind"] == "array"


def test_frames_of_images():
    pictures = []
    for i in range(2):
        figure, ax = plt.subplots(figsize=(2, 2))
        ax.plot([0, i])
        pictures.append(to_png(figure))
    widget = Frames.from_images(pictures, {"step": [0, 1]}, ["zero", "one"], title="T")
    start, end = widget.offsets[1:3]
    assert widget.data[start:end] == pictures[1]
    with pytest.raises(ValueError, match="must be PNG or WebP"):
        Frames.from_images([b"GIF89a.."] * 2, {"step": [0, 1]}, ["zero", "one"], title="T")
