"""Losses against their formulas: BCE, softmax full and sampled, watch time."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_book.losses import (
    bce,
    in_batch_softmax_loss,
    sampled_softmax_loss,
    watch_time_loss,
)
from recsys_book.models.youtube_dnn import (
    CandidateGenerator,
    WatchTimeRanker,
)


def test_bce_equals_its_formula():
    logits, labels = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.0])
    p = logits.sigmoid()
    by_hand = -(torch.log(p[0]) + torch.log(1 - p[1])) / 2
    assert bce(logits, labels).item() == pytest.approx(by_hand.item())
    with pytest.raises(ValueError, match="must be the same"):
        bce(logits[:, None], labels)


SCORES = torch.tensor([0.3, 1.2, -0.7, 0.5], dtype=torch.float64)
POSITIVE = 1


def exact_gradient() -> torch.Tensor:
    """Of the full softmax, by the scores."""
    gradient = SCORES.softmax(0)
    gradient[POSITIVE] -= 1
    return gradient


def expected_gradient(q: torch.Tensor, m: int, correct=lambda log_q: log_q) -> torch.Tensor:
    """Of the sampled softmax, by the scores, over all samples of m items drawn with chance q."""
    total = torch.zeros_like(SCORES)
    for drawn in itertools.product([i for i in range(4) if q[i] > 0], repeat=m):
        scores = SCORES.clone().requires_grad_()
        ids = torch.tensor(drawn)
        log_q = q[ids].log()
        loss = sampled_softmax_loss(
            scores[[POSITIVE]],
            scores[ids][None],
            correct(log_q),
            positive_ids=torch.tensor([POSITIVE]),
            negative_ids=ids,
        )
        loss.backward()
        total += q[ids].prod() * scores.grad
    return total


def bias(q: torch.Tensor, m: int, correct=lambda log_q: log_q) -> float:
    return float((expected_gradient(q, m, correct) - exact_gradient()).abs().max())


UNIGRAM = torch.tensor([0.1, 0.5, 0.1, 0.3], dtype=torch.float64)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_drawn_from_the_models_own_softmax_it_is_exact(m):
    own = SCORES.exp()
    own[POSITIVE] = 0
    assert bias(own / own.sum(), m) < 1e-12


def test_with_log_q_the_bias_shrinks_as_negatives_grow():
    found = [bias(UNIGRAM, m) for m in (1, 2, 4, 6)]
    assert found == sorted(found, reverse=True) and found[-1] < 0.35 * found[0]
    assert found[0] > 0.01  # it is biased all the same


def test_without_log_q_the_bias_stays():
    found = [bias(UNIGRAM, m, lambda log_q: None) for m in (1, 2, 4, 6)]
    assert min(found) > 0.03
    assert found[-1] > 3 * bias(UNIGRAM, 6)


def test_the_wrong_sign_is_worse_than_none():
    m = 6
    wrong = lambda log_q: -log_q - 2 * math.log(m)  # the score plus log(m q) instead of less it
    assert bias(UNIGRAM, m, wrong) > bias(UNIGRAM, m, lambda log_q: None)


def test_the_likeliest_way_to_get_the_sign_wrong_is_refused():
    with pytest.raises(ValueError, match="log_q contains"):
        sampled_softmax_loss(SCORES[[1]], SCORES[[0, 2]][None], -UNIGRAM[[0, 2]].log())


def test_every_item_drawn_once_evenly_is_the_full_softmax():
    others = torch.tensor([0, 2, 3])
    uniform = torch.full((3,), math.log(1 / 3), dtype=torch.float64)
    loss = sampled_softmax_loss(SCORES[[POSITIVE]], SCORES[others][None], uniform)
    assert torch.allclose(loss, -SCORES.log_softmax(0)[POSITIVE])


def test_temperature_divides_scores_and_not_the_correction():
    others, log_q = torch.tensor([0, 2, 3]), UNIGRAM[[0, 2, 3]].log()
    loss = sampled_softmax_loss(SCORES[[1]], SCORES[others][None], log_q, temperature=0.5)
    logits = torch.cat([SCORES[[1]] / 0.5, SCORES[others] / 0.5 - (log_q + math.log(3))])
    assert torch.allclose(loss, -logits.log_softmax(0)[0])


def test_an_accidental_hit_is_left_out():
    ids, log_q = torch.tensor([0, POSITIVE, 3]), UNIGRAM[[0, 1, 3]].log()
    masked = sampled_softmax_loss(
        SCORES[[POSITIVE]], SCORES[ids][None], log_q,
        positive_ids=torch.tensor([POSITIVE]), negative_ids=ids,
    )  # fmt: skip
    logits = torch.cat([SCORES[[1]], SCORES[[0, 3]] - (log_q[[0, 2]] + math.log(3))])
    assert torch.allclose(masked, -logits.log_softmax(0)[0])
    assert masked < sampled_softmax_loss(SCORES[[POSITIVE]], SCORES[ids][None], log_q)


def test_a_batch_without_any_negative_left_is_finite():
    ids = torch.tensor([POSITIVE])
    scores = SCORES.clone().requires_grad_()
    loss = sampled_softmax_loss(scores[ids], scores[ids][None], positive_ids=ids, negative_ids=ids)
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(scores.grad).all()


def test_in_batch_is_the_softmax_of_each_row():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    loss = in_batch_softmax_loss(scores)
    assert torch.allclose(loss, -scores.log_softmax(1).diagonal().mean())


def test_in_batch_with_a_repeated_item_equals_the_batch_without_the_copy():
    generator = torch.Generator().manual_seed(1)
    users, items = torch.randn(4, 3, generator=generator), torch.randn(6, 3, generator=generator)
    ids = torch.tensor([2, 5, 2, 0])
    log_q = torch.full((4,), math.log(1 / 6))
    loss = in_batch_softmax_loss(users @ items[ids].T, log_q, ids=ids)
    rows = []
    for row, own in enumerate(ids.tolist()):
        others = [i for i in ids.tolist() if i != own]
        logits = users[row] @ items[[own, *others]].T
        logits[1:] -= math.log(3 / 6)  # m is 3 draws, with or without hits
        rows.append(-logits.log_softmax(0)[0])
    assert torch.allclose(loss, torch.stack(rows).mean())


@given(st.integers(2, 6), st.floats(0.1, 3))
@settings(max_examples=20, deadline=None)
def test_in_batch_is_sampled_softmax_with_the_others_as_negatives(n, temperature):
    generator = torch.Generator().manual_seed(n)
    scores = torch.randn(n, n, generator=generator, dtype=torch.float64)
    log_q = torch.rand(n, generator=generator, dtype=torch.float64).clamp(min=0.05).log()
    loss = in_batch_softmax_loss(scores, log_q, temperature=temperature)
    rows = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        more = {"temperature": temperature}
        rows.append(
            sampled_softmax_loss(scores[i, [i]], scores[i, others][None], log_q[others], **more)
        )
    assert torch.allclose(loss, torch.stack(rows).mean())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sampled_softmax_loss(torch.zeros(2), torch.zeros(3, 4)), r"\[B\] and \[B, m\]"),
        (lambda: sampled_softmax_loss(torch.zeros(2), torch.zeros(2, 0)), "number of negatives"),
        (lambda: sampled_softmax_loss(torch.zeros(2), torch.zeros(2, 3), torch.zeros(2)), "log_q"),
        (
            lambda: sampled_softmax_loss(
                torch.zeros(2), torch.zeros(2, 3), torch.full((3,), -torch.inf)
            ),
            "log_q contains -inf",
        ),
        (
            lambda: sampled_softmax_loss(
                torch.zeros(2), torch.zeros(2, 3), positive_ids=torch.zeros(2).long()
            ),
            "given together",
        ),
        (
            lambda: sampled_softmax_loss(torch.zeros(2), torch.zeros(2, 3), temperature=0),
            "temperature is 0",
        ),
        (lambda: sampled_softmax_loss(torch.zeros(0), torch.zeros(0, 3)), "number of examples"),
        (
            lambda: sampled_softmax_loss(
                torch.zeros(1),
                torch.zeros(1, 1),
                positive_ids=torch.tensor([2.0**24]),
                negative_ids=torch.tensor([2.0**24 + 1]),
            ),
            "positive_ids has dtype torch.float32",
        ),
        (lambda: in_batch_softmax_loss(torch.tensor(1.0)), "B at least 2"),
        (lambda: in_batch_softmax_loss(torch.zeros(1, 1)), "B at least 2"),
        (lambda: in_batch_softmax_loss(torch.zeros(2, 3)), r"\[B, B\]"),
        (lambda: in_batch_softmax_loss(torch.zeros(2, 2), torch.zeros(3)), r"log_q has shape"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_chapters_enumeration_equals_the_loss_sample_by_sample(m):
    from recsys_book.chapters.ch04_youtube_dnn import softmax_bias as chapter

    for sign, correct in ((1.0, lambda log_q: log_q), (None, lambda log_q: None)):
        by_loss = expected_gradient(UNIGRAM, m, correct)
        assert torch.allclose(chapter.expected_gradient(UNIGRAM, m, sign), by_loss)
    assert chapter.bias(chapter.own_softmax(), m, 1.0) < 1e-12
    assert chapter.bias(chapter.POPULARITY, m, -1.0) > chapter.bias(chapter.POPULARITY, m, None)


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
def test_bad_watch_times_are_named(change, words):
    good = {"logits": torch.zeros(7), "clicked": CLICKED, "watch_time": TIME}
    with pytest.raises(ValueError, match=words):
        watch_time_loss(**good | change)


N = 11  # items
HISTORY = torch.tensor([[3, 5, N, N], [N, N, N, N], [0, 10, 3, 3]])


def generator(**more) -> CandidateGenerator:
    torch.manual_seed(0)
    return CandidateGenerator(N, dim=6, hidden=(8, 5), init_std=0.5, **more)


def ranker(**more) -> WatchTimeRanker:
    torch.manual_seed(0)
    return WatchTimeRanker(N, dim=6, hidden=(8,), init_std=0.5, **more)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_padding_row_never_trains(decay):
    for model, name in ((generator(), "watched"), (ranker(), "items")):
        adam = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=decay)
        for _ in range(5):
            adam.zero_grad()
            if name == "watched":
                scores = model.score(HISTORY)
                loss = sampled_softmax_loss(scores[:, 0], scores[:, 1:])
            else:
                logits = model(torch.tensor([1, 2, 3]), HISTORY)
                loss = watch_time_loss(logits, torch.tensor([True, False, True]), torch.ones(3))
            loss.backward()
            table = getattr(model, name).weight
            assert bool((table.grad[N] == 0).all())
            adam.step()
        assert bool((table[N] == 0).all()) and bool((table[:N] != 0).any())


def test_a_fitted_bias_serves_the_expected_watch_time():
    """All impressions alike: E[T] is known, and so is what each repair is for."""
    clicked = torch.tensor([True, True, False, False, False])
    time = torch.tensor([40.0, 20.0, 0, 0, 0])
    model = ranker()
    for weights in (model.items.weight, model.mlp.layers[0].weight, model.mlp.layers[0].bias):
        torch.nn.init.zeros_(weights)
    torch.nn.init.constant_(model.mlp.layers[-1].bias, math.log(60 / 3))  # the fit's closed form
    items, history = torch.zeros(5, dtype=torch.int64), torch.full((5, 1), N)
    bias = model(items, history)
    gradient = torch.autograd.grad(watch_time_loss(bias, clicked, time), bias)[0]
    assert abs(gradient.sum().item()) < 1e-6  # it is the fit
    served = model.predict_watch_time(items, history)
    torch.testing.assert_close(served, torch.full((5,), 60 / 3, dtype=torch.float64))
    exact = model.predict_watch_time(items, history, click_probability=torch.full((5,), 2 / 5))
    torch.testing.assert_close(exact, torch.full((5,), 60 / 5, dtype=torch.float64))
    # Had one of the three others been kept, the odds would be 60 / 1; a rate of 1/3 mends that.
    torch.nn.init.constant_(model.mlp.layers[-1].bias, math.log(60 / 1))
    mended = model.predict_watch_time(items, history, sampling_rate=1 / 3)
    torch.testing.assert_close(mended, torch.full((5,), 60 / 3, dtype=torch.float64))
