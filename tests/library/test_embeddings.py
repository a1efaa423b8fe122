"""Tables of vectors: padding, hashing, neighbours, vectors for the new."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from recsys_book.embeddings import (
    HashedEmbedding,
    PaddedEmbedding,
    expected_colliding,
    hash_ids,
    nearest,
    share_colliding,
)


def vectors(n=30, dim=4, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_the_padding_row_never_trains_under_weight_decay_either(optimizer):
    layer = PaddedEmbedding(5, 3)
    target = torch.ones(2, 4, 3)
    ids = torch.tensor([[0, 1, 5, 5], [4, 5, 5, 5]])
    step = getattr(torch.optim, optimizer)(layer.parameters(), lr=0.1, weight_decay=0.1)
    start = layer.table.weight.detach().clone()
    for _ in range(5):
        step.zero_grad()
        (layer(ids) - target).square().mean().backward()
        assert torch.equal(layer.table.weight.grad[5], torch.zeros(3))
        step.step()
    assert torch.equal(layer.table.weight[5], torch.zeros(3))
    assert not torch.equal(layer.table.weight[0], start[0])
    # The trap this class is there for: an initialization over the whole table fills the row.
    plain = torch.nn.Embedding(6, 3, padding_idx=5)
    torch.nn.init.normal_(plain.weight)
    assert plain(torch.tensor([5])).abs().sum() > 0


def test_padded_embedding_limits():
    layer = PaddedEmbedding(5, 3)
    with pytest.raises(ValueError, match="ids"):
        layer(torch.tensor([6]))
    for bad in ({"n": 0}, {"dim": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            PaddedEmbedding(**({"n": 5, "dim": 3} | bad))


def test_hashes_are_the_same_everywhere_and_keep_large_ids_apart():
    ids = torch.tensor([0, 1, 2, 2**24, 2**24 + 1, 2**62, -5])
    assert hash_ids(ids, 1_000).tolist() == HASHES
    big = torch.arange(2**40, 2**40 + 1_000)
    assert len(hash_ids(big, 2**40).unique()) == 1_000
    assert hash_ids(ids.view(7, 1), 10).shape == (7, 1)
    assert hash_ids(torch.tensor(1), 1_000).item() == HASHES[1]
    assert hash_ids(["tt01", "tt02"], 1_000).tolist() == hash_ids(["tt01", "tt02"], 1_000).tolist()
    assert hash_ids(["tt01", "tt02"], 2**30).unique().numel() == 2
    with pytest.raises(ValueError, match="float32"):
        hash_ids(torch.tensor([1.0]), 10)
    assert hash_ids([0, 1], 1_000).tolist() == HASHES[:2]  # numbers are numbers in a list too
    for bad in (0, 2.5):
        with pytest.raises(ValueError, match="n_buckets"):
            hash_ids(ids, bad)


#: splitmix64 worked out in Python's own unbounded integers.
def _by_hand(i: int, n: int, seed: int = 0) -> int:
    mask = 2**64 - 1
    x = (i + 0x9E3779B97F4A7C15 * (2 * seed + 1)) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return (x ^ (x >> 31)) % n


HASHES = [_by_hand(i, 1_000) for i in (0, 1, 2, 2**24, 2**24 + 1, 2**62, -5)]


def test_collisions_are_as_many_as_chance_has_them():
    for n, m in ((2_000, 2_000), (2_000, 500), (2_000, 20_000)):
        measured = share_colliding(hash_ids(torch.arange(n), m))
        assert measured == pytest.approx(expected_colliding(n, m), abs=0.03)
    assert share_colliding(torch.tensor([3, 1, 3, 2])) == 0.5
    # Two hashes: the order of an id's places does not matter, as its rows are added.
    assert share_colliding(torch.tensor([[1, 2], [2, 1], [1, 1]])) == pytest.approx(2 / 3)
    two = HashedEmbedding(2_000, 1, n_hashes=2).buckets(torch.arange(2_000))
    assert share_colliding(two) < 0.01


def test_a_hashed_vector_is_the_sum_of_its_rows():
    layer = HashedEmbedding(50, 3, n_hashes=2)
    ids = torch.tensor([[7, 8], [9, 7]])
    rows = layer.buckets(ids)
    by_hand = layer.table.weight[rows[..., 0]] + layer.table.weight[rows[..., 1]]
    assert torch.equal(layer(ids), by_hand)
    assert torch.equal(layer(ids)[0, 0], layer(ids)[1, 1])
    wide = HashedEmbedding(20_000, 8, n_hashes=4, init_std=0.5)
    assert wide(torch.arange(5_000)).detach().std().item() == pytest.approx(0.5, rel=0.1)
    other = HashedEmbedding(50, 3, n_hashes=2, seed=1)
    assert not torch.equal(other.buckets(ids), rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 9), batch=st.sampled_from([1, 7, 64]))
def test_nearest_by_cosine_agrees_with_scikit_learn(seed, k, batch):
    v = vectors(20, 5, seed)
    rows, values = nearest(v, k, batch_size=batch)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(v.numpy())
    distance, expected = search.kneighbors(return_distance=True)
    assert np.allclose(1 - values.numpy(), distance, atol=1e-5)
    agree = (rows.numpy() == expected) | np.isclose(np.diff(distance, append=9), 0, atol=1e-5)
    assert agree.mean() > 0.9


def test_nearest_by_dot_product_by_hand_and_among_some():
    v = torch.tensor([[1.0, 0], [2, 0.1], [9, 0], [0, 3], [0, 0]])
    rows, values = nearest(v, 2, by="dot product")
    assert rows[0].tolist() == [2, 1] and values[0].tolist() == [9, 2]
    assert rows[3].tolist()[0] == 1
    among = torch.tensor([True, True, False, True, False])
    rows, _ = nearest(v, 2, by="dot product", among=among)
    assert rows[0].tolist() == [1, 3] and set(rows[2].tolist()) == {0, 1}
    assert torch.equal(nearest(v, 1)[1][4], torch.zeros(1))  # a vector of length zero
    for more, message in [
        ({"k": 5}, "k is 5 with 5"),
        ({"k": 2, "by": "l2"}, "by is 'l2'"),
        ({"k": 0}, "k"),
        ({"k": 3, "among": among}, "k is 3 with 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            nearest(v, **more)
    with pytest.raises(ValueError, match="vectors"):
        nearest(torch.full((3, 2), torch.nan), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest(torch.arange(40).view(10, 4), 2), "floating point"),
        (lambda: nearest(vectors(), 2.5), "k is 2.5"),
        (lambda: nearest(vectors(), 2, among=torch.ones(5, dtype=torch.bool)), "among has shape"),
        (lambda: nearest(vectors(), 2, among=torch.ones(30, dtype=torch.int64)), "among has"),
        (lambda: share_colliding(torch.zeros(0).long()), "buckets is empty"),
        (lambda: hash_ids([1.0, 2.0], 10), "ids is"),
        (lambda: hash_ids([1, "a"], 10), "ids is"),
        (lambda: hash_ids("abc", 10), "ids is"),
        (lambda: nearest(vectors() * 1e30, 2, by="dot product"), "products of vectors"),
        (lambda: HashedEmbedding(5, 2, n_hashes=1.5), "n_hashes is 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_vectors_under_training_are_read_and_not_tracked():
    v = vectors().requires_grad_()
    assert not nearest(v, 2)[1].requires_grad


@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1e15, 1e30])
def test_cosines_do_not_depend_on_the_scale(scale):
    rows, values = nearest(vectors(), 3)
    scaled_rows, scaled_values = nearest(vectors() * scale, 3)
    assert torch.equal(rows, scaled_rows)
    assert torch.allclose(values, scaled_values, atol=1e-5)
    half = torch.zeros(4, 2).half()
    assert torch.equal(nearest(half, 2)[1], torch.zeros(4, 2))
