"""The content model against its formula."""

import pytest
import torch

from recsys_book.models.content_factorization import ContentFactorization
from recsys_book.models.matrix_factorization import MatrixFactorization


def filled(id_dropout=0.0):
    """Every weight something other than 0: 5 users, 7 items, 3 columns of content."""
    torch.manual_seed(0)
    model = ContentFactorization(5, torch.randn(7, 3), dim=4, id_dropout=id_dropout)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model


def pairs():
    return torch.arange(5).repeat_interleave(7), torch.arange(7).repeat(5)


def test_the_logit_is_the_formula():
    model = filled()
    users, items = pairs()
    expected = []
    for u, i in zip(users.tolist(), items.tolist(), strict=True):
        c = model.content[i]
        q = model.id_vectors.weight[i] + model.content_vectors.weight @ c
        bias = model.id_bias.weight[i, 0] + model.content_bias.weight[0] @ c
        expected.append(
            model.bias + model.user_bias.weight[u, 0] + bias + model.user_vectors.weight[u] @ q
        )
    assert torch.allclose(model(users, items), torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("id_dropout", [0.0, 0.5, 1.0])
def test_score_is_forward_in_eval_mode(id_dropout):
    model = filled(id_dropout).eval()
    model.set_known(torch.arange(7) != 3)
    users, items = pairs()
    assert torch.allclose(model.score(torch.arange(5)).flatten(), model(users, items), atol=1e-5)
    whole = model.user_vectors.weight @ model.item_vectors().T + model.item_biases()
    whole = whole + model.bias + model.user_bias.weight
    assert torch.allclose(whole, model.score(torch.arange(5)), atol=1e-5)


def test_without_content_it_is_matrix_factorization():
    model, plain = filled(), MatrixFactorization(5, 7, 4)
    model.content.zero_()
    for ours, theirs in (
        (plain.user_vectors, model.user_vectors), (plain.item_vectors, model.id_vectors),
        (plain.user_bias, model.user_bias), (plain.item_bias, model.id_bias),
    ):  # fmt: skip
        ours.weight.data.copy_(theirs.weight)
    plain.bias.data.copy_(model.bias)
    assert torch.allclose(plain(*pairs()), model(*pairs()), atol=1e-6)


def changed_ids(model, rows):
    model.id_vectors.weight.data[rows] += 1
    model.id_bias.weight.data[rows] += 1


def test_unknown_items_go_by_content_alone():
    model = filled()
    model.set_known(torch.arange(7) != 3)
    before, vectors = model.score(torch.arange(5)), model.item_vectors()
    changed_ids(model, [3])
    assert torch.equal(model.score(torch.arange(5)), before)
    assert torch.allclose(vectors[3], model.content_vectors.weight @ model.content[3], atol=1e-6)
    changed_ids(model, [2])
    after = model.score(torch.arange(5))
    assert torch.equal(after[:, 3], before[:, 3]) and not torch.equal(after[:, 2], before[:, 2])


@pytest.mark.parametrize("training", [True, False])
def test_with_id_dropout_1_the_ids_have_no_say(training):
    model = filled(1.0).train(training)
    before, score = model(*pairs()), model.score(torch.arange(5))
    changed_ids(model, slice(None))
    assert torch.equal(model(*pairs()), before)
    assert torch.equal(model.score(torch.arange(5)), score)
    model(*pairs()).sum().backward()
    assert not model.id_vectors.weight.grad.any() and model.content_vectors.weight.grad.any()


def test_ids_are_dropped_example_by_example_and_only_in_training():
    model = filled(0.3)
    users, items = torch.zeros(20_000, dtype=torch.int64), torch.full((20_000,), 2)
    torch.manual_seed(1)
    values = model(users, items).detach()
    whole, alone = model.eval()(users[:1], items[:1]), None
    model.set_known(torch.zeros(7, dtype=torch.bool))
    alone = model(users[:1], items[:1])
    dropped = (values - alone).abs() < 1e-5
    assert (dropped | ((values - whole).abs() < 1e-5)).all()
    assert float(dropped.double().mean()) == pytest.approx(0.3, abs=0.015)
    assert torch.equal(filled(0.3).eval()(*pairs()), filled(0.0)(*pairs()))


def test_bad_models():
    content = torch.ones(3, 2)
    for arguments, message in (
        ((0, content), "n_users is 0"), ((2, content, 0), "dim is 0"),
        ((2, content, 4, 1.5), "id_dropout is 1.5"), ((2, content, 4, float("nan")), "id_dropout"),
        ((2, content[0]), "content has shape"), ((2, content * torch.nan), "content contains NaN"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            ContentFactorization(*arguments)
    model = ContentFactorization(2, content)
    with pytest.raises(ValueError, match="items contains 3"):
        model(torch.tensor([0]), torch.tensor([3]))
    with pytest.raises(ValueError, match="users contains 2"):
        model.score(torch.tensor([2]))
    with pytest.raises(ValueError, match="known has shape"):
        model.set_known(torch.ones(2, dtype=torch.bool))
