"""Histories hold what came before, and nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_book.data.interactions import Interactions
from recsys_book.data.next_watch import (
    any_watch,
    histories_at,
    next_watch,
    seconds_since,
    some_of_each,
)
from recsys_book.service.simulate import simulate

U, N = 5, 9


def make_log(rows) -> Interactions:
    user, item, time = (torch.tensor(c, dtype=torch.int64) for c in zip(*rows, strict=True))
    return Interactions(user, item, U, N, time=time)


rows = st.lists(
    st.tuples(st.integers(0, U - 1), st.integers(0, N - 1), st.integers(0, 12)),
    min_size=1, max_size=40,
)  # fmt: skip


@given(rows, st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_history_is_what_the_user_watched_strictly_before(rows, length):
    examples = next_watch(make_log(rows), length)
    assert sorted(examples.row.tolist()) == list(range(len(rows)))
    # Python's sort is stable too: equal times keep the order of rows.
    ordered = sorted(rows, key=lambda row: row[2])
    for i in range(len(examples)):
        user, item, time = rows[int(examples.row[i])]
        assert (int(examples.user[i]), int(examples.item[i]), int(examples.time[i])) == (
            user, item, time,
        )  # fmt: skip
        before = [r[1] for r in ordered if r[0] == user and r[2] < time][::-1][:length]
        assert examples.history[i].tolist() == before + [N] * (length - len(before))


@given(rows, st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_the_leaky_history_is_the_nearest_others_and_never_the_watch_itself(rows, length):
    # Items that tell the row apart, so that the watch itself can be told from another of its item.
    log = make_log([(u, i, t) for i, (u, _, t) in enumerate(rows[:N])])
    examples = any_watch(log, length)
    for i in range(len(examples)):
        own = (log.user == examples.user[i]).sum().item() - 1
        real = examples.history[i][examples.history[i] != N]
        assert len(real) == min(own, length)
        assert len(set(real.tolist())) == len(real)
        assert int(examples.item[i]) not in real.tolist()
        assert set(log.user[real].tolist()) <= {int(examples.user[i])}


def test_the_leaky_history_looks_both_ways():
    log = make_log([(0, i, i) for i in range(7)])
    examples = any_watch(log, 4)
    assert examples.history[3].tolist() == [5, 4, 2, 1]
    assert examples.history[0].tolist() == [4, 3, 2, 1]
    assert examples.history[6].tolist() == [5, 4, 3, 2]


def test_an_equal_number_of_each_user():
    log = make_log([(0, i % N, i) for i in range(20)] + [(1, 3, 1), (1, 4, 2)])
    examples = next_watch(log, 3)
    some = some_of_each(examples, 5, torch.Generator().manual_seed(0))
    assert torch.bincount(some.user, minlength=U).tolist() == [5, 2, 0, 0, 0]
    assert bool((some.row.diff()[:4] > 0).all())  # in their order
    others = some_of_each(examples, 5, torch.Generator().manual_seed(1))
    assert some.row.tolist() != others.row.tolist()
    # Each of user 0's examples comes up as often as any other.
    count = torch.zeros(22)
    for seed in range(400):
        count[some_of_each(examples, 5, torch.Generator().manual_seed(seed)).row] += 1
    assert (count[:20] / 400 - 0.25).abs().max() < 0.09


def test_seconds_since_the_last_watch():
    log = make_log([(0, 1, 5), (2, 7, 1), (0, 2, 3), (0, 4, 9)])
    users, times = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([9, 10, 3, 10, 7])
    found = seconds_since(log, users, times, otherwise=-2)
    assert found.tolist() == [4, 1, 5, 12, 6]  # of the same second: not before


@given(rows, st.integers(-2, 15), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_histories_at_any_moment(rows, moment, length):
    log = make_log(rows)
    users = torch.arange(U)
    found = histories_at(log, users, torch.full((U,), moment), length)
    for user in range(U):
        earlier = [r for r in sorted(rows, key=lambda r: r[2]) if r[0] == user and r[2] < moment]
        items = [r[1] for r in earlier][::-1][:length]
        assert found[user].tolist() == items + [N] * (length - len(items))
    assert histories_at(log, users[:0], users[:0], length).shape == (0, length)
    with pytest.raises(ValueError, match="users contains 5"):
        histories_at(log, torch.tensor([U]), torch.tensor([1]), length)


def test_it_agrees_with_the_logs_own_histories():
    log = simulate(n_users=60, n_films=80, days=10, seed=3).log
    mine = next_watch(log.clicks(), 6)
    clicked = log.clicked.nonzero().squeeze(1)
    theirs = log.histories(6, clicked)
    mine_in_order = torch.empty_like(mine.history)
    mine_in_order[mine.row] = mine.history
    assert torch.equal(mine_in_order, theirs)


def test_bad_input_is_named():
    log = make_log([(0, 1, 5)])
    with pytest.raises(ValueError, match="length is 0"):
        next_watch(log, 0)
    with pytest.raises(ValueError, match="log has no time"):
        next_watch(Interactions(log.user, log.item, U, N), 3)
    with pytest.raises(ValueError, match="time has dtype torch.float32"):
        next_watch(Interactions(log.user, log.item, U, N, time=torch.tensor([1.0])), 3)
    with pytest.raises(ValueError, match="n is 0"):
        some_of_each(next_watch(log, 1), 0, torch.Generator())
