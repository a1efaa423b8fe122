"""Look-ups, bags, masked means and the MLP."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from recsys_book.layers import MLP, FieldEmbedding, FieldLinear, look_up, masked_mean


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


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_look_up_has_the_gradient_of_indexing(ids):
    ids = torch.tensor(ids, dtype=torch.int64)
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(ids), 3, dtype=torch.float64)
    assert torch.equal(look_up(table, ids), table[ids])
    [ours] = torch.autograd.grad((look_up(table, ids) * weight).sum(), table)
    [theirs] = torch.autograd.grad((F.embedding(ids, table) * weight).sum(), table)
    assert torch.allclose(ours, theirs)
