"""What the history editor packs and refuses. Its networks are run in tests/pages."""

import numpy as np
import pytest
import torch

from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.widgets import HistoryEditor
from recsys_book.widgets.history_editor import pack, rounded

N = 12
CONTEXTS = {"device": ["phone", "tv"]}


def made(**change):
    torch.manual_seed(0)
    given = {
        "generator": CandidateGenerator(N, 4, (5, 3), cardinalities=(3,)),
        "ranker": WatchTimeRanker(N, 1, (3,), dim=4, hidden=(5,)),
        "flat": np.random.RandomState(0).rand(N, 2),
        "titles": [f"Film {i}" for i in range(N)],
        "title": "Watch",
        "kinds": ["a", "b"] * 6,
        "contexts": CONTEXTS,
        "continuous": (0.5,),
        "history": [2],
        "n_candidates": 8,
        "shown": 3,
    } | change
    models = given.pop("generator"), given.pop("ranker"), given.pop("flat"), given.pop("titles")
    return HistoryEditor.from_models(*models, **given)


def test_every_weight_is_packed_once_in_sixteen_bits():
    widget = made()
    generator = CandidateGenerator(N, 4, (5, 3), cardinalities=(3,))
    ranker = WatchTimeRanker(N, 1, (3,), dim=4, hidden=(5,))
    weights, arrays = pack(generator, ranker)
    n = sum(p.numel() for m in (generator, ranker) for p in m.parameters())
    assert len(weights) == len(widget.weights) == 2 * n
    numbers = np.frombuffer(weights, dtype="<f2")
    for entry in arrays:
        model = generator if entry["name"].startswith("generator.") else ranker
        weight = rounded(model).state_dict()[entry["name"].split(".", 1)[1]]
        found = numbers[entry["start"] : entry["start"] + weight.numel()].astype("f4")
        assert np.array_equal(found.reshape(entry["shape"]), weight.numpy())


def test_a_page_of_the_books_size_is_about_a_hundred_kilobytes():
    torch.manual_seed(0)
    weights, _ = pack(
        CandidateGenerator(1_000, 16, (32, 16)), WatchTimeRanker(1_000, dim=16, hidden=(32,))
    )
    assert 90_000 < len(weights) < 110_000


def test_a_kernel_may_set_the_history_but_not_to_what_is_not_there():
    widget = made()
    widget.history = [1, 5]
    with pytest.raises(ValueError, match="history contains 12"):
        widget.history = [12]
    assert widget.history == [1, 5] and widget.payload > 300
    widget.context = [1]
    for bad in ([2], [-1], [], [0, 0]):
        with pytest.raises(ValueError, match="context is"):
            widget.context = bad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"titles": ["x"]}, "generator knows 12 items; titles are 1"),
        ({"contexts": {}}, r"contexts have \[\] ids, 0 included; the generator has \[3\]"),
        ({"continuous": ()}, "continuous has 0 values; the ranker takes 1"),
        ({"continuous": (-1.0,)}, "each must lie between 0 and 1"),
        ({"continuous": (float("nan"),)}, "each must lie between 0 and 1"),
        ({"flat": np.full((N, 2), np.nan)}, "and finite"),
        ({"kinds": ["a"]}, "kinds are 1"),
        ({"details": ["x"]}, "details are 1"),
        ({"n_candidates": 13}, "n_candidates 13, of 12 items"),
        ({"history": [40]}, "history contains 40"),
        ({"history": [2.7]}, r"history contains 2\.7"),
        ({"history": [True]}, "history contains True"),
        ({"title": ""}, "title is empty"),
    ],
)
def test_bad_input_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        made(**change)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("history", [-1]),
        ("history", [0, N]),
        ("context", [9]),
        ("continuous", [float("nan")]),
        ("continuous", [2.0]),
        ("contexts", [{"name": "x", "labels": [float("inf")]}]),
        ("n_candidates", N + 1),
        ("shown", 0),
    ],
)
def test_what_is_set_later_is_held_to_the_same_rules(name, bad):
    widget = made()
    before = getattr(widget, name)
    with pytest.raises(ValueError, match=name):
        setattr(widget, name, bad)
    assert getattr(widget, name) == before


def test_weights_too_large_for_sixteen_bits_are_refused():
    generator = CandidateGenerator(N, 4, (5, 3), cardinalities=(3,))
    torch.nn.init.constant_(generator.items.weight, 1e6)
    with pytest.raises(ValueError, match="16 bits cannot carry"):
        made(generator=generator)


def test_no_attribute_takes_a_name_that_every_widget_has():
    """`layout` is the widget's own: a page that finds numbers there cannot draw it."""
    from anywidget import AnyWidget

    from recsys_book import widgets

    for name in widgets.__all__:
        own = {key for key in vars(getattr(widgets, name)) if not key.startswith("_")}
        assert own.isdisjoint(AnyWidget.class_trait_names()), name
