"""GMF, MLP, NeuMF: against the equations, written out a second time; the traps of fusion."""

import pytest
import torch

from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF

U, N = 7, 11


def models(hidden=(12, 6, 4)):
    torch.manual_seed(0)
    made = [GMF(U, N, 4), NCFMLP(U, N, 6, hidden), NeuMF(U, N, 4, 6, hidden)]
    for model in made:  # vectors of .01 would hide a mistake in the tower
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
    return made


def pairs():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(U, (40,), generator=generator), torch.randint(
        N, (40,), generator=generator
    )


def mlp_by_the_equation(model: NCFMLP, users, items):
    """Equation 10 as it stands in the paper: concatenate, then layer after layer."""
    x = torch.cat([model.user_vectors.weight[users], model.item_vectors.weight[items]], -1)
    for layer in model.tower:
        x = torch.relu(x @ layer.weight.T + layer.bias)
    return x


@pytest.mark.parametrize("hidden", [(12, 6, 4), (5,), ()])
def test_mlp_is_equation_10(hidden):
    model = models(hidden)[1]
    users, items = pairs()
    top = mlp_by_the_equation(model, users, items)
    want = (top @ model.output.weight.T + model.output.bias).squeeze(-1)
    assert torch.allclose(model(users, items), want, atol=1e-5)


def test_neumf_is_equation_12():
    model = models()[2]
    users, items = pairs()
    product = model.gmf.user_vectors.weight[users] * model.gmf.item_vectors.weight[items]
    both = torch.cat([product, mlp_by_the_equation(model.mlp, users, items)], -1)
    h = torch.cat([model.gmf.output.weight, model.mlp.output.weight], -1)
    want = (both @ h.T + model.mlp.output.bias).squeeze(-1)
    assert torch.allclose(model(users, items), want, atol=1e-5)
    assert model.gmf.output.bias is None  # one bias, not two


def test_neumf_has_vectors_of_its_own_for_each_path():
    model = NeuMF(U, N)
    tables = [model.gmf.user_vectors, model.mlp.user_vectors]
    assert [t.weight.shape for t in tables] == [(U, 8), (U, 16)]
    assert [layer.out_features for layer in model.mlp.tower] == [32, 16, 8]
    assert model.mlp.tower[0].in_features == 32


def test_gmf_with_h_one_and_no_bias_is_the_dot_product():
    gmf, mf = GMF(U, N, 4, bias=False), MatrixFactorization(U, N, 4, biases=False)
    mf.user_vectors, mf.item_vectors = gmf.user_vectors, gmf.item_vectors
    torch.nn.init.ones_(gmf.output.weight)
    users, items = pairs()
    assert torch.allclose(gmf(users, items), mf(users, items))


def test_depth_0_ranks_the_same_items_first_for_everyone():
    scores = models(hidden=())[1].score(torch.arange(U))
    assert (scores.argsort(1) == scores[0].argsort()).all()
    deep = models()[1].score(torch.arange(U))
    assert not (deep.argsort(1) == deep[0].argsort()).all()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_pretrained_fusion_mixes_the_logits_bias_and_all(alpha):
    gmf, mlp, _ = models()
    model = NeuMF.from_pretrained(gmf, mlp, alpha=alpha)
    users, items = pairs()
    want = alpha * gmf(users, items) + (1 - alpha) * mlp(users, items)
    assert torch.allclose(model(users, items), want, atol=1e-6)
    before = gmf(users, items)
    with torch.no_grad():
        model.gmf.user_vectors.weight.zero_()
    assert torch.equal(gmf(users, items), before)  # copies: the parents stay as they were


def test_pretrained_fusion_of_a_gmf_without_bias():
    gmf, mlp = GMF(U, N, 4, bias=False), NCFMLP(U, N, 6, (4,))
    users, items = pairs()
    want = 0.5 * (gmf(users, items) + mlp(users, items))
    assert torch.allclose(NeuMF.from_pretrained(gmf, mlp)(users, items), want, atol=1e-7)


@pytest.mark.parametrize("which", range(3))
def test_score_is_forward_over_the_catalogue(which):
    model = models()[which]
    users = torch.tensor([3, 0, 3])
    rows = torch.stack([model(u.expand(N), torch.arange(N)) for u in users])
    assert torch.allclose(model.score(users), rows, atol=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_ids_that_broadcast_give_the_same_logits_and_gradients(which):
    """Few pairs take the vectors first, many the tables: both are the flat way."""
    every = [*models(), MatrixFactorization(U, N, 4)]
    model = every[which]
    for b in (2, 40):
        generator = torch.Generator().manual_seed(b)
        users = torch.randint(U, (b, 1), generator=generator)
        items = torch.randint(N, (b, 5), generator=generator)
        wide = model(users, items)
        wide.sigmoid().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        flat = model(users.expand(-1, 5).flatten(), items.flatten())
        assert torch.allclose(wide.flatten(), flat, atol=1e-5)
        flat.sigmoid().sum().backward()
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            assert torch.allclose(parameter.grad, gradient, atol=1e-4)
        model.zero_grad()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GMF(0, N), "n_users is 0"),
        (lambda: GMF(U, 0), "n_items is 0"),
        (lambda: GMF(U, N, 0), "factors is 0"),
        (lambda: NCFMLP(U, N, 0), "mlp_dim is 0"),
        (lambda: NCFMLP(U, N, 4, (8, 0)), "hidden is 0"),
        (lambda: GMF(U, N)(torch.tensor([U]), torch.tensor([0])), f"users contains {U}"),
        (lambda: NeuMF(U, N)(torch.tensor([0]), torch.tensor([N])), f"items contains {N}"),
        (lambda: GMF(U, N).score(torch.tensor([-1])), "users contains -1"),
        (lambda: NeuMF.from_pretrained(GMF(U, N), NCFMLP(U, N + 1)), "must be for the same"),
        (lambda: NeuMF.from_pretrained(GMF(U, N), NCFMLP(U, N), 1.5), "alpha is 1.5"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
