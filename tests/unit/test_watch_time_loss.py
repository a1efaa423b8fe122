"""Weighted logistic regression on watch time: what its odds are."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_book.losses import watch_time_loss

CLICKED = torch.tensor([True, False, False, True, False, True, False])
TIME = torch.tensor([30.0, 9.0, 0.0, 0.0, 0.0, 12.5, 4.0])  # 9 and 4: autoplay, not clicked


def fit_bias(**more) -> float:
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = watch_time_loss(bias.expand(7), CLICKED, TIME.double(), **more)
        loss.backward()
        return loss

    optimizer.step(closure)
    return bias.exp().item()


def test_a_bias_alone_learns_the_sum_of_times_over_the_number_of_others():
    # The click of 0 seconds is one of the others, of weight 1.
    assert fit_bias() == pytest.approx((30 + 12.5) / 5, rel=1e-5)


def test_weights_of_examples_count():
    weight = torch.tensor([2.0, 1, 1, 1, 1, 0, 3], dtype=torch.float64)
    assert fit_bias(weight=weight) == pytest.approx(2 * 30 / 7, rel=1e-5)


def test_what_was_not_clicked_is_not_looked_at():
    logits = torch.linspace(-1, 1, 7)
    other = torch.where(CLICKED, TIME, torch.full_like(TIME, 1e6))
    assert watch_time_loss(logits, CLICKED, other) == watch_time_loss(logits, CLICKED, TIME)


@given(st.lists(st.floats(-100, 100), min_size=7, max_size=7))
@settings(max_examples=30, deadline=None)
def test_it_equals_its_formula_and_stays_finite(logits):
    logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = watch_time_loss(logits, CLICKED, TIME.double())
    loss.backward()
    total = 0.0
    for x, t in zip(logits.tolist(), [30, 0, 0, 0, 0, 12.5, 0], strict=True):
        softplus = lambda z: max(z, 0) + math.log1p(math.exp(-abs(z)))
        total += t * softplus(-x) if t else softplus(x)
    assert float(loss) == pytest.approx(total / 7, rel=1e-9)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_long_watch_times_survive_half_precision(dtype):
    logits = torch.linspace(-1, 1, 7).to(dtype)
    time = torch.tensor([70_001.0, 0, 0, 0, 0, 12.5, 0])
    exact = watch_time_loss(logits.float(), CLICKED, time)
    assert watch_time_loss(logits, CLICKED, time).item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"watch_time": torch.tensor([-1.0, *TIME[1:]])}, "watch_time contains -1"),
        ({"watch_time": torch.tensor([math.nan, *TIME[1:]])}, "watch_time contains NaN"),
        ({"watch_time": TIME[:3]}, r"watch_time \(3,\)"),
        ({"clicked": CLICKED.float()}, "must be bool"),
        ({"weight": -torch.ones(7)}, "weight contains -1"),
        ({"weight": torch.ones(3)}, r"weight \(3,\)"),
    ],
)
def test_bad_input_is_named(change, words):
    good = {"logits": torch.zeros(7), "clicked": CLICKED, "watch_time": TIME}
    with pytest.raises(ValueError, match=words):
        watch_time_loss(**good | change)
