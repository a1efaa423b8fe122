"""Nearest neighbours: exact, and approximate as good as they say."""

import math
import warnings
from pathlib import Path

import pytest
import torch

from recsys_book.data.interactions import ABSENT
from recsys_book.index import KINDS, build_index, recall

N, D = 600, 8


def draw(seed: int, n: int) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed))


VECTORS, QUERIES = draw(0, N), draw(1, 20)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", [False, True])
def test_every_kind_finds_the_largest_products(kind, normalize):
    index = build_index(VECTORS, kind, normalize=normalize)
    assert len(index) == N
    scores, ids = index.search(QUERIES, 10, None if kind in ("exact", "flat") else 200)
    vectors = VECTORS / VECTORS.norm(dim=1, keepdim=True) if normalize else VECTORS
    truth = QUERIES @ vectors.T
    exact = truth.topk(10, dim=1)
    assert recall(ids, exact.indices) > (0.999 if kind in ("exact", "flat") else 0.97)
    assert bool((scores.diff(dim=1) <= 0).all())
    torch.testing.assert_close(scores, truth.gather(1, ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_more_effort_finds_more(kind):
    index = build_index(VECTORS, kind, n_lists=20, links=4, ef_construction=8)
    exact = build_index(VECTORS).search(QUERIES, 10)[1]
    found = [recall(index.search(QUERIES, 10, effort)[1], exact) for effort in (1, 10, 400)]
    assert found == sorted(found) and found[0] < found[-1]


def test_what_is_not_found_is_marked():
    index = build_index(VECTORS, "ivf", n_lists=100)
    scores, ids = index.search(QUERIES, 50, effort=1)  # one list of about six
    missing = ids == ABSENT
    assert bool(missing.any()) and bool((scores[missing] == -torch.inf).all())
    assert bool((missing.long().diff(dim=1) >= 0).all())  # at the end


def test_recall_is_the_share_of_the_exact_ones_found():
    exact = torch.tensor([[1, 2, 3, 4]])
    assert recall(torch.tensor([[4, 9, 1, 8]]), exact) == 0.5
    assert recall(torch.tensor([[3, ABSENT, ABSENT, ABSENT]]), exact) == 0.25


def long_tailed(n=3_000, dim=16, spread=1.5):
    """Directions all alike, lengths lognormal: the longest is a hundred times the usual one."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    items = torch.nn.functional.normalize(draw(n, dim)) * (spread * draw(n, 1)).exp()
    return items, draw(60, dim)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_the_default_effort_is_enough_where_lengths_have_a_long_tail(kind, scale):
    items, queries = long_tailed()
    truth = build_index(items).search(queries, 100)
    index = build_index(items * scale, kind)
    scores, ids = index.search(queries / scale, 100)
    assert recall(ids, truth[1]) > 0.8  # measured: .95 and more
    assert abs(index.expected_recall - recall(ids, truth[1])) < 0.15  # and it says so itself
    kept = (
        (queries[:, None] * items[ids.clamp(min=0)]).sum(-1).masked_fill(ids == ABSENT, -math.inf)
    )
    torch.testing.assert_close(scores, kept, rtol=1e-4, atol=1e-4)


def test_lists_of_lifted_vectors_find_more_where_films_share_a_direction():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    shared = torch.eye(16)[0]
    items = 0.6 * draw(3_000, 16) + 3 * draw(3_000, 1) * shared
    asked = 0.7 * draw(60, 16) + 1.5 * shared
    truth = build_index(items).search(asked, 100)[1]
    found = {}
    for lift in (True, False):
        index = build_index(items, "ivf", lift=lift)
        found[lift] = recall(index.search(asked, 100, effort=5)[1], truth)  # of 75 lists
    assert found[True] > found[False] + 0.2
    assert recall(build_index(items, "ivf").search(asked, 100)[1], truth) > 0.85


def test_a_giant_among_the_items_does_not_hide_the_others():
    vectors = VECTORS.abs()
    vectors[0] = 1e12  # beside it float32 rounds the other lengths away
    truth = build_index(vectors).search(QUERIES.abs(), 20)[1]
    assert recall(build_index(vectors, "ivf").search(QUERIES.abs(), 20)[1], truth) > 0.8


def test_equal_items_are_found_whichever_of_them():
    for kind in ("ivf", "hnsw"):
        assert build_index(torch.ones(200, 4), kind).expected_recall == 1
    assert build_index(VECTORS).expected_recall == build_index(VECTORS, "flat").expected_recall == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_query_and_a_query_of_zeros(kind):
    index = build_index(VECTORS, kind)
    scores, ids = index.search(QUERIES[:0], 7)
    assert scores.shape == ids.shape == (0, 7)
    assert (scores.dtype, ids.dtype) == (torch.float32, torch.int64)
    scores, ids = index.search(torch.zeros(2, D), 7)
    assert bool(torch.isfinite(scores[ids != ABSENT]).all())
    with pytest.raises(ValueError, match="queries has shape"):
        index.search(torch.empty(0), 7)


def test_lengths_that_float32_cannot_square_are_refused():
    long = VECTORS.clone()
    long[3] = 1e19
    for kind in ("ivf", "hnsw"):
        with pytest.raises(ValueError, match=r"vectors has length 2.83e\+19 in row 3"):
            build_index(long, kind)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build_index(torch.empty(0, 8)), "one item at least"),
        (lambda: build_index(torch.empty(3, 0)), "one item at least"),
        (lambda: build_index(torch.full((3, 2), math.nan)), "vectors contains NaN"),
        (lambda: build_index(VECTORS, "annoy"), "kind is 'annoy'"),
        (lambda: build_index(VECTORS, "ivf", n_lists=N + 1), "n_lists is 601"),
        (lambda: build_index(VECTORS, "hnsw", links=1), "links is 1"),
        (lambda: build_index(VECTORS, "ivf", n_lists=0), "n_lists is 0"),
        (lambda: build_index(VECTORS, catalogue=Path("v1")), "must be a text"),
        (
            lambda: build_index(torch.tensor([[1e300, 1.0]]).double() * 1e8),
            "vectors contains inf|float32",
        ),
        (lambda: build_index(torch.zeros(2, 3), normalize=True), "only zeros in row 0"),
        (lambda: build_index(VECTORS, "hnsw").search(QUERIES, 3, effort=2.5), "effort is 2.5"),
        (lambda: recall(torch.zeros(1, 3), torch.zeros(2, 3)), "found has shape"),
        (lambda: build_index(VECTORS).search(QUERIES[:, :4], 3), r"must be \[B, 8\]"),
        (lambda: build_index(VECTORS).search(QUERIES[0], 3), r"must be \[B, 8\]"),
        (lambda: build_index(VECTORS).search(QUERIES * math.nan, 3), "queries contains NaN"),
        (lambda: build_index(VECTORS).search(QUERIES, 0), "k is 0"),
        (lambda: build_index(VECTORS).search(QUERIES, N + 1), "k is 601"),
        (lambda: build_index(VECTORS).search(QUERIES, 3, effort=9), "effort is given"),
        (lambda: build_index(VECTORS, "hnsw").search(QUERIES, 3, effort=0), "effort is 0"),
        (lambda: build_index(VECTORS, "ivf").search(QUERIES, 3, effort=True), "effort is True"),
        (lambda: build_index(VECTORS, "hnsw", ef_construction=0.5), "ef_construction is 0.5"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_lifted_graph_finds_what_a_plain_one_does_not_where_films_differ_in_popularity():
    """Along one direction that all queries share, as trained vectors do. Of vectors that share
    nothing the plain graph finds more."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    shared = torch.eye(16)[0]
    found = {}
    for popularity in (0.0, 3.0):
        items = 0.6 * draw(5_000, 16) + popularity * draw(5_000, 1) * shared
        asked = 0.7 * draw(100, 16) + popularity / 2 * shared
        truth = build_index(items).search(asked, 50)[1]
        for lift in (True, False):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the plain one finds little is what is shown
                index = build_index(items, "hnsw", lift=lift)
            scores, ids = index.search(asked, 50)
            found[popularity, lift] = recall(ids, truth)
            assert torch.allclose(scores, (asked[:, None] * items[ids]).sum(-1), atol=1e-3)
            assert bool((scores[:, :-1] >= scores[:, 1:]).all())
    assert found[3.0, True] > 0.95 and found[3.0, False] < 0.8
    assert found[0.0, False] > found[0.0, True]
