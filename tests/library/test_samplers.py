"""Four samplers, one call: what each draws, and the log of its chance."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from recsys_book.data.interactions import Interactions
from recsys_book.samplers import HardSampler, InBatchSampler, PopularitySampler, UniformSampler

N_USERS, N_ITEMS = 4, 12


def pairs_of(owned, n_items=N_ITEMS):
    pairs = [(u, i) for u, mine in enumerate(owned) for i in sorted(mine)]
    pairs = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    return Interactions(pairs[:, 0], pairs[:, 1], len(owned), n_items)


def log_of(seed=0, n_users=N_USERS, n_items=N_ITEMS, n=60):
    """A log with a long tail, repeats included, in which nobody has everything."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(n_users, (n,), generator=generator)
    items = (torch.rand(n, generator=generator) ** 2 * (n_items - 4)).long()
    items = (items + 2 * users) % n_items
    return Interactions(users, items, n_users, n_items)


def scores(users):
    """Fixed: item N − 1 is everybody's best."""
    return torch.arange(N_ITEMS).float().expand(len(users), -1)


SAMPLERS = {
    "uniform": UniformSampler,
    "popularity": PopularitySampler,
    "flat popularity": lambda seen: PopularitySampler(seen, 0.5),
    "in-batch": InBatchSampler,
    "hard": lambda seen: HardSampler(seen, scores, share=0.5, pool=3),
}
every = pytest.mark.parametrize("name", SAMPLERS)


def draw(sampler, seen, n=4, seed=0, repeat=1):
    users, items = seen.user.repeat(repeat), seen.item.repeat(repeat)
    return users, sampler(users, items, n, torch.Generator().manual_seed(seed))


@every
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_positive_is_ever_drawn(name, data):
    # Items 0 and 1 are everybody's to draw from: each is owned by one user who lacks the other.
    owned = [{0} | data.draw(st.sets(st.integers(2, N_ITEMS - 1))) for _ in range(2)]
    owned += [{1} | data.draw(st.sets(st.integers(2, N_ITEMS - 1))) for _ in range(2)]
    seen = pairs_of(owned)
    users, (items, log_q) = draw(SAMPLERS[name](seen), seen, repeat=3)
    assert items.shape == log_q.shape == (len(users), 4)
    assert not torch.isin(users[:, None] * N_ITEMS + items, seen.keys()).any()
    assert torch.isfinite(log_q).all() and (log_q <= 0).all()


@every
def test_items_come_as_often_as_log_q_says(name):
    seen = log_of()
    sampler = SAMPLERS[name](seen)
    generator = torch.Generator().manual_seed(1)
    counts = torch.zeros(N_USERS, N_ITEMS)
    drawn_for = torch.zeros(N_USERS)
    for _ in range(40):
        # Batches as training makes them: rows of the log, drawn evenly.
        rows = torch.randint(len(seen), (2_000,), generator=generator)
        items, _ = sampler(seen.user[rows], seen.item[rows], 1, generator)
        counts.view(-1).index_add_(
            0, seen.user[rows] * N_ITEMS + items[:, 0], torch.ones(len(rows))
        )
        drawn_for += torch.bincount(seen.user[rows], minlength=N_USERS)
    users = torch.arange(N_USERS)
    q = sampler.log_q(users, torch.arange(N_ITEMS).expand(N_USERS, -1)).exp().double()
    own = torch.zeros(N_USERS, N_ITEMS, dtype=torch.bool)
    own[seen.user, seen.item] = True
    q = q.masked_fill(own, 0)
    torch.testing.assert_close(
        q.sum(1), torch.ones(N_USERS, dtype=torch.float64), atol=1e-6, rtol=0
    )
    for user in range(N_USERS):
        possible = q[user] > 0
        assert counts[user, ~possible].sum() == 0
        expected = q[user, possible] / q[user, possible].sum() * float(drawn_for[user])
        assert chisquare(counts[user, possible].double().numpy(), expected.numpy()).pvalue > 1e-4


def test_popularity_with_a_power_is_what_it_says():
    seen = pairs_of([{0, 1}, {0, 1, 2}, {0, 3}, {0}], n_items=5)
    sampler = PopularitySampler(seen, power=0.5)
    q = sampler.log_q(torch.tensor([3]), torch.arange(5)[None]).exp()[0]
    weight = torch.tensor([4.0, 2.0, 1.0, 1.0, 0.0]).sqrt()
    left = weight.sum() - weight[0]  # user 3 has item 0
    torch.testing.assert_close(q, weight / left)
    even = PopularitySampler(seen, power=0.0).log_q(torch.tensor([3]), torch.arange(5)[None])
    torch.testing.assert_close(even.exp()[0, 1:], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]))


def test_popularity_may_be_counted_elsewhere():
    seen = pairs_of([{0}, {1}], n_items=3)
    sampler = PopularitySampler(seen, counts=torch.tensor([1, 1, 8]))
    q = sampler.log_q(torch.tensor([0]), torch.tensor([[1, 2]])).exp()
    torch.testing.assert_close(q, torch.tensor([[1 / 9, 8 / 9]]))


@every
def test_the_same_seed_draws_the_same_and_another_does_not(name):
    seen = log_of(n=200, n_items=12)
    once, again, other = (draw(SAMPLERS[name](seen), seen, n=8, seed=s)[1] for s in (0, 0, 1))
    assert torch.equal(once.items, again.items) and torch.equal(once.log_q, again.log_q)
    assert not torch.equal(once.items, other.items)


@every
def test_the_global_stream_is_left_alone(name):
    seen = log_of()
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    draw(SAMPLERS[name](seen), seen)
    assert torch.equal(torch.rand(3), wanted)


@every
def test_a_user_who_owns_everything_is_named(name):
    seen = pairs_of([{0, 1, 2}, {0}], n_items=3)
    sampler = (
        SAMPLERS[name](seen)
        if name != "hard"
        else HardSampler(seen, lambda users: torch.zeros(len(users), 3), pool=2)
    )
    with pytest.raises(ValueError, match="users contains 0, who has been seen with"):
        sampler(torch.tensor([1, 0]), torch.tensor([0, 1]), 2, None)


@every
@pytest.mark.parametrize(
    ("users", "items", "n", "message"),
    [
        ([0, 9], [0, 1], 2, "users contains 9"),
        ([0, 1], [0, 99], 2, "items contains 99"),
        ([0, 1], [0, 1], 0, "n is 0"),
        ([0, 1], [0], 2, "users has shape"),
    ],
)
def test_bad_batches(name, users, items, n, message):
    sampler = SAMPLERS[name](log_of())
    with pytest.raises(ValueError, match=message):
        sampler(torch.tensor(users), torch.tensor(items), n, None)


def test_hard_negatives_are_the_models_best_unseen_ones():
    seen = pairs_of([{11, 9}, {0}, {1}, {2}])
    sampler = HardSampler(seen, scores, share=1.0, pool=2)
    _, (items, log_q) = draw(sampler, seen, n=50)
    assert set(items[0].tolist()) == {10, 8}  # 11 and 9 are its own
    assert set(items[-1].tolist()) == {11, 10}
    torch.testing.assert_close(log_q, torch.full_like(log_q, 0.5).log())


def test_the_share_decides_how_many_are_hard():
    seen = pairs_of([{0}, {0}, {0}, {0}])
    sampler = HardSampler(seen, scores, share=0.3, pool=1)
    _, (items, _) = draw(sampler, seen, n=2_000)
    share = float((items == N_ITEMS - 1).double().mean())
    assert abs(share - (0.3 + 0.7 / (N_ITEMS - 1))) < 0.02
    none = HardSampler(seen, scores, share=0.0, pool=1)
    q = none.log_q(torch.tensor([0]), torch.arange(1, N_ITEMS)[None]).exp()
    torch.testing.assert_close(q, torch.full_like(q, 1 / (N_ITEMS - 1)))


def test_tops_are_made_anew_after_so_many_calls():
    seen, asked = log_of(), []

    def counted(users):
        asked.append(len(users))
        return scores(users)

    sampler = HardSampler(seen, counted, pool=3, every=3)
    for _ in range(7):
        draw(sampler, seen)
    assert len(asked) == 3  # before calls 1, 4 and 7
    sampler.refresh()
    for _ in range(3):
        draw(sampler, seen)
    assert len(asked) == 4


def test_in_batch_draws_from_the_log_where_the_batch_has_nothing():
    seen = pairs_of([{0}, {0}, {1, 2, 3}, {5}])
    items, _ = InBatchSampler(seen)(torch.tensor([0, 1]), torch.tensor([0, 0]), 6, None)
    assert not (items == 0).any() and set(items.flatten().tolist()) <= {1, 2, 3, 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.5}, "share is 1.5"),
        ({"pool": 0}, "pool is 0"),
        ({"pool": 99}, "pool is 99"),
        ({"every": 0}, "every is 0"),
    ],
)
def test_bad_options_of_hard(options, message):
    with pytest.raises(ValueError, match=message):
        HardSampler(log_of(), scores, **options)


def test_hard_refuses_scores_of_another_shape_or_nan():
    seen = log_of()
    with pytest.raises(ValueError, match="score gave shape"):
        draw(HardSampler(seen, lambda users: torch.zeros(len(users), 3), pool=2), seen)
    with pytest.raises(ValueError, match="scores contains NaN"):
        draw(
            HardSampler(seen, lambda users: torch.full((len(users), N_ITEMS), torch.nan), pool=2),
            seen,
        )


@pytest.mark.parametrize("counts", [torch.ones(3), torch.full((N_ITEMS,), -1.0)])
def test_bad_counts(counts):
    with pytest.raises(ValueError, match="counts"):
        PopularitySampler(log_of(), counts=counts)


def test_a_large_catalogue_keeps_its_tail():
    """A count of one beside a million: its stretch is short, and is there."""
    counts = torch.ones(2_000)
    counts[0] = 1e6
    seen = pairs_of([{0}], n_items=2_000)
    sampler = PopularitySampler(seen, counts=counts)
    q = sampler.log_q(torch.tensor([0]), torch.arange(1, 2_000)[None]).exp()
    torch.testing.assert_close(q, torch.full_like(q, 1 / 1_999), rtol=1e-4, atol=0)


def seen(pairs, n_users, n_items):
    pairs = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    return Interactions(pairs[:, 0], pairs[:, 1], n_users, n_items)
