"""FTRL against a scalar reference; parameter groups; the schedule."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.optim import FTRL, ProximalAdagrad, parameter_groups, warmup_cosine


class Scalar:
    """One weight, by algorithm 1 of McMahan et al. (2013) in plain Python floats."""

    def __init__(self, lr, l1, l2, beta):
        self.lr, self.l1, self.l2, self.beta = lr, l1, l2, beta
        self.z = self.n = self.w = 0.0

    def step(self, g):
        if g == 0:
            return self.w
        sigma = ((self.n + g * g) ** 0.5 - self.n**0.5) / self.lr
        self.z += g - sigma * self.w
        self.n += g * g
        if abs(self.z) <= self.l1:
            self.w = 0.0
        else:
            pulled = self.z - math.copysign(self.l1, self.z)
            self.w = -pulled / ((self.beta + self.n**0.5) / self.lr + self.l2)
        return self.w


OPTIONS = [
    {"lr": 0.1, "l1": 0.0, "l2": 0.0, "beta": 1.0},
    {"lr": 0.3, "l1": 0.4, "l2": 0.0, "beta": 0.5},
    {"lr": 0.05, "l1": 1.5, "l2": 2.0, "beta": 1.0},
    {"lr": 0.2, "l1": 0.1, "l2": 0.1, "beta": 0.0},
    {"lr": 0.01, "l1": 0.2, "l2": 0.3, "beta": 1.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"lr={o['lr']},l1={o['l1']}")
@pytest.mark.parametrize("sparse", [False, True])
def test_ftrl_equals_the_scalar_reference_step_by_step(options, sparse):
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.zeros(7, 1, dtype=torch.float64))
    optimizer = FTRL([weight], **options)
    reference = [Scalar(**options) for _ in range(7)]
    for _ in range(200):
        gradient = torch.randn(7, 1, generator=generator, dtype=torch.float64)
        gradient *= torch.rand(7, 1, generator=generator) < 0.6  # some rows are not touched
        rows = gradient[:, 0].nonzero().T
        as_rows = torch.sparse_coo_tensor(rows, gradient[rows[0]], (7, 1), check_invariants=True)
        weight.grad = as_rows if sparse else gradient
        optimizer.step()
        expected = [scalar.step(float(g)) for scalar, g in zip(reference, gradient, strict=True)]
        assert weight[:, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_ftrl_without_penalties_is_adagrad():
    generator = torch.Generator().manual_seed(1)
    ours, theirs = (nn.Parameter(torch.zeros(5, 3, dtype=torch.float64)) for _ in range(2))
    ftrl = FTRL([ours], lr=0.2, beta=0.0)
    adagrad = torch.optim.Adagrad([theirs], lr=0.2, eps=0.0)
    for _ in range(100):
        ours.grad = torch.randn(5, 3, generator=generator, dtype=torch.float64)
        theirs.grad = ours.grad.clone()
        ftrl.step()
        adagrad.step()
        assert torch.allclose(ours, theirs, atol=1e-10)


@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(0, 2))
@settings(max_examples=25, deadline=None)
def test_sparse_and_dense_gradients_agree_also_when_rows_repeat(seed, l1, l2):
    generator = torch.Generator().manual_seed(seed)
    dense, sparse = nn.Embedding(6, 2), nn.Embedding(6, 2, sparse=True)
    optimizers = []
    for table in (dense, sparse):
        nn.init.zeros_(table.weight)
        optimizers.append(FTRL(table.parameters(), lr=0.5, l1=l1, l2=l2))
    for _ in range(10):
        rows = torch.randint(5, (4,), generator=generator)  # row 5 is never seen
        target = torch.randn(4, 2, generator=generator)
        for table, optimizer in zip((dense, sparse), optimizers, strict=True):
            optimizer.zero_grad()
            ((table(rows) - target) ** 2).sum().backward()
            optimizer.step()
    assert torch.allclose(dense.weight, sparse.weight, atol=1e-5)
    assert torch.equal(sparse.weight[5], torch.zeros(2))


def test_more_l1_leaves_more_weights_at_exactly_zero():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(40, 500, generator=generator) + 0.1
    kept = []
    for l1 in (0.0, 1.0, 5.0, 100.0):
        weight = nn.Parameter(torch.zeros(500))
        optimizer = FTRL([weight], lr=0.1, l1=l1)
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
        kept.append(int(weight.count_nonzero()))
    assert kept[0] == 500
    assert kept == sorted(kept, reverse=True)
    assert 0 < kept[2] < 500 and kept[3] == 0


def test_a_schedule_does_not_scale_what_is_learned_already():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = FTRL([weight], lr=0.5)
    for _ in range(20):
        weight.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
    before = weight.item()
    optimizer.param_groups[0]["lr"] = 0.05
    weight.grad = torch.full((1,), 1e-9, dtype=torch.float64)
    optimizer.step()
    assert weight.item() == pytest.approx(before, rel=1e-6)


def test_the_next_step_is_taken_at_the_new_rate():
    def run(rate):
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = FTRL([weight], lr=0.5)
        for step in range(1_001):
            optimizer.param_groups[0]["lr"] = 0.5 if step < 1_000 else rate
            before = weight.item()
            weight.grad = torch.ones(1, dtype=torch.float64)
            optimizer.step()
        return weight.item() - before

    for rate in (0.5, 0.05, 0.0005, 5.0):
        assert run(rate) == pytest.approx(-rate / (1 + 1_001**0.5), rel=1e-6)
    assert run(0.0) == 0


def test_schedules_of_torch_drive_ftrl():
    weight = nn.Parameter(torch.zeros(3))
    optimizer = FTRL([weight], lr=1.0, l1=0.1)
    schedule = warmup_cosine(optimizer, warmup=2, total=6)
    walk = []
    for _ in range(10):
        weight.grad = torch.tensor([-1.0, 0.0, 1.0])
        optimizer.step()
        schedule.step()
        walk.append(weight.detach().clone())
    assert torch.isfinite(torch.stack(walk)).all()
    assert torch.equal(walk[-1], walk[5]) and walk[5][0] > walk[1][0] > 0 == walk[5][1]


def test_gradients_sparse_in_both_dimensions():
    weight = nn.Parameter(torch.zeros(3, 2))
    weight.grad = torch.sparse_coo_tensor(
        [[0, 1], [1, 0]], [1.0, 2.0], (3, 2), check_invariants=True
    )
    FTRL([weight]).step()
    assert (weight != 0).tolist() == [[False, True], [True, False], [False, False]]


def test_sums_are_kept_in_single_precision():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    optimizer = FTRL([weight], lr=0.1)
    for step in range(2_000):
        weight.grad = torch.full((1,), 0.5 if step % 2 else -0.5, dtype=torch.bfloat16)
        optimizer.step()
    assert optimizer.state[weight]["n"].item() == pytest.approx(500)
    assert weight.dtype == torch.bfloat16


def test_ftrl_goes_on_from_its_state():
    def run(stop):
        generator = torch.Generator().manual_seed(3)
        weight = nn.Parameter(torch.zeros(4))
        optimizer = FTRL([weight], lr=0.2, l1=0.1)
        for step in range(10):
            if step == stop:
                kept, state = weight.detach().clone(), optimizer.state_dict()
                weight = nn.Parameter(kept)
                optimizer = FTRL([weight], lr=0.9)
                optimizer.load_state_dict(state)
            weight.grad = torch.randn(4, generator=generator)
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(stop=None), run(stop=5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr is 0.0"),
        ({"l1": -1.0}, "l1 is -1.0"),
        ({"l2": float("nan")}, "l2 is nan"),
        ({"beta": -0.1}, "beta is -0.1"),
    ],
)
def test_ftrl_names_a_bad_option(options, message):
    with pytest.raises(ValueError, match=message):
        FTRL([nn.Parameter(torch.zeros(2))], **options)
    with pytest.raises(ValueError, match=message):
        FTRL([{"params": [nn.Parameter(torch.zeros(2))], **options}])


def test_ftrl_refuses_to_start_anywhere_but_at_zero():
    weight = nn.Parameter(torch.tensor([0.0, 0.3]))
    optimizer = FTRL([weight])
    weight.grad = torch.ones(2)
    with pytest.raises(ValueError, match="params contains a tensor of shape"):
        optimizer.step()


def test_biases_do_not_decay():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4), nn.LayerNorm(4))
    decay, keep = parameter_groups(model, 0.1)
    assert [p.shape for p in decay["params"]] == [(5, 3), (4, 3)]
    assert [p.shape for p in keep["params"]] == [(4,), (4,), (4,)]
    assert (decay["weight_decay"], keep["weight_decay"]) == (0.1, 0.0)
    optimizer = torch.optim.SGD([decay, keep], lr=1.0)
    before = model[1].bias.detach().clone()
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    table = model[0].weight.detach().clone()
    optimizer.step()
    assert torch.equal(model[1].bias, before)
    assert torch.allclose(model[0].weight, table * 0.9)
    factors = MatrixFactorization(4, 5, 2)  # its biases are tables
    decay, keep = parameter_groups(factors, 0.1)
    assert len(decay["params"]) == 2
    assert {id(p) for p in keep["params"]} >= {id(factors.user_bias.weight)}
    with pytest.raises(ValueError, match="weight_decay is -1"):
        parameter_groups(model, -1)


def test_the_rate_rises_then_falls():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, warmup=4, total=10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == pytest.approx(2.0) == max(rates)
    assert rates[:5] == sorted(rates[:5]) and rates[4:] == sorted(rates[4:], reverse=True)
    for _ in range(20):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
        optimizer.step()
        schedule.step()
    assert rates[7] == pytest.approx(2.0 * (1 + math.cos(math.pi * 3 / 6)) / 2)
    with pytest.raises(ValueError, match="warmup is 3 and total 3"):
        warmup_cosine(optimizer, 3, 3)


def test_proximal_adagrad_without_l1_is_adagrad_and_with_it_makes_zeros():
    generator = torch.Generator().manual_seed(0)
    ours, theirs, pulled = (torch.nn.Parameter(torch.ones(6, 2)) for _ in range(3))
    optimizers = (
        ProximalAdagrad([ours], lr=0.2),
        torch.optim.Adagrad([theirs], lr=0.2, eps=0.0),
        ProximalAdagrad([pulled], lr=0.2, l1=3.0),
    )
    for _ in range(60):
        gradient = torch.randn(6, 2, generator=generator)
        gradient[0] = 0.0  # a row that no example touches
        for weight, optimizer in zip((ours, theirs, pulled), optimizers, strict=True):
            weight.grad = gradient.clone()
            if weight is theirs:
                weight.grad[0] = 1e-30  # AdaGrad without eps divides by nothing else
            optimizer.step()
    assert torch.allclose(ours[1:], theirs[1:], atol=1e-5)
    assert torch.equal(pulled[0], torch.ones(2))
    assert (pulled[1:] == 0).any() and not (ours[1:] == 0).any()


def test_one_proximal_step_is_what_the_formula_says():
    weight = torch.nn.Parameter(torch.tensor([1.0, 0.1, 0.0]))
    optimizer = ProximalAdagrad([weight], lr=0.5, l1=0.4)
    weight.grad = torch.tensor([2.0, 0.2, -1.0])
    optimizer.step()  # the first step is lr · sign(g), and the pull lr · l1 / |g|
    assert weight.tolist() == pytest.approx([1.0 - 0.5 - 0.1, 0.0, 0.5 - 0.2])
    for bad in ({"lr": 0.0}, {"l1": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            ProximalAdagrad([weight], **bad)
    scalar = torch.nn.Parameter(torch.tensor(1.0))
    optimizer = ProximalAdagrad([scalar], lr=0.5)
    scalar.grad = torch.tensor(4.0)
    optimizer.step()
    assert scalar.item() == pytest.approx(0.5)
