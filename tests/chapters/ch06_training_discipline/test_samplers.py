"""Chapter 06's samplers at work: the shift that q leaves in the scores, and its repair."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from recsys_book.chapters.ch06_training_discipline import samplers as lab
from recsys_book.chapters.ch06_training_discipline.samplers import Setting, Variant
from recsys_book.data.interactions import Interactions
from recsys_book.evaluate import full_catalogue
from recsys_book.losses import bce, sampled_softmax_loss
from recsys_book.samplers import HardSampler, PopularitySampler
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def task():
    return lab.simulated_task(simulate(n_users=150, n_films=200, seed=3), n_ranked=20)


def test_the_parts_share_no_pair_and_nothing_new_is_asked_about(task):
    keys = [part.keys() for part in (task.train, task.validation, task.test)]
    for i in range(3):
        for j in range(i):
            assert not torch.isin(keys[i], keys[j]).any()
    assert (task.train.item_counts()[task.validation.item] > 0).all()
    assert (task.both.item_counts()[task.test.item] > 0).all()
    assert torch.isin(keys[0], task.both.keys()).all()
    assert int(task.test.time.min()) > int(task.both.time.max())


def test_the_quick_recall_is_the_slow_one(task):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(task.test.n_users, task.test.n_items, generator=generator)
    score = lambda users: table[users]
    slow = full_catalogue(score, task.test, task.both, k=50).recall.mean()
    assert lab.recall(score, task.test, task.both) == pytest.approx(float(slow))
    constant = lambda users: torch.zeros(len(users), task.test.n_items)
    assert lab.recall(constant, task.test, task.both) == 0


def expected_bce(score, p, q, n):
    """Loss of scores `[N]` when positives come by p and n negatives by q, in expectation."""
    yes, no = nn.functional.softplus(-score), nn.functional.softplus(score)
    return p @ yes + n * (q @ no)


def test_bce_learns_log_p_over_q_and_adding_log_q_brings_p_back():
    p, n = torch.tensor([0.5, 0.3, 0.15, 0.05]).double(), 4
    q = torch.tensor([0.7, 0.1, 0.1, 0.1]).double()
    score = nn.Parameter(torch.zeros(4).double())
    optimizer = torch.optim.LBFGS([score], max_iter=500, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = expected_bce(score, p, q, n)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(score.detach(), (p / (n * q)).log(), atol=1e-4, rtol=0)
    assert score.argmax() != p.argmax()
    repaired = score.detach() + q.log()
    torch.testing.assert_close(repaired.softmax(0), p, atol=1e-4, rtol=0)


def test_the_repair_in_training_and_the_one_in_reading_are_each_made_once(task):
    log, users = task.train, torch.arange(5)
    model = lab.new_model(log, Variant("popularity", "bce"), Setting(), seed=0)
    sampler = PopularitySampler(log)
    known = log.item_counts() > 0
    assert not known.all()
    plain = model.score(users)
    log_q = sampler.log_q(users, torch.arange(log.n_items).expand(5, -1))
    for variant, shift in (
        (Variant("popularity", "bce"), 0.0),
        (Variant("popularity", "softmax", True), 0.0),
        (Variant("popularity", "bce", True), log_q),
    ):
        read = lab.reading(model, sampler, variant, log)(users)
        torch.testing.assert_close(read[:, known], (plain + shift)[:, known])
        assert (read[:, ~known] == -torch.inf).all()


@pytest.mark.parametrize("sampler", ["uniform", "hard"])
def test_where_no_order_can_change_there_is_no_repair(task, sampler):
    variant = Variant(sampler, "bce", True)
    assert variant not in lab.TABLE and replace(variant, repaired=False) in lab.TABLE
    model, drawn_by, _ = lab.train(task.train, variant, Setting(), 0, epochs=1)
    users = torch.arange(20)
    orders = []
    for repaired in (False, True):
        read = lab.reading(model, drawn_by, replace(variant, repaired=repaired), task.train)
        scores = read(users).masked_fill(lab.PairsOfUsers(task.train).mask(users), -torch.inf)
        orders.append(scores.topk(30, dim=1).indices)
    assert torch.equal(*orders)


def test_losses_are_the_package_s_own(task):
    log = task.train
    variant = Variant("popularity", "softmax", True)
    model = lab.new_model(log, variant, Setting(), seed=0)
    users, items = log.user[:6], log.item[:6]
    negatives, log_q = PopularitySampler(log)(users, items, 3, torch.Generator().manual_seed(0))
    batch = (users, items, negatives, log_q)
    positive, negative = model(users, items), model(users[:, None], negatives)
    torch.testing.assert_close(
        lab.loss_of(model, batch, variant), sampled_softmax_loss(positive, negative, log_q)
    )
    raw = replace(variant, repaired=False)
    torch.testing.assert_close(
        lab.loss_of(model, batch, raw), sampled_softmax_loss(positive, negative)
    )
    logits = torch.cat([positive[:, None], negative], 1)
    labels = torch.zeros(6, 4)
    labels[:, 0] = 1
    torch.testing.assert_close(
        lab.loss_of(model, batch, Variant("popularity", "bce", True)), bce(logits, labels)
    )


def test_a_temperature_makes_scores_cosines(task):
    variant = Variant("uniform", "softmax", True, temperature=0.1)
    model = lab.new_model(task.train, variant, Setting(), seed=0)
    scores = model.score(torch.arange(4))
    assert scores.abs().max() <= 1 + 1e-6
    some = model(torch.arange(4)[:, None], torch.arange(task.train.n_items)[None])
    torch.testing.assert_close(some, scores)


def test_training_repeats_and_hard_negatives_look_at_the_model(task):
    variant = Variant("hard", "bce", every=5)
    runs = [lab.train(task.train, variant, Setting(epochs=2), 0, epochs=2) for _ in range(2)]
    first, second = (run[0].score(torch.arange(3)) for run in runs)
    assert torch.equal(first, second)
    model, sampler, _ = runs[0]
    assert isinstance(sampler, HardSampler)
    scores = model.score(torch.arange(task.train.n_users))
    own = scores.masked_fill(sampler.seen.mask(torch.arange(task.train.n_users)), -torch.inf)
    assert torch.equal(sampler.top, own.topk(50, dim=1).indices)


def test_the_judge_by_hand():
    pairs = lambda rows: Interactions(
        torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows]), 2, 60
    )
    both = pairs([(0, 0), (0, 1), (1, 0)])
    test = pairs([(0, 5), (1, 6)])
    task = lab.Task(both, test, test, both)
    scores = torch.arange(60, 0, -1).float().expand(2, -1)  # low ids first
    found = lab.judge(task, lambda users: scores[users])
    # Lists: user 0 gets items 2..11, user 1 items 1..10. Item 5 is at place 4, item 6 at place 6.
    assert found["recall"] == 1
    assert found["ndcg"] == pytest.approx((1 / math.log2(5) + 1 / math.log2(7)) / 2)
    assert found["coverage"] == 11 / 60
    assert "truth" not in found


def test_popularity_of_the_lists(task):
    counts = task.both.item_counts().double()
    found = lab.judge(task, lambda users: counts.float().expand(len(users), -1))
    best = counts.topk(10).values.mean() / counts[task.test.item].mean()
    assert 1 < found["popularity"] <= float(best) + 1e-9
    assert found["truth"] == pytest.approx(0.0, abs=1e-6)


def test_bad_variants():
    with pytest.raises(ValueError, match="sampler is 'lucky'"):
        Variant("lucky", "bce")
    with pytest.raises(ValueError, match="loss is 'hinge'"):
        Variant("hard", "hinge")
