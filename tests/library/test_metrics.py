"""Ranking and pointwise metrics, against brute force and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import ndcg_score, roc_auc_score

from recsys_book.metrics import (
    auc,
    hit_rate_at_k,
    log_loss,
    mispredicted_watch_time,
    ndcg_at_k,
    recall_at_k,
    rmse,
    share_of_learnable,
    user_auc,
)
from recsys_book.show.intervals import learnable_interval


def test_share_of_learnable():
    assert share_of_learnable(0.5, 0.4, 0.8) == pytest.approx(0.25)  # NDCG: more is better
    assert share_of_learnable(0.45, 0.5, 0.4) == pytest.approx(0.5)  # log-loss: less is better
    assert share_of_learnable(0.6, 0.5, 0.4) < 0
    interval = learnable_interval([0.45, 0.46], [0.5, 0.5], [0.4, 0.42])
    assert interval.mean == pytest.approx(0.5) and interval.n == 2
    with pytest.raises(ValueError, match="nothing to learn"):
        share_of_learnable(0.1, 0.3, 0.3)
    with pytest.raises(ValueError, match="value is nan"):
        share_of_learnable(math.nan, 0.3, 0.4)
    with pytest.raises(ValueError):
        learnable_interval([0.1, 0.2], [0.1], [0.2])


METRICS = [hit_rate_at_k, recall_at_k, ndcg_at_k]


def one_relevant(n_users: int, n_candidates: int) -> torch.Tensor:
    relevant = torch.zeros(n_users, n_candidates, dtype=torch.bool)
    relevant[:, 0] = True
    return relevant


@pytest.mark.parametrize("metric", METRICS)
def test_a_constant_model_scores_zero_under_worst_and_never_one(metric):
    scores, relevant = torch.zeros(3, 100), one_relevant(3, 100)
    assert metric(scores, relevant, 10).tolist() == [0, 0, 0]
    assert metric(scores, relevant, 10, ties="best").tolist() == [1, 1, 1]


def test_average_ties_give_the_expected_fraction():
    scores, relevant = torch.zeros(1, 100), one_relevant(1, 100)
    assert hit_rate_at_k(scores, relevant, 10, ties="average").item() == pytest.approx(0.1)
    assert recall_at_k(scores, relevant, 10, ties="average").item() == pytest.approx(0.1)


def brute_force(scores, relevant, k, which):
    """Mean of a metric over every order that agrees with the scores."""
    values = []
    n = len(scores)
    for order in itertools.permutations(range(n)):
        ranked = [scores[i] for i in order]
        if any(a < b for a, b in itertools.pairwise(ranked)):
            continue
        gains = [relevant[i] for i in order][:k]
        n_relevant = sum(relevant)
        ideal = sum(1 / math.log2(r + 2) for r in range(min(k, n_relevant)))
        values.append(
            {
                "hit": float(any(gains)),
                "recall": sum(gains) / n_relevant,
                "ndcg": sum(g / math.log2(r + 2) for r, g in enumerate(gains)) / ideal,
            }[which]
        )
    return values


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    relevant=st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
    k=st.integers(1, 5),
)
def test_every_tie_rule_against_all_orders(scores, relevant, k):
    s, r = torch.tensor([scores]).float(), torch.tensor([relevant])
    for metric, which in zip(METRICS, ("hit", "recall", "ndcg"), strict=True):
        values = brute_force(scores, relevant, k, which)
        assert metric(s, r, k, ties="worst").item() == pytest.approx(min(values))
        assert metric(s, r, k, ties="best").item() == pytest.approx(max(values))
        assert metric(s, r, k, ties="average").item() == pytest.approx(np.mean(values))


def test_ndcg_agrees_with_scikit_learn_without_ties():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(20, 30, generator=generator)
    relevant = torch.rand(20, 30, generator=generator) < 0.2
    relevant[:, 3] = True
    ours = ndcg_at_k(scores, relevant, 10).mean().item()
    assert ours == pytest.approx(ndcg_score(relevant.int().numpy(), scores.numpy(), k=10))


def test_ndcgs_ideal_uses_the_smaller_of_k_and_the_number_relevant():
    scores = torch.tensor([[9.0, 8, 7, 1, 1.5]])
    relevant = torch.tensor([[True, False, False, True, True]])
    value = ndcg_at_k(scores, relevant, 3).item()  # the list is [1, 0, 0], three are relevant
    assert value == pytest.approx(1 / (1 + 1 / math.log2(3) + 0.5)) and value < 1


def test_absent_candidates_are_last_and_relevant_ones_may_not_be_absent():
    scores = torch.tensor([[0.1, -torch.inf, -torch.inf, 0.5]])
    relevant = one_relevant(1, 4)
    assert hit_rate_at_k(scores, relevant, 2).item() == 1
    with pytest.raises(ValueError, match="absent"):
        hit_rate_at_k(scores, relevant.roll(1, dims=1), 2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [0, -1, 5, 2.0, True])
def test_k_out_of_range(metric, k):
    with pytest.raises(ValueError, match="k is"):
        metric(torch.rand(2, 4), one_relevant(2, 4), k)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_rankings(metric):
    relevant = one_relevant(2, 4)
    with pytest.raises(ValueError, match=r"scores contains NaN at \(1, 2\)"):
        scores = torch.rand(2, 4)
        scores[1, 2] = torch.nan
        metric(scores, relevant, 2)
    with pytest.raises(ValueError, match="nothing for user row 1"):
        empty = relevant.clone()
        empty[1] = False
        metric(torch.rand(2, 4), empty, 2)
    with pytest.raises(ValueError, match="must be the same"):
        metric(torch.rand(2, 5), relevant, 2)
    with pytest.raises(ValueError, match="ties is 'lucky'"):
        metric(torch.rand(2, 4), relevant, 2, ties="lucky")


def test_auc_agrees_with_scikit_learn_and_counts_ties_half():
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(500, generator=generator) < 0.3).float()
    scores = torch.randint(0, 20, (500,), generator=generator).float()  # many ties
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert auc(torch.tensor([0.0, 1.0]), torch.zeros(2)) == 0.5


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_auc_needs_both_classes(only):
    with pytest.raises(ValueError, match="needs both classes"):
        auc(torch.full((4,), only), torch.rand(4))


def test_labels_must_be_zero_or_one():
    with pytest.raises(ValueError, match=r"labels contains 2\.0"):
        auc(torch.tensor([0.0, 2.0]), torch.zeros(2))


def test_user_auc_equals_a_loop_over_users():
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(0, 40, (400,), generator=generator) * 3  # ids with gaps
    labels = (torch.rand(400, generator=generator) < 0.2).float()
    scores = torch.randint(0, 6, (400,), generator=generator).float()  # many ties
    ours = user_auc(labels, scores, users)
    expected = {
        int(u): roc_auc_score(labels[users == u], scores[users == u])
        for u in users.unique()
        if 0 < labels[users == u].mean() < 1
    }
    assert ours.users.tolist() == list(expected)
    assert ours.values.tolist() == pytest.approx(list(expected.values()))
    assert ours.n_left_out == len(users.unique()) - len(expected) > 0
    count = [int((users == u).sum()) for u in expected]
    assert ours.impressions.tolist() == count
    assert ours.mean() == pytest.approx(np.mean(list(expected.values())))
    assert ours.weighted_mean() == pytest.approx(np.average(list(expected.values()), weights=count))
    assert f"{ours.n_left_out} left out" in str(ours)


def test_a_score_that_knows_users_only_fools_auc_and_not_user_auc():
    users = torch.arange(20).repeat_interleave(20)
    labels = (torch.arange(400) % 20 <= users).float()  # user u clicks u + 1 of 20
    rate = users.float()
    assert auc(labels, rate) > 0.8
    ours = user_auc(labels, rate, users)
    assert ours.values.tolist() == [0.5] * 19 and ours.n_left_out == 1
    assert user_auc(labels, rate * 100 + labels, users).mean() == 1


def test_user_auc_of_one_user_is_auc_and_users_do_not_see_each_other():
    generator = torch.Generator().manual_seed(1)
    labels = (torch.rand(60, generator=generator) < 0.5).float()
    scores = torch.randn(60, generator=generator)
    alone = user_auc(labels, scores, torch.zeros(60, dtype=torch.int64))
    assert alone.values.tolist() == pytest.approx([auc(labels, scores)])
    users = torch.randint(0, 3, (60,), generator=generator)
    shifted = scores + torch.tensor([0.0, 50, -50])[users]
    assert torch.equal(
        user_auc(labels, scores, users).values, user_auc(labels, shifted, users).values
    )


def test_user_auc_refuses():
    labels, scores, users = torch.tensor([0.0, 1, 0, 1]), torch.rand(4), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match="one class only for each of the 2 users"):
        user_auc(labels, scores, torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="users has dtype"):
        user_auc(labels, scores, users.float())
    with pytest.raises(ValueError, match="users has shape"):
        user_auc(labels, scores, users[:, None])
    with pytest.raises(ValueError, match="scores contains NaN"):
        user_auc(labels, scores.clone().fill_(torch.nan), users)
    with pytest.raises(ValueError, match="B >= 1"):
        user_auc(labels[:0], scores[:0], users[:0])


def test_log_loss_from_extreme_logits_is_finite_and_right():
    labels = torch.tensor([1.0, 0.0])
    assert log_loss(labels, torch.tensor([100.0, -100.0])) == pytest.approx(0, abs=1e-40)
    assert log_loss(labels, torch.tensor([-100.0, 100.0])) == pytest.approx(100)
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    labels = (logits > 0.3).float()
    assert log_loss(labels, logits) == pytest.approx(
        sklearn_log_loss(labels.double(), logits.double().sigmoid())
    )


def test_rmse_is_the_root():
    assert rmse(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])) == pytest.approx(12.5**0.5)
    with pytest.raises(ValueError, match="predictions contains NaN"):
        rmse(torch.zeros(2), torch.tensor([0.0, torch.nan]))


def test_mispredicted_watch_time_is_what_counting_pairs_says():
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(4, (60,), generator=generator)
    scores = torch.randn(60, generator=generator).mul(2).round()  # ties
    seconds = torch.randint(0, 5, (60,), generator=generator).float() * 7
    wrong = total = 0.0
    for i in range(60):
        for j in range(60):
            if users[i] == users[j] and seconds[i] > 0 and seconds[j] == 0:
                total += float(seconds[i])
                wrong += float(seconds[i]) * bool(scores[j] >= scores[i])
    assert mispredicted_watch_time(scores, seconds, users) == pytest.approx(wrong / total)
    assert mispredicted_watch_time(seconds, seconds, users) == 0
    assert mispredicted_watch_time(torch.zeros(60), seconds, users) == 1  # ties are wrong
    with pytest.raises(ValueError, match="no pair"):
        mispredicted_watch_time(scores, torch.zeros(60), users)
