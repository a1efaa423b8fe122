"""Layers, models and losses."""

import math

import pytest
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import (
    noisy_corners,
    one_true_love_in_three,
    parity,
    preference_matrices,
    xor,
)
from recsys_book.data.interactions import Interactions
from recsys_book.layers import MLP, FieldEmbedding, FieldLinear, masked_mean
from recsys_book.losses import bce
from recsys_book.models.baselines import Popularity
from recsys_book.models.factorization_machine import FactorizationMachine, pairwise_sum
from recsys_book.models.matrix_factorization import MatrixFactorization


def test_masked_mean_ignores_padding_and_survives_an_empty_bag():
    vectors, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [0, 0, 0]]).bool()
    pooled = masked_mean(vectors, mask)
    assert torch.allclose(pooled[0], vectors[0, :2].mean(0))
    assert torch.equal(pooled[1], torch.zeros(4))
    longer = torch.cat([vectors, torch.randn(2, 5, 4)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(2, 5).bool()], dim=1)
    assert torch.equal(masked_mean(longer, longer_mask), pooled)
    with pytest.raises(ValueError, match="mask has shape"):
        masked_mean(vectors, mask[:, :2])


def test_fields_do_not_share_rows():
    layer = FieldEmbedding([3, 4], dim=2)
    layer.table.weight.data = torch.arange(14.0).view(7, 2)
    assert layer(torch.tensor([[2, 0]])).tolist() == [[[4, 5], [6, 7]]]


def test_a_bag_is_the_mean_of_its_fields_vectors():
    layer = FieldEmbedding([3, 4], dim=2, init_std=1)
    bag, mask = torch.tensor([[1, 3, 0]]), torch.tensor([[True, True, False]])
    pooled = layer(torch.tensor([[2, 0]]), {1: (bag, mask)})[0, 2]
    assert torch.allclose(pooled, layer.table.weight[[4, 6]].mean(0))


@pytest.mark.parametrize("bad", [[[3, 0]], [[0, 4]], [[-1, 0]]])
def test_field_ids_out_of_range_name_the_field(bad):
    with pytest.raises(ValueError, match=r"ids contains -?\d in field \d; its ids must run"):
        FieldLinear([3, 4])(torch.tensor(bad))


def test_mlp_without_hidden_layers_is_linear():
    model = MLP(3)
    a, b = torch.randn(2, 5, 3)
    zero = model(torch.zeros(5, 3))
    assert torch.allclose(model(a + b) + zero, model(a) + model(b), atol=1e-6)
    with pytest.raises(ValueError, match="width must be at least 1"):
        MLP(3, (0,))


@pytest.mark.parametrize(("dim", "biases"), [(0, True), (5, True), (5, False)])
def test_score_equals_forward_on_every_pair(dim, biases):
    model = MatrixFactorization(n_users=4, n_items=7, dim=dim, biases=biases)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    users, items = torch.cartesian_prod(torch.arange(4), torch.arange(7)).T
    table = model.score(torch.arange(4))
    assert table.shape == (4, 7)
    assert torch.allclose(table.flatten(), model(users, items), atol=1e-6)


def test_the_additive_model_orders_items_alike_for_everyone():
    model = MatrixFactorization(n_users=4, n_items=7, dim=0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    orders = model.score(torch.arange(4)).argsort(dim=1)
    assert (orders == orders[0]).all()


def test_mf_refuses_bad_ids_and_arguments():
    model = MatrixFactorization(n_users=4, n_items=7)
    good = torch.tensor([0])
    with pytest.raises(ValueError, match="users contains 4; ids must run from 0 to 3"):
        model(torch.tensor([4]), good)
    with pytest.raises(ValueError, match="items contains -1"):
        model(good, torch.tensor([-1]))
    with pytest.raises(ValueError, match="dtype torch.float32"):
        model(torch.tensor([0.0]), good)
    with pytest.raises(ValueError, match="nothing would be left"):
        MatrixFactorization(4, 7, dim=0, biases=False)
    with pytest.raises(ValueError, match="n_users is 0"):
        MatrixFactorization(0, 7)


def test_the_fm_identity_equals_the_double_sum():
    vectors = torch.randn(6, 5, 3, dtype=torch.float64)
    double_sum = sum(
        (vectors[:, i] * vectors[:, j]).sum(1) for i in range(5) for j in range(i + 1, 5)
    )
    assert torch.allclose(pairwise_sum(vectors), double_sum)


def test_fm_is_linear_part_plus_pairs():
    model = FactorizationMachine([3, 4, 2], dim=5, init_std=1)
    torch.nn.init.normal_(model.linear.weights.table.weight)
    ids = torch.tensor([[2, 3, 1], [0, 0, 0]])
    pairs = pairwise_sum(model.vectors(ids))
    assert torch.allclose(model(ids), model.linear(ids) + pairs)


def test_popularity_counts():
    train = Interactions(torch.tensor([0, 1, 1]), torch.tensor([2, 2, 0]), n_users=2, n_items=4)
    model = Popularity(train)
    assert model.score(torch.tensor([0, 1])).tolist() == [[1, 0, 2, 0]] * 2
    assert model(torch.tensor([0, 1]), torch.tensor([2, 3])).tolist() == [2, 0]


def test_interactions_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="item contains 9; ids must run from 0 to 3"):
        Interactions(torch.tensor([0]), torch.tensor([9]), n_users=2, n_items=4)
    with pytest.raises(ValueError, match="item has shape"):
        Interactions(torch.tensor([0, 1]), torch.tensor([0]), n_users=2, n_items=4)
    big = torch.tensor([2**24, 2**24 + 1])
    kept = Interactions(big, torch.tensor([0, 1]), n_users=2**25, n_items=2)
    assert kept.user.unique().numel() == 2  # float32 would have merged them


def test_bce_equals_its_formula():
    logits, labels = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.0])
    p = logits.sigmoid()
    by_hand = -(torch.log(p[0]) + torch.log(1 - p[1])) / 2
    assert bce(logits, labels).item() == pytest.approx(by_hand.item())
    with pytest.raises(ValueError, match="must be the same"):
        bce(logits[:, None], labels)


def test_toys():
    ids, likes = xor()
    assert (2 * likes.view(2, 2) - 1).tolist() == [[-1, 1], [1, -1]] and len(ids) == 4
    corners, odd = parity(3)
    assert len(corners) == 8 and odd.sum() == 4
    ranks = {n: int(torch.linalg.matrix_rank(t)) for n, t in preference_matrices(16).items()}
    assert ranks == {"two tribes": 1, "one true love": 16, "staircase": 16, "coin flips": 16}
    points, corner = noisy_corners(80, 0.1, torch.Generator().manual_seed(0))
    assert points.shape == (80, 3) and corner.bincount().tolist() == [10] * 8
    with pytest.raises(ValueError, match="multiple of 8"):
        noisy_corners(81, 0.1, torch.Generator())


@pytest.mark.parametrize("n", [3, 16, 1_000])
def test_one_true_love_has_its_signs_in_three_dimensions(n):
    users, films = one_true_love_in_three(n)
    assert users.shape == (n, 3)
    assert torch.equal(users @ films.T > 0, torch.eye(n).bool())


def test_xor_by_a_dot_product_of_length_one_is_exact():
    ids, likes = xor()
    model = MatrixFactorization(2, 2, dim=1, biases=False)
    model.user_vectors.weight.data = torch.tensor([[1.0], [-1.0]])
    model.item_vectors.weight.data = torch.tensor([[-1.0], [1.0]])
    assert torch.equal(model(ids[:, 0], ids[:, 1]), 2 * likes - 1)


def test_no_fm_beats_a_coin_on_parity_and_an_mlp_does():
    from recsys_book.chapters.ch01_mlp_vs_dot_product.runs_xor import parity_by_dim

    lowest = parity_by_dim(dims=(2, 8, 64), seeds=range(5), steps=300)
    assert min(min(v) for v in lowest["fm"].values()) >= math.log(2) - 1e-6
    assert max(lowest["mlp"]) < 0.01
