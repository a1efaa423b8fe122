"""Sampled and in-batch softmax, the proposals, and what logQ does, by enumeration."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_book.losses import in_batch_softmax_loss, sampled_softmax_loss
from recsys_book.sampling import Proposal, log_uniform, unigram

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


# ---------------------------------------------------------------- in-batch


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


# ---------------------------------------------------------------- proposals


@pytest.mark.parametrize(
    "proposal",
    [
        unigram(torch.tensor([5, 0, 20, 75])),
        unigram(torch.tensor([5, 0, 20, 75]), power=0.75),
        log_uniform(torch.tensor([5, 0, 20, 75])),
    ],
    ids=["unigram", "unigram .75", "log-uniform"],
)
def test_a_proposal_draws_with_the_chances_it_states(proposal):
    assert abs(float(proposal.probability.sum()) - 1) < 1e-12
    assert torch.allclose(proposal.log_q.exp().double(), proposal.probability, atol=1e-7)
    drawn = proposal.sample(200_000, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=4) / len(drawn)
    assert (share - proposal.probability).abs().max() < 0.005
    again = proposal.sample(200_000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_unigram_and_log_uniform_are_what_they_say():
    counts = torch.tensor([5, 0, 20, 75])
    assert unigram(counts).probability.tolist() == pytest.approx([0.05, 0, 0.2, 0.75])
    assert unigram(counts, 0).probability.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    ranks = [2, 3, 1, 0]
    expected = [math.log((r + 2) / (r + 1)) / math.log(5) for r in ranks]
    assert log_uniform(counts).probability.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("weight", [torch.zeros(3), torch.tensor([1.0, -1]), torch.ones(2, 2)])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        Proposal.of(weight)
    with pytest.raises(ValueError, match="power is -1"):
        unigram(torch.ones(3), power=-1)


@pytest.mark.parametrize("make", [unigram, log_uniform])
@pytest.mark.parametrize("counts", [[-5.0, 3], [float("nan"), 3], [0.0, 0], []])
def test_counts_that_are_none_are_refused(make, counts):
    with pytest.raises(ValueError, match="counts"):
        make(torch.tensor(counts))


def test_shares_and_huge_weights_are_fine():
    assert unigram(torch.tensor([0.1, 0.3, 0.6])).probability.tolist() == pytest.approx(
        [0.1, 0.3, 0.6]
    )
    huge = Proposal.of(torch.tensor([1e308, 1e308, 1.0], dtype=torch.float64))
    assert set(huge.sample(200, torch.Generator().manual_seed(0)).tolist()) == {0, 1}
    steep = unigram(torch.tensor([10, 3, 10]), power=308.0)
    assert steep.probability.tolist() == pytest.approx([0.5, 0, 0.5])


# ---------------------------------------------------------------- the chapter's own enumeration


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_chapters_enumeration_equals_the_loss_sample_by_sample(m):
    from recsys_book.chapters.ch04_youtube_dnn import softmax_bias as chapter

    for sign, correct in ((1.0, lambda log_q: log_q), (None, lambda log_q: None)):
        by_loss = expected_gradient(UNIGRAM, m, correct)
        assert torch.allclose(chapter.expected_gradient(UNIGRAM, m, sign), by_loss)
    assert chapter.bias(chapter.own_softmax(), m, 1.0) < 1e-12
    assert chapter.bias(chapter.POPULARITY, m, -1.0) > chapter.bias(chapter.POPULARITY, m, None)
