"""Matrix factorization: scores, the additive model, bad ids."""

import pytest
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import (
    xor,
)
from recsys_book.models.matrix_factorization import MatrixFactorization


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


def test_xor_by_a_dot_product_of_length_one_is_exact():
    ids, likes = xor()
    model = MatrixFactorization(2, 2, dim=1, biases=False)
    model.user_vectors.weight.data = torch.tensor([[1.0], [-1.0]])
    model.item_vectors.weight.data = torch.tensor([[-1.0], [1.0]])
    assert torch.equal(model(ids[:, 0], ids[:, 1]), 2 * likes - 1)
