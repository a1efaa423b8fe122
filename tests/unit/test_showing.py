"""Claims, figures, diagrams, the Frames widget, records."""

import json
import math
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anywidget import AnyWidget
from scipy import stats
from traitlets import TraitError

from recsys_book import widgets
from recsys_book.chapters.ch01_mlp_vs_dot_product import lab as experiments
from recsys_book.chapters.ch01_mlp_vs_dot_product.figures import boundary_frames
from recsys_book.layers import MLP
from recsys_book.reproduce import Run, read_record
from recsys_book.show import plots
from recsys_book.show.claims import MIME, claim, paired_interval, t_interval
from recsys_book.show.notebook import source
from recsys_book.show.plots import Box, architecture, show, to_png
from recsys_book.train import History
from recsys_book.widgets import Frames

PACKAGE = Path(widgets.__file__).parents[1]


def test_t_interval_agrees_with_scipy():
    values = [0.1, 0.4, 0.35, 0.2]
    ours = t_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (ours.mean, ours.low, ours.high) == pytest.approx((np.mean(values), low, high))
    assert ours.n == 4
    paired = paired_interval([1.0, 2.0, 3.0], [0.9, 1.9, 2.9])
    assert paired.mean == pytest.approx(0.1) and paired.high - paired.low < 1e-9
    with pytest.raises(ValueError, match="two figures or more"):
        t_interval([1.0])
    with pytest.raises(ValueError, match="pairs need equal numbers"):
        paired_interval([1.0, 2.0], [1.0])


def test_a_claim_carries_its_record_and_stops_when_it_does_not_hold():
    made = claim("A beats B", t_interval([0.1, 0.2, 0.3]), holds=True)
    bundle = made._repr_mimebundle_()
    keys = {"claim", "value", "low", "high", "n", "over", "holds", "digits"}
    assert set(bundle[MIME]) == keys
    assert bundle[MIME]["n"] == 3 and bundle[MIME]["holds"] is True
    assert "A beats B: 0.200 (95 % interval −0.048 to 0.448, 3 seeds)" in bundle["text/plain"]
    json.dumps(bundle[MIME])
    with pytest.raises(AssertionError, match="do not bear this out: A beats B: 0.1"):
        claim("A beats B", 0.1, holds=False)
    with pytest.raises(AssertionError):
        claim("forgotten condition", 0.1)
    with pytest.raises(ValueError, match="needs a number"):
        claim("A", float("nan"), holds=True)


def test_figures_carry_alt_text_and_are_small():
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    picture = show(figure, alt='a line from 0 to "1"')
    assert 'alt="a line from 0 to &quot;1&quot;"' in picture._repr_html_()
    assert len(picture.png) < 60_000 and not plt.get_fignums()
    with pytest.raises(ValueError, match="alt is empty"):
        show(plt.figure(), alt=" ")
    plt.close("all")


def test_every_diagram_draws_and_shapes_are_checked():
    files = [*PACKAGE.glob("**/diagrams.py")]
    drawn = {}
    for path in files:
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        own = vars(import_module(name))
        drawn |= {f: own[f] for f in own if getattr(own[f], "__module__", None) == name}
    assert len(drawn) >= 13
    for draw in drawn.values():
        assert draw().png.startswith(b"\x89PNG")
    model, x = MLP(2, (3,)), torch.zeros(4, 2)
    good = {"h": Box("linear", 0, 0, ("B", 3), "layers.0")}
    plt.close(architecture(model, [x], {"B": 4}, good, []))
    with pytest.raises(ValueError, match="module 'layers.0' gave"):
        architecture(model, [x], {"B": 4}, {"h": Box("linear", 0, 0, ("B", 5), "layers.0")}, [])
    with pytest.raises(ValueError, match="MLP has none"):
        architecture(model, [x], {"B": 4}, {"h": Box("linear", 0, 0, ("B", 3), "nope")}, [])


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


@pytest.mark.parametrize("name", widgets.__all__)
def test_no_widget_takes_a_number_that_json_has_not(name):
    """Whatever trait of whatever widget could hold one."""
    kind = getattr(widgets, name)
    empty = kind.__new__(kind)
    AnyWidget.__init__(empty)
    for trait_name in kind.class_own_traits(sync=True):
        for bad in (math.nan, math.inf):
            for value in (bad, [bad], [{"x": bad}], {"x": bad}):
                with pytest.raises((ValueError, TraitError)):
                    setattr(empty, trait_name, value)


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


def test_train_together_trains_each_copy_as_if_alone():
    ids, likes = experiments.xor()
    x = ids.float()
    loss = lambda m: torch.nn.functional.binary_cross_entropy_with_logits(m(x).squeeze(-1), likes)
    make = lambda: MLP(2, (4,))
    together = experiments.one_per_seed(make, [0, 1, 2])
    experiments.train_together(together, loss, steps=30)
    for seed in (0, 1, 2):
        [alone] = experiments.one_per_seed(make, [seed])
        experiments.train_together([alone], loss, steps=30)
        assert torch.allclose(together[seed](x), alone(x), atol=1e-6)


def test_the_boundary_widget_tells_what_it_shows():
    runs = experiments.xor_boundaries((2, 4), seeds=(0, 1), n_steps=20, pictures=4, grid=5)
    widget = boundary_frames(runs)
    assert len(widget.alts) == 2 * len(runs.steps)
    assert f"{runs.loss[1, -1]:.3f}" in widget.alts[-1] and "4 hidden units" in widget.alts[-1]
    assert len(widget.data) == 2 * len(runs.steps) * 25


def test_best_values_is_the_truncated_svd():
    table = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(experiments.best_values(table, 6), table, atol=1e-5)
    error = (experiments.best_values(table, 2) - table).square().sum()
    assert error.item() == pytest.approx(
        torch.linalg.svdvals(table)[2:].square().sum().item(), rel=1e-4
    )


def test_learned_signs_of_two_tribes_need_one_factor():
    table = experiments_tables()["two tribes"][None]
    signs = experiments.learned_signs(table, dims=[1, 2], restarts=4, steps=300)
    assert torch.equal(signs[0, 0], table[0])


def experiments_tables():
    from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import preference_matrices

    return preference_matrices(8)


def test_source_shows_the_code_folded():
    shown = source(MLP)
    assert "class MLP" in repr(shown) and shown._repr_html_().startswith("<details")


def test_records_are_whole_and_name_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    Run("ch01/r", [0, 1]).write({"x": 1.5})
    assert read_record("ch01/r")["figures"] == {"x": 1.5}
    with pytest.raises(ValueError, match="name is 'ch01/q'; the records are"):
        read_record("ch01/q")
    (tmp_path / "ch01" / "r.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks command"):
        read_record("ch01/r")
    with pytest.raises(ValueError):
        Run("ch01/r", [0]).write({"x": float("nan")})


def test_training_curves_show_every_epoch_and_the_one_that_was_kept(monkeypatch):
    monkeypatch.setattr(plots, "show", lambda figure, alt: (figure, alt))
    history = History(loss=[3.0, 2.0, 1.5], score=[0.1, 0.9, 0.3], best_epoch=1, best_score=0.9)
    figure, alt = plots.training_curves(history)
    loss, score = figure.axes
    assert loss.lines[0].get_ydata().tolist() == history.loss
    assert score.lines[0].get_ydata().tolist() == history.score
    assert score.lines[1].get_xdata()[0] == 2 and "best in epoch 2, at 0.9" in alt
    figure, alt = plots.training_curves(History(loss=[3.0, 2.0], best_epoch=1))
    assert len(figure.axes) == 1 and "validation" not in alt
    with pytest.raises(ValueError, match="history is empty"):
        plots.training_curves(History())
