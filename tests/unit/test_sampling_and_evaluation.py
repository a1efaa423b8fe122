"""Negative sampling and leave-one-out evaluation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from recsys_book.data.interactions import ABSENT, Interactions
from recsys_book.evaluate import leave_one_out, sampled_candidates
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.sampling import UnseenItems, with_negatives


def seen(pairs, n_users, n_items):
    pairs = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    return Interactions(pairs[:, 0], pairs[:, 1], n_users, n_items)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_sampler_never_returns_a_positive_even_for_dense_users(data):
    n_users, n_items = 3, data.draw(st.integers(2, 12))
    items = st.sets(st.integers(0, n_items - 1), max_size=n_items - 1)
    owned = [data.draw(items) for _ in range(n_users)]
    pairs = [(u, i) for u, mine in enumerate(owned) for i in mine]
    sampler = UnseenItems(seen(pairs, n_users, n_items))
    users = torch.arange(n_users).repeat(20)
    drawn = sampler.sample(users, 5, torch.Generator().manual_seed(0))
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        assert not owned[user] & set(row)
        assert all(0 <= i < n_items for i in row)


def test_the_sampler_is_uniform_over_the_unseen():
    sampler = UnseenItems(seen([(0, 0), (0, 3), (0, 4), (0, 9), (1, 1)], 2, 10))
    drawn = sampler.sample(
        torch.zeros(6_000, dtype=torch.int64), 1, torch.Generator().manual_seed(0)
    )
    counts = drawn.flatten().bincount(minlength=10)
    unseen = [1, 2, 5, 6, 7, 8]
    assert counts[unseen].sum() == 6_000
    assert chisquare(counts[unseen].numpy()).pvalue > 0.001


def test_a_user_who_owns_everything_raises():
    sampler = UnseenItems(seen([(1, 0), (1, 1)], 2, 2))
    with pytest.raises(ValueError, match="users contains 1, who has been seen with all 2 items"):
        sampler.sample(torch.tensor([0, 1]), 3)


def test_negatives_differ_between_epochs_and_repeat_with_the_seed():
    pairs = seen([(0, 0), (1, 1)], 2, 1_000)
    sampler = UnseenItems(pairs)
    draw = lambda seed: sampler.sample(pairs.user, 20, torch.Generator().manual_seed(seed))
    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


def test_with_negatives_labels_the_positives():
    pairs = seen([(0, 0), (1, 1)], 2, 5)
    users, items, labels = with_negatives(
        pairs.user, pairs.item, UnseenItems(pairs), 3, torch.Generator().manual_seed(0)
    )
    assert labels.tolist() == [1, 1] + [0] * 6
    assert users.tolist() == [0, 1, 0, 0, 0, 1, 1, 1]
    positives = {(0, 0), (1, 1)}
    assert not positives & set(zip(users[2:].tolist(), items[2:].tolist(), strict=True))


def test_leave_one_out_by_hand():
    model = Popularity(seen([(0, 0), (1, 0), (2, 1), (0, 2), (1, 2), (2, 2)], 3, 5))
    # counts: item 0: 2, 1: 1, 2: 3, 3 and 4: 0
    users = torch.arange(3)
    candidates = torch.tensor([[0, 1, 3], [3, 4, 1], [1, ABSENT, 0]])
    report = leave_one_out(model, users, candidates, k=1)
    assert report.hit_rate.tolist() == [1, 0, 0]
    assert leave_one_out(model, users, candidates, k=2).hit_rate.tolist() == [1, 0, 1]


def test_two_evaluations_give_one_figure_whatever_the_batch():
    torch.manual_seed(0)
    model = MatrixFactorization(20, 33, dim=4)
    users = torch.arange(20)
    known = seen([(u, u) for u in range(20)], 20, 33)
    candidates = sampled_candidates(users, known, n=10)
    a = leave_one_out(model, users, candidates, k=3)
    b = leave_one_out(model, users, candidates, k=3, batch_size=7)
    assert torch.equal(a.hit_rate, b.hit_rate) and torch.equal(a.ndcg, b.ndcg)
    assert not (candidates[:, 1:] == candidates[:, :1]).any()


def test_users_who_cannot_be_ranked_are_counted():
    model = MatrixFactorization(3, 4)
    candidates = torch.tensor([[0, 1], [ABSENT, 1], [2, ABSENT]])
    report = leave_one_out(model, torch.arange(3), candidates, k=1)
    assert report.n_not_ranked == 2 and report.users.tolist() == [0]
    assert "2 not ranked" in str(report)


def test_a_held_out_item_among_its_own_negatives_is_refused():
    candidates = torch.tensor([[0, 1, 0], [1, 2, 3]])
    with pytest.raises(ValueError, match="candidates of user 0 contain the held-out item twice"):
        leave_one_out(MatrixFactorization(2, 4), torch.arange(2), candidates, k=1)


def test_evaluation_leaves_the_models_mode_alone_and_refuses_nan():
    model = MatrixFactorization(2, 4).train()
    candidates = torch.tensor([[0, 1], [1, 2]])
    leave_one_out(model, torch.arange(2), candidates, k=1)
    assert model.training
    with torch.no_grad():
        model.item_bias.weight[2] = torch.nan
    with pytest.raises(ValueError, match="scores contains NaN"):
        leave_one_out(model, torch.arange(2), candidates, k=1)
    with pytest.raises(ValueError, match="k is 3"):
        leave_one_out(MatrixFactorization(2, 4), torch.arange(2), candidates, k=3)
