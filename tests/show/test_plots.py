"""Figures with alt text, diagrams held against the model, training curves."""

from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from recsys_book import widgets
from recsys_book.layers import MLP
from recsys_book.show import plots
from recsys_book.show.plots import Box, architecture, show
from recsys_book.train import History

PACKAGE = Path(widgets.__file__).parents[1]


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
    assert len(drawn) >= 11
    for draw in drawn.values():
        assert draw().png.startswith(b"\x89PNG")
    model, x = MLP(2, (3,)), torch.zeros(4, 2)
    good = {"h": Box("linear", 0, 0, ("B", 3), "layers.0")}
    plt.close(architecture(model, [x], {"B": 4}, good, []))
    with pytest.raises(ValueError, match="module 'layers.0' gave"):
        architecture(model, [x], {"B": 4}, {"h": Box("linear", 0, 0, ("B", 5), "layers.0")}, [])
    with pytest.raises(ValueError, match="MLP has none"):
        architecture(model, [x], {"B": 4}, {"h": Box("linear", 0, 0, ("B", 3), "nope")}, [])


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


def test_a_fold_keeps_its_picture_and_its_alt_text():
    figure, _ = plt.subplots()
    shown = plots.fold("The model <drawn>", plots.show(figure, alt="A drawing"), "A & B.")
    page = shown._repr_html_()
    assert page.startswith(
        "<details><summary><b>The model &lt;drawn&gt;</b></summary><p>A &amp; B."
    )
    assert 'alt="A drawing"' in page and repr(shown) == "[The model <drawn>: [figure: A drawing]]"
