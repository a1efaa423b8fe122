"""The identity of factorization machines."""

import torch

from recsys_book.models.factorization_machine import FactorizationMachine, pairwise_sum


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
