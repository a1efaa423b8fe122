"""Frappe as it is published, and the negatives drawn for it."""

import zipfile

import pytest
import torch
from made_up_frappe import content

from recsys_book.chapters.ch05_wide_and_deep.frappe_examples import pair_parts, with_negatives
from recsys_book.data import load
from recsys_book.data.fetch import DataUnavailable


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


def test_apps_are_in_the_order_of_their_ids(frappe_folder):
    data = load("frappe", download=False)
    assert data.names[0] == "App 0" and data.names[39] == "App 39"
    assert data.names[3] == "unknown app 3"
    assert [data.category.decoders[0][i] for i in data.category.ids[:4, 0]] == [
        "Games",
        "Tools",
    ] * 2
    assert data.context.ids.shape == (72, 8)
    assert int(data.count.max()) == 12


def test_an_altered_file_is_refused_and_the_archive_is_read(frappe_folder):
    text = content()
    (frappe_folder / "frappe.csv").write_text(text["frappe.csv"][:-5], encoding="utf-8")
    with pytest.raises(ValueError, match="truncated or altered"):
        load("frappe", download=False)
    (frappe_folder / "frappe.csv").unlink()
    with zipfile.ZipFile(frappe_folder / "Mobile_Frappe.zip", "w") as made:
        for name, t in text.items():
            made.writestr(f"some frappe_folder/{name}", t)
            made.writestr(f"__MACOSX/{name}", "something else")
    assert len(load("frappe", download=False)) == 72
    with zipfile.ZipFile(frappe_folder / "Mobile_Frappe.zip", "w") as made:
        made.writestr("frappe.csv", "short")
    with pytest.raises(ValueError, match=r"frappe\.csv in it is missing or another"):
        load("frappe", download=False)


def test_no_pair_of_the_test_is_met_in_training_with_either_answer(frappe_folder):
    data = load("frappe", download=False)
    parts = pair_parts(data)
    assert torch.equal(parts, pair_parts(data)) and not torch.equal(parts, pair_parts(data, 1))
    drawn = [with_negatives(data, parts, part, n_negatives=3) for part in range(3)]
    pairs = [set(zip(e.user.tolist(), e.app.tolist(), strict=True)) for e in drawn]
    assert not (pairs[0] & pairs[1] or pairs[0] & pairs[2] or pairs[1] & pairs[2])
    assert sum(int(e.label.sum()) for e in drawn) == len(data)


def test_negatives_follow_the_rule(frappe_folder):
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


def test_negatives_are_drawn_evenly(frappe_folder):
    data = load("frappe", download=False)
    parts = torch.zeros(data.n_users, data.n_apps, dtype=torch.int8)
    examples = with_negatives(data, parts, 0, n_negatives=500)
    of_one = examples.app[(examples.user == 2) & (examples.label == 0)]
    counts = torch.bincount(of_one, minlength=data.n_apps)[~data.used()[2]].double()
    assert counts.min() > 0.75 * counts.mean() and counts.max() < 1.25 * counts.mean()


def test_bad_arguments_are_named(frappe_folder):
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
