"""EmbeddingExplorer: what it packs, what it refuses. How it moves is tested in a browser."""

import json
import re

import numpy as np
import pytest
import torch

from recsys_book.embeddings import nearest
from recsys_book.widgets import EmbeddingExplorer

N, E, K = 40, 3, 4
TITLES = [f"Film {i}" for i in range(N)]
GENRES = [("drama", "comedy", "crime")[i % 3] for i in range(N)]


def parts():
    generator = torch.Generator().manual_seed(0)
    snapshots = [torch.randn(N, 5, generator=generator) for _ in range(E)]
    maps = [10 * np.random.RandomState(e).randn(N, 2) for e in range(E)]
    return snapshots, maps


def explorer(**more):
    snapshots, maps = parts()
    options = {
        "snapshots": snapshots,
        "maps": maps,
        "titles": TITLES,
        "title": "Films",
        "epochs": [0, 1, 5],
        "colourings": {"genre": GENRES, "popularity": list(range(N))},
        "captions": ["a", "b", "c"],
        "k": K,
    } | more
    return EmbeddingExplorer.from_vectors(**options)


def test_neighbours_and_their_distances_are_packed_in_order():
    widget = explorer(measures=("cosine distance", "dot product"))
    rows = np.frombuffer(widget.neighbours, "<u2").reshape(2, E, N, K)
    packed = np.frombuffer(widget.values, "<u2").reshape(2, E, N, K) / 65_535
    for m, (by, sign, shift) in enumerate([("cosine", -1, 1), ("dot product", 1, 0)]):
        about = widget.measures[m]
        values = about["low"] + (about["high"] - about["low"]) * packed[m]
        for e, snapshot in enumerate(parts()[0]):
            expected, alike = nearest(snapshot, K, by=by)
            assert np.array_equal(rows[m, e], expected.numpy())
            assert np.allclose(values[e], shift + sign * alike.numpy(), atol=1e-3)
    assert widget.index == E - 1 and widget.selected == -1


def test_maps_keep_their_shape_and_fill_the_square():
    wide = np.stack([np.linspace(0, 8, N), np.linspace(3, 5, N)], axis=1)
    widget = explorer(maps=[wide] * E)
    xy = np.frombuffer(widget.coordinates, "<u2").reshape(E, N, 2) / 65_535
    assert xy[0, :, 0].min() == 0 and xy[0, :, 0].max() == 1
    assert xy[0, :, 1].min() == pytest.approx(0.375, abs=1e-4)
    assert xy[0, :, 1].max() == pytest.approx(0.625, abs=1e-4)


def test_colours_are_categories_or_places_in_the_order():
    widget = explorer(colourings={"genre": GENRES, "popularity": [0] * 20 + list(range(1, 21))})
    genre, place = np.frombuffer(widget.colours, np.uint8).reshape(2, N)
    labels = widget.colourings[0]["labels"]
    assert [labels[c] for c in genre] == GENRES and labels == sorted(set(GENRES))
    assert (
        place[:20].max() == 0 and place[-1] == 255 and (np.diff(place[20:].astype(int)) > 0).all()
    )
    assert widget.colourings[1]["high"] == "highest (20)"


def test_every_map_is_told_in_words():
    widget = explorer()
    assert widget.alts == [f"Map of 40 films, epoch {e}. {c}" for e, c in zip([0, 1, 5], "abc")]  # noqa: B905


def test_payload_of_a_thousand_films_over_twelve_epochs():
    n = 1_000
    snapshots = [torch.randn(n, 8) for _ in range(12)]
    flat = [np.random.RandomState(0).randn(n, 2)] * 12
    widget = EmbeddingExplorer.from_vectors(
        snapshots, flat, [f"A film called {i}" for i in range(n)], title="t", epochs=range(12),
        colourings={"genre": ["a", "b"] * 500},
    )  # fmt: skip
    assert widget.payload < 400_000


def test_the_plain_page_holds_everything_and_no_title_can_break_out():
    bad = ["</script><script>alert(1)</script>", *TITLES[1:]]
    page = explorer(titles=bad).to_html()
    assert page.count("</script>") == 1 and page.count("<script") == 1
    assert not re.search(r"https?://|import ", page.replace("http://www.w3.org", ""))
    state = json.loads(re.search(r"const state = (\{.*\});", page)[1])
    assert state["titles"] == bad and state["axis"]["labels"] == ["0", "1", "5"]
    packed = json.loads(re.search(r"const packed = (\{.*\});", page)[1])
    assert set(packed) == {"coordinates", "neighbours", "values", "colours"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"titles": TITLES[1:]}, "not \\[39, D\\]"),
        ({"titles": ["", *TITLES[1:]]}, "empty one"),
        ({"epochs": [0, 1]}, "epochs are 2 for 3"),
        ({"captions": ["a"]}, "captions are 1 for 3"),
        ({"details": ["x"]}, "details are 1 for 40"),
        ({"maps": [np.zeros((N, 3))] * E}, "maps contains shape"),
        ({"maps": [np.full((N, 2), np.nan)] * E}, "NaN"),
        ({"snapshots": [torch.full((N, 2), torch.nan)] * E}, "vectors"),
        ({"colourings": {}}, "colourings is empty"),
        ({"colourings": {"genre": GENRES[1:]}}, "39 values for 40"),
        ({"colourings": {"id": TITLES}}, "40 categories"),
        ({"colourings": {"p": [np.nan] * N}}, "finite"),
        ({"colourings": {"g": ["a", 1] * 20}}, "mixes words and numbers"),
        ({"titles": [None, *TITLES[1:]]}, "empty one"),
        ({"title": " "}, "title is empty"),
        ({"measures": ["euclid"]}, "measures is"),
        ({"k": 40}, "more than k = 40"),
        ({"start": 3}, "start is 3"),
        ({"snapshots": parts()[0][:1]}, "two or more"),
    ],
)
def test_the_explorer_refuses_what_does_not_fit(more, message):
    with pytest.raises(ValueError, match=message):
        explorer(**more)


def test_what_may_be_set_is_held_to_its_range():
    widget = explorer()
    widget.selected, widget.index, widget.colouring = N - 1, 0, 1
    for name, bad in (("selected", N), ("selected", -2), ("index", E), ("measure", 1)):
        with pytest.raises(ValueError, match=f"{name} is {bad}"):
            setattr(widget, name, bad)
    assert (widget.selected, widget.index) == (N - 1, 0)


def test_numbers_are_shown_as_exactly_as_two_bytes_carry_them():
    snapshots = [1_000 * s for s in parts()[0]]
    widget = explorer(snapshots=snapshots, measures=("cosine distance", "dot product"))
    assert [m["decimals"] for m in widget.measures] == [2, 0]
    ramp = explorer(colourings={"stars": [3.4] * 20 + [3.49] * 20}).colourings[0]
    assert (ramp["low"], ramp["high"]) == ("lowest (3.4)", "highest (3.49)")
    tied = np.frombuffer(explorer(colourings={"p": [0] + [1] * (N - 1)}).colours, np.uint8)
    assert tied[0] == 0 and (tied[1:] == 255).all()


def test_a_map_as_wide_as_numbers_go_keeps_its_shape():
    far = 1.7e308 * np.linspace(-1, 1, N)
    xy = np.frombuffer(explorer(maps=[np.stack([far, far], 1)] * E).coordinates, "<u2")
    assert (np.diff(xy.reshape(E, N, 2)[0].astype(int), axis=0) > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_that_json_has_not_travels_with_the_explorer(bad):
    widget = explorer()
    for name, value in (
        ("measures", [{"name": "m", "low": bad, "high": 1.0}]),
        ("colourings", [{"low": bad}]),
        ("axis", {"labels": [bad]}),
    ):
        with pytest.raises(ValueError, match=f"{name}.* is {bad}; it must be a finite number"):
            setattr(widget, name, value)
    state = re.search(r"const state = (\{.*\});", widget.to_html())[1]
    assert "NaN" not in state and "Infinity" not in state
    for odd in (0, -5):
        with pytest.raises(ValueError, match="interval is"):
            widget.interval = odd
