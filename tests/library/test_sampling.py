"""Drawing what was not seen, and proposals: what is drawn, with which chances, repeatable."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from recsys_book.data.interactions import Interactions
from recsys_book.sampling import Proposal, UnseenItems, beside_negatives, unigram, with_negatives


def test_side_by_side_negatives_are_the_flat_ones():
    seen = Interactions(torch.tensor([0, 1, 2]), torch.tensor([0, 4, 2]), 3, 6)
    draw = lambda how: how(
        seen.user, seen.item, UnseenItems(seen), 4, torch.Generator().manual_seed(0)
    )
    users, items, labels = draw(beside_negatives)
    flat_users, flat_items, flat_labels = draw(with_negatives)
    assert users.shape == (3, 1) and items.shape == labels.shape == (3, 5)
    assert labels[:, 0].tolist() == [1, 1, 1] and labels[:, 1:].sum() == 0
    assert flat_items.tolist() == items[:, 0].tolist() + items[:, 1:].flatten().tolist()
    assert flat_labels.sum() == 3 and flat_users[:3].tolist() == users.flatten().tolist()


def draw(sampler, seen, n=4, seed=0, repeat=1):
    users, items = seen.user.repeat(repeat), seen.item.repeat(repeat)
    return users, sampler(users, items, n, torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize(
    "proposal",
    [
        unigram(torch.tensor([5, 0, 20, 75])),
        unigram(torch.tensor([5, 0, 20, 75]), power=0.75),
    ],
    ids=["unigram", "unigram .75"],
)
def test_a_proposal_draws_with_the_chances_it_states(proposal):
    assert abs(float(proposal.probability.sum()) - 1) < 1e-12
    assert torch.allclose(proposal.log_q.exp().double(), proposal.probability, atol=1e-7)
    drawn = proposal.sample(200_000, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=4) / len(drawn)
    assert (share - proposal.probability).abs().max() < 0.005
    again = proposal.sample(200_000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_unigram_is_what_it_says():
    counts = torch.tensor([5, 0, 20, 75])
    assert unigram(counts).probability.tolist() == pytest.approx([0.05, 0, 0.2, 0.75])
    assert unigram(counts, 0).probability.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


@pytest.mark.parametrize("weight", [torch.zeros(3), torch.tensor([1.0, -1]), torch.ones(2, 2)])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        Proposal.of(weight)
    with pytest.raises(ValueError, match="power is -1"):
        unigram(torch.ones(3), power=-1)


@pytest.mark.parametrize("counts", [[-5.0, 3], [float("nan"), 3], [0.0, 0], []])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        unigram(torch.tensor(counts))


def test_shares_and_huge_weights_are_fine():
    assert unigram(torch.tensor([0.1, 0.3, 0.6])).probability.tolist() == pytest.approx(
        [0.1, 0.3, 0.6]
    )
    huge = Proposal.of(torch.tensor([1e308, 1e308, 1.0], dtype=torch.float64))
    assert set(huge.sample(200, torch.Generator().manual_seed(0)).tolist()) == {0, 1}
    steep = unigram(torch.tensor([10, 3, 10]), power=308.0)
    assert steep.probability.tolist() == pytest.approx([0.5, 0, 0.5])
