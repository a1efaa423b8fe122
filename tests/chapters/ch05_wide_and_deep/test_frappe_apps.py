"""Splits of Frappe, and models on it."""

import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import frappe_apps as lab
from recsys_book.data import load


@pytest.fixture
def tasks(frappe_folder):
    data = load("frappe", download=False)
    return {split: lab.make_task(data, split) for split in lab.SPLITS}


def test_splits_share_no_pair_or_nearly_all(tasks):
    assert lab.pairs_in_both(tasks["by pair"]) == 0
    counts = torch.bincount(tasks["by row"].part.long(), minlength=3)
    assert int(counts.sum()) == 72 and counts[0] > counts[2] > counts[1] > 0
    with pytest.raises(ValueError, match="split is 'by time'"):
        lab.make_task(tasks["by row"].data, "by time")


@pytest.mark.parametrize("split", ["by pair", "by row"])
def test_nobody_finds_the_answer_in_the_bag(tasks, split):
    task = tasks[split]
    for told, part in (((0,), 0), ((0,), 1), ((0, 1), 2)):
        examples = task.draw(part, seed=0)
        ids, bag = lab.Encoder(task, told)(examples)
        data = task.data
        own = data.app[examples.row] + 1
        assert not (bag == own[:, None]).any()
        # One bag for a row and its negatives.
        assert (bag.view(-1, 3, lab.LENGTH) == bag.view(-1, 3, lab.LENGTH)[:, :1]).all()
        rows = torch.isin(task.part, torch.tensor(told, dtype=torch.int8))
        known = set(zip(data.user[rows].tolist(), (data.app[rows] + 1).tolist(), strict=True))
        for user, members in zip(examples.user.tolist(), bag.tolist(), strict=True):
            assert {(user, a) for a in members if a} <= known
        if split == "by pair":
            told_to = {int(a): {u for u, b in known if b == a + 1} for a in examples.app.unique()}
            strangers = torch.tensor([len(told_to[int(a)]) < 2 for a in examples.app])
        else:
            count = torch.bincount(data.app[rows], minlength=data.n_apps)
            strangers = count[examples.app] < 2
        assert torch.equal(ids[:, lab.APP] == 0, strangers)
        assert (ids < torch.tensor(task.cardinalities)).all()


def test_strangers_are_no_tell_tale(tasks):
    """Where an app without an id is always a negative in training, and not in the test, every model
    learns a rule that fails."""
    for split, task in tasks.items():
        examples = task.draw(0, seed=0)
        ids, _ = lab.Encoder(task, (0,))(examples)
        of_strangers = examples.label[ids[:, lab.APP] == 0]
        assert 0 < of_strangers.mean() < 1, split


def test_the_bag_holds_the_most_used_apps_first(tasks):
    task = tasks["by row"]
    examples = task.draw(0, seed=0)
    _, bag = lab.Encoder(task, (0,))(examples)
    data, rows = task.data, (task.part == 0)
    for row in range(0, 30, 3):
        user = int(examples.user[row])
        mine = rows & (data.user == user)
        own = int(data.app[examples.row[row]])
        uses = {}
        for app, n in zip(data.app[mine].tolist(), data.count[mine].tolist(), strict=True):
            uses[app] = uses.get(app, 0) + n
        uses.pop(own, None)
        found = [a - 1 for a in bag[row].tolist() if a]
        assert [uses[a] for a in found] == sorted(uses.values(), reverse=True)


@pytest.mark.parametrize("kind", lab.KINDS)
def test_every_kind_is_tuned_and_tested(tasks, kind, monkeypatch):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 2)
    task = tasks["by row"]
    setting = lab.Setting(lr=0.02, wide_lr=0.2, l1=0.5, epochs=2, batch_size=64)
    loss, epochs = lab.try_setting(task, kind, setting)
    assert 0 < loss < 2 and epochs in (1, 2)
    found = lab.tested(task, kind, setting, 0)
    assert 0 < found["auc"] <= 1 and found["log_loss"] > 0
    assert found == lab.tested(task, kind, setting, 0)
    assert ("weights" in found) == ("wide" in kind)
