"""Frappe: read and checked, split by pair, negatives by the stated rule."""

import hashlib
import zipfile

import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import frappe_apps as lab
from recsys_book.data import fetch, frappe, load
from recsys_book.data.fetch import DataUnavailable
from recsys_book.data.frappe import pair_parts, with_negatives

HEADER = "user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity\n"


def content(n_users=6, n_apps=40):
    rows = [
        f"{u}\t{(7 * u + 3 * k) % n_apps}\t{k + 1}\tmorning\tsunday\tweekend\tunknown\tfree\t"
        f"sunny\tSpain\t{k % 3}\n"
        for u in range(n_users)
        for k in range(12)
    ]
    apps = [
        f"{i}\tcom.{i}\t{'Tools' if i % 2 else 'Games'}\t{'unknown' if i == 3 else f'App {i}'}\n"
        for i in reversed(range(n_apps))
    ]
    meta = "item\tpackage\tcategory\tname\n" + "".join(apps)
    return {"frappe.csv": HEADER + "".join(rows), "meta.csv": meta}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small set of the same form, in the reader's folder."""
    text = content()
    known = {name: hashlib.sha256(t.encode()).hexdigest() for name, t in text.items()}
    monkeypatch.setattr(frappe, "_SHA256", known)
    files = {n: fetch.RemoteFile(n, (), fetch.check_sha256(k)) for n, k in known.items()}
    monkeypatch.setattr(frappe, "FILES", files)
    monkeypatch.setenv("RECSYS_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "cache_folder", lambda dataset: tmp_path / "cache" / dataset)
    (tmp_path / "frappe").mkdir()
    for name, t in text.items():
        (tmp_path / "frappe" / name).write_text(t, encoding="utf-8")
    return tmp_path / "frappe"


def test_frappe_as_published():
    try:
        data = load("frappe", download=False)
    except DataUnavailable:
        pytest.skip("frappe is not here")
    assert (len(data), data.n_users, data.n_apps) == (96_203, 957, 4_082)
    assert int(data.used().sum()) == 18_842
    assert sum(name.startswith("unknown app ") for name in data.names) == 550
    assert data.context.cardinalities == [8, 8, 3, 4, 3, 10, 81, 234]
    assert data.category.cardinalities == [33]
    sizes = [len(with_negatives(data, pair_parts(data), part)) for part in range(3)]
    assert sum(sizes) == 3 * 96_203


def test_apps_are_in_the_order_of_their_ids(folder):
    data = load("frappe", download=False)
    assert data.names[0] == "App 0" and data.names[39] == "App 39"
    assert data.names[3] == "unknown app 3"
    assert [data.category.decoders[0][i] for i in data.category.ids[:4, 0]] == [
        "Games",
        "Tools",
    ] * 2
    assert data.context.ids.shape == (72, 8)
    assert int(data.count.max()) == 12


def test_an_altered_file_is_refused_and_the_archive_is_read(folder):
    text = content()
    (folder / "frappe.csv").write_text(text["frappe.csv"][:-5], encoding="utf-8")
    with pytest.raises(ValueError, match="truncated or altered"):
        load("frappe", download=False)
    (folder / "frappe.csv").unlink()
    with zipfile.ZipFile(folder / "Mobile_Frappe.zip", "w") as made:
        for name, t in text.items():
            made.writestr(f"some folder/{name}", t)
            made.writestr(f"__MACOSX/{name}", "something else")
    assert len(load("frappe", download=False)) == 72
    with zipfile.ZipFile(folder / "Mobile_Frappe.zip", "w") as made:
        made.writestr("frappe.csv", "short")
    with pytest.raises(ValueError, match=r"frappe\.csv in it is missing or another"):
        load("frappe", download=False)


def test_no_pair_of_the_test_is_met_in_training_with_either_answer(folder):
    data = load("frappe", download=False)
    parts = pair_parts(data)
    assert torch.equal(parts, pair_parts(data)) and not torch.equal(parts, pair_parts(data, 1))
    drawn = [with_negatives(data, parts, part, n_negatives=3) for part in range(3)]
    pairs = [set(zip(e.user.tolist(), e.app.tolist(), strict=True)) for e in drawn]
    assert not (pairs[0] & pairs[1] or pairs[0] & pairs[2] or pairs[1] & pairs[2])
    assert sum(int(e.label.sum()) for e in drawn) == len(data)


def test_negatives_follow_the_rule(folder):
    data = load("frappe", download=False)
    parts = pair_parts(data)
    examples = with_negatives(data, parts, (0, 1), n_negatives=2)
    used = data.used()[examples.user, examples.app]
    assert torch.equal(used, examples.label.bool())
    assert torch.equal(examples.user, data.user[examples.row])
    assert examples.label.view(-1, 3).tolist() == [[1.0, 0.0, 0.0]] * (len(examples) // 3)
    assert (parts[examples.user, examples.app] <= 1).all()
    again = with_negatives(data, parts, (0, 1), n_negatives=2, seed=1)
    assert not torch.equal(again.app, examples.app)


def test_negatives_are_drawn_evenly(folder):
    data = load("frappe", download=False)
    parts = torch.zeros(data.n_users, data.n_apps, dtype=torch.int8)
    examples = with_negatives(data, parts, 0, n_negatives=500)
    of_one = examples.app[(examples.user == 2) & (examples.label == 0)]
    counts = torch.bincount(of_one, minlength=data.n_apps)[~data.used()[2]].double()
    assert counts.min() > 0.75 * counts.mean() and counts.max() < 1.25 * counts.mean()


def test_bad_arguments_are_named(folder):
    data = load("frappe", download=False)
    parts = pair_parts(data)
    with pytest.raises(ValueError, match="part is 3"):
        with_negatives(data, parts, 3)
    with pytest.raises(ValueError, match="n_negatives is 0"):
        with_negatives(data, parts, 0, n_negatives=0)
    with pytest.raises(ValueError, match="holds no rows"):
        with_negatives(data, torch.zeros_like(parts), 2)
    parts[data.user[0]] = torch.where(data.used()[data.user[0]], 0, 1).to(torch.int8)
    with pytest.raises(ValueError, match="leaves no app that user 0 never used"):
        with_negatives(data, parts, 0)


# ---------------------------------------------------------------- the experiment


@pytest.fixture
def tasks(folder):
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
