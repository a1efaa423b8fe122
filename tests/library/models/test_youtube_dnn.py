"""CandidateGenerator and WatchTimeRanker: shapes, padding, age, odds."""

import math

import pytest
import torch

from recsys_book.layers import masked_mean
from recsys_book.models.youtube_dnn import (
    PAPER_HIDDEN,
    CandidateGenerator,
    WatchTimeRanker,
    pool_history,
    powers,
)

N = 11  # items
HISTORY = torch.tensor([[3, 5, N, N], [N, N, N, N], [0, 10, 3, 3]])
CONTEXT = torch.tensor([[1, 2], [0, 0], [3, 1]])
CONTINUOUS = torch.tensor([[0.25, 1.0], [0.0, 0.5], [1.0, 0.0]])


def generator(**more) -> CandidateGenerator:
    torch.manual_seed(0)
    return CandidateGenerator(N, dim=6, hidden=(8, 5), init_std=0.5, **more)


def ranker(**more) -> WatchTimeRanker:
    torch.manual_seed(0)
    return WatchTimeRanker(N, dim=6, hidden=(8,), init_std=0.5, **more)


def test_it_is_an_average_a_tower_and_a_dot_product():
    model = generator(cardinalities=(4, 3), oldest=10.0)
    age = torch.tensor([10.0, 5, 0])
    looked_up = model.watched(HISTORY)
    x = torch.cat(
        [
            masked_mean(looked_up, HISTORY != N),
            model.context(CONTEXT).flatten(1),
            age[:, None] / 10,
        ],
        dim=1,
    )
    users = model(HISTORY, CONTEXT, age)
    assert users.shape == (3, 5) and bool((users >= 0).all())
    torch.testing.assert_close(users, model.tower(x))
    assert model.item_vectors().shape == (N, 5)
    now = model(HISTORY, CONTEXT, torch.zeros(3))
    torch.testing.assert_close(model.score(HISTORY, CONTEXT), now @ model.item_vectors().T)


def test_the_papers_widths_are_one_call_away():
    model = CandidateGenerator(N, dim=256, hidden=PAPER_HIDDEN)
    widths = [layer.out_features for layer in model.tower.layers if hasattr(layer, "out_features")]
    assert widths == [1024, 512, 256] and model.item_vectors().shape == (N, 256)


@pytest.mark.parametrize("make", [generator, ranker])
def test_more_padding_and_another_order_change_nothing(make):
    model = make()
    items = torch.tensor([1, 2, 3])
    call = lambda history: model(history) if make is generator else model(items, history)
    padded = torch.cat([HISTORY[:, [3, 1, 0, 2]], torch.full((3, 7), N)], dim=1)
    torch.testing.assert_close(call(HISTORY), call(padded))


def test_an_empty_history_is_finite_and_the_same_for_everybody():
    model = generator()
    nothing = model(torch.full((2, 4), N))
    assert torch.isfinite(nothing).all()
    assert torch.equal(nothing[0], nothing[1])
    assert torch.equal(nothing, model(torch.empty(2, 0, dtype=torch.int64)))


def test_pooling_equals_the_masked_mean_and_so_does_its_gradient():
    model = generator()
    seed = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    gradients = []
    for pool in (
        lambda: pool_history(model.watched, HISTORY),
        lambda: masked_mean(model.watched(HISTORY), HISTORY != N),
    ):
        model.zero_grad()
        (pool() * seed).sum().backward()
        gradients.append(model.watched.weight.grad.clone())
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(
        pool_history(model.watched, HISTORY), masked_mean(model.watched(HISTORY), HISTORY != N)
    )


def test_serving_is_at_age_zero_and_ages_are_scaled_by_the_oldest_in_training():
    model = generator(oldest=28.0)
    torch.testing.assert_close(model(HISTORY), model(HISTORY, age=torch.zeros(3)))
    same = generator(oldest=56.0)  # of the same weights
    torch.testing.assert_close(
        model(HISTORY, age=torch.full((3,), 14.0)), same(HISTORY, age=torch.full((3,), 28.0))
    )
    slightly_negative = model(HISTORY, age=torch.full((3,), -1.0))  # section 3.3 allows it
    assert torch.isfinite(slightly_negative).all()
    with pytest.raises(ValueError, match=r"age contains 29; the oldest in training was 28"):
        model(HISTORY, age=torch.full((3,), 29.0))


def test_items_and_histories_of_the_ranker_share_one_table():
    model = ranker(n_continuous=2, cardinalities=(4, 3))
    items = torch.tensor([1, 2, 3])
    x = torch.cat(
        [
            model.items.weight[items],
            pool_history(model.items, HISTORY),
            model.fields(CONTEXT).flatten(1),
            CONTINUOUS, CONTINUOUS**2, CONTINUOUS**0.5,
        ],
        dim=1,
    )  # fmt: skip
    logits = model(items, HISTORY, CONTEXT, CONTINUOUS)
    assert logits.shape == (3,)
    torch.testing.assert_close(logits, model.mlp(x).squeeze(1))


def test_seconds_of_half_a_year_are_told_apart():
    oldest = float(2**24 + 3)
    model = generator(oldest=oldest)
    ages = torch.tensor([oldest, oldest - 1, 0.0], dtype=torch.float64)
    assert torch.isfinite(model(HISTORY, age=ages)).all()
    assert torch.isfinite(model(HISTORY, age=ages.float())).all()  # rounded up, and still taken


def test_no_rows_at_all_give_no_rows():
    context, none = torch.zeros(0, 2, dtype=torch.int64), torch.zeros(0, 4, dtype=torch.int64)
    assert generator(cardinalities=(4, 3))(none, context).shape == (0, 5)
    model = ranker(cardinalities=(4, 3))
    assert model(none[:, 0], none, context).shape == (0,)


@pytest.mark.parametrize("logit", [100.0, -100.0])
def test_endless_odds_stay_numbers(logit):
    model = ranker()
    torch.nn.init.zeros_(model.mlp.layers[-1].weight)
    torch.nn.init.constant_(model.mlp.layers[-1].bias, logit)
    served = model.predict_watch_time(torch.zeros(1, dtype=torch.int64), HISTORY[:1])
    assert served.item() == pytest.approx(math.exp(logit)) and torch.isfinite(served).all()


def test_powers_are_the_value_its_square_and_its_root():
    torch.testing.assert_close(
        powers(torch.tensor([[0.25]]), 1), torch.tensor([[0.25, 0.0625, 0.5]])
    )


ITEMS = torch.tensor([1, 2, 3])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: generator()(torch.full((1, 2), N + 1)), "history contains 12"),
        (lambda: generator()(torch.zeros(3).long()), r"history has shape \(3,\)"),
        (lambda: generator()(HISTORY, CONTEXT), "context is given"),
        (lambda: generator(cardinalities=(4, 3))(HISTORY), "context is missing"),
        (lambda: generator()(HISTORY, age=torch.zeros(3)), "age is given"),
        (lambda: generator(oldest=2.0)(HISTORY, age=torch.zeros(2)), "age has shape"),
        (lambda: generator(oldest=2.0)(HISTORY, age=torch.full((3,), math.nan)), "age contains"),
        (lambda: CandidateGenerator(N, hidden=()), "hidden is empty"),
        (
            lambda: generator(cardinalities=(4, 3))(HISTORY, CONTEXT[:2]),
            r"context has shape \(2, 2\); it must have 3 rows",
        ),
        (lambda: ranker()(ITEMS[:, None], HISTORY), r"items has shape \(3, 1\)"),
        (lambda: ranker()(ITEMS, HISTORY[:2]), "history has shape"),
        (lambda: CandidateGenerator(0), "n_items is 0"),
        (lambda: CandidateGenerator(N, oldest=0), "oldest is 0"),
        (lambda: ranker()(torch.tensor([1, 2, N]), HISTORY), "items contains 11"),
        (lambda: ranker(n_continuous=2)(ITEMS, HISTORY), "continuous is missing"),
        (lambda: ranker(n_continuous=2)(ITEMS, HISTORY, None, CONTINUOUS * 2), "from 0 to 2"),
        (lambda: ranker(n_continuous=1)(ITEMS, HISTORY, None, CONTINUOUS), r"be \[B, 1\]"),
        (
            lambda: ranker().predict_watch_time(ITEMS, HISTORY, sampling_rate=0),
            "sampling_rate is 0",
        ),
        (
            lambda: ranker().predict_watch_time(ITEMS, HISTORY, click_probability=torch.zeros(2)),
            "click_probability has shape",
        ),
        (
            lambda: ranker().predict_watch_time(
                ITEMS, HISTORY, click_probability=torch.full((3,), 1.5)
            ),
            "click_probability runs from 1.5",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
