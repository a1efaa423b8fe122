"""Logs that grow, and policies of chance."""

import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import lab
from recsys_book.service import run_online, simulate
from recsys_book.service.log import Log
from recsys_book.service.policies import grown, random_policy


@pytest.fixture(scope="module")
def world():
    return simulate(n_users=150, n_films=100, days=28, seed=3)


@pytest.fixture(scope="module")
def task(world):
    return lab.make_task(world, seed=3)


def test_a_grown_world_is_one_log(world):
    more = run_online(world, random_policy(world, 0), 3, seed=5)
    both = grown(world, more.log, 3)
    assert len(both.log) == len(world.log) + len(more.log) and both.days == 31
    user, time = both.log.user.long(), both.log.time.long()
    order = user * 10**8 + time
    assert (order[1:] >= order[:-1]).all()
    old = both.log[both.log.day < 28]
    for name in vars(Log(**vars(world.log))):
        value = getattr(world.log, name)
        if isinstance(value, torch.Tensor) and name != "position":
            assert torch.equal(getattr(old, name), value), name
    task = lab.make_task(both)
    assert int(task.day.max()) >= 28
