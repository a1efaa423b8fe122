"""Chapter 05's figures and widgets say what the records and the models say."""

import numpy as np
import pandas as pd
import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import figures, lab
from recsys_book.chapters.ch05_wide_and_deep import runs_simulated as run
from recsys_book.reproduce.record import read_record
from recsys_book.service import simulate
from recsys_book.service.click_models import FILM


@pytest.fixture(scope="module")
def task():
    return lab.make_task(simulate(n_users=150, n_films=100, days=28, seed=3), seed=3)


@pytest.fixture(scope="module")
def trained(task):
    snapshots = []

    def keep(epoch, model):
        snapshots.append(figures.field_vectors(task, model))

    setting = lab.Setting(lr=0.05, wide_lr=0.3, l1=1.0, epochs=2, batch_size=512)
    rows = task.rows(0, lab.TEST_FROM)
    model, _ = lab.train(task, "wide & deep", setting, rows, seed=0, after_epoch=keep)
    return model, snapshots


def part(value):
    parts = {
        name: {"excess": value, "auc": 0.7 + value, "lift": 10 * value, "true_lift": 2.0}
        for name in lab.PARTS
    }
    return parts


@pytest.fixture
def record():
    """A record of the run's form, with figures that are easily told apart."""
    names = [*lab.KINDS, "average"]
    worlds = range(3)
    row = lambda v: {"parts": part(v), "kept": {"ids": 5, "pairs": int(1_000 * v)}}
    path = {
        f"{l1:g}": [
            row(0.01 * i + 0.001 * w)
            | {"sequels": {"n": 30, "kept": 20 - i, "on top": 10 + i}, "pairs_met": 9_000}
            for w in worlds
        ]
        for i, l1 in enumerate(run.L1S)
    }
    charge = {
        name: [
            {"auc": 0.6 + 0.01 * i + 0.001 * w, "log_loss": 0.5, "clicks": 100 * (i + 1)}
            for w in worlds
        ]
        for i, name in enumerate(run.IN_CHARGE)
    } | {"oracle": [{"clicks": 500 + w} for w in worlds]}
    return {
        "figures": {
            "memory": {
                name: [row(0.02 * i + 0.001 * w) for w in worlds] for i, name in enumerate(names)
            },
            "path": path,
            "hashed": {str(n): [row(0.05), row(0.06), row(0.07)] for n in run.BUCKETS},
            "in_charge": {logging: charge for logging in run.LOGS},
        }
    }


def test_a_weight_walks_as_ftrl_says():
    walk = figures.ftrl_walk([-0.6, -0.6], lr=0.5, l1=1.0)
    n = 0.72
    assert walk == pytest.approx([0.0, 0.2 / ((1 + n**0.5) / 0.5)], abs=1e-6)
    alt = figures.l1_figure().alt
    assert "L1 0: zero after 0 of 60" in alt and "nothing to learn, L1 4: zero after" in alt


def test_memory_table_figure_and_leads(record):
    memory = record["figures"]["memory"]
    table = figures.memory_table(memory)
    assert list(table.columns) == list(lab.PARTS) and list(table.index) == list(memory)
    assert table.loc["deep", "all"].startswith("0.0210")
    lifts = figures.memory_table(memory, "lift")
    assert list(lifts.columns) == ["seen pairs", "hidden pairs"]
    assert lifts.index[-1] == "truth" and lifts.loc["truth", "seen pairs"].startswith("2.00")
    share = figures.lift_learned(memory["deep"])
    assert share.value == pytest.approx(10 * 0.021 / 2) and share.gap.n == 3
    recipes = figures.recipes_table(memory)
    assert list(recipes.index) == [f"minus {name} for all" for name in ("Adam", "AdaGrad", "SGD")]
    assert recipes.loc["minus Adam for all", "log-loss"].startswith("−0.0400")
    picture = figures.memory_figure(memory, ("wide", "deep"))
    assert "seen pairs, deep 0.021" in picture.alt
    gap = figures.lead(memory, "deep", "wide", "all")
    assert gap.value == pytest.approx(0.02) and gap.gap.n == 3


def test_the_l1_widget_tells_of_every_step(record):
    frames = figures.path_frames(record)
    assert len(frames.alts) == len(run.L1S) and frames.axes[0]["name"] == "L1"
    assert not frames.axes[0]["select"] and frames.index == [3]
    assert "L1 3: 21 of 9,000 pairs kept" in frames.alts[2]
    assert frames.payload < 400_000
    table = figures.path_table(record)
    assert table.loc["3", "sequel pairs kept"] == "18.0 of 30.0"
    hashed = figures.hashed_table(record)
    assert next(iter(hashed.index)) == "1,000 buckets" and len(hashed) == len(run.BUCKETS) + 1


def test_in_charge_is_measured_in_the_oracles_clicks(record):
    values = figures.charge_values(record, "service")
    assert set(values) == set(run.IN_CHARGE)
    assert values["wide"]["clicks"] == [100 / 500, 100 / 501, 100 / 502]
    assert "logged by chance, deep: AUC 0.621" in figures.charge_figure(record).alt
    gap = figures.charge_gap(record, "wide", "deep", "wide", "auc")
    assert gap.value == pytest.approx(0.02)


def test_older_pieces_are_told(record):
    assert figures.older_pieces(record | {"commit": "new"}) == ""
    mixed = record | {"commit": "new", "pieces": {"commits": {"new": 5, "old": 3}}}
    assert figures.older_pieces(mixed) == "3 of 8 pieces are of an earlier commit (old)."
    shipped = read_record("ch05/simulated")
    told = figures.older_pieces(shipped)
    if len(shipped["pieces"]["commits"]) > 1:
        for kind in figures.WITHOUT_FTRL:
            assert kind in told
        assert "hidden sequels" in told and "wide & deep;" not in told
    assert set(figures.WITHOUT_FTRL) == {
        "deep", "deep, Adam", "wide & deep, Adam", "wide & deep, AdaGrad", "wide & deep, SGD",
    }  # fmt: skip


def test_chapter_00s_dnn_stands_beside_by_world(record):
    """Only the worlds of both records count, whatever their order."""
    own = record | {"seeds": [2, 0, 1]}
    ladder = {
        "seeds": [0, 1, 5],
        "figures": {"full": [{"DNN": {"auc": 0.7 + i / 10, "log_loss": 0.4}} for i in range(3)]},
    }
    values = figures.beside_ladder(own, ladder, "auc")
    assert values["DNN of chapter 0"] == pytest.approx([0.7, 0.8])
    place = list(run.IN_CHARGE).index("wide & deep")
    assert values["wide & deep"] == pytest.approx([0.6 + 0.01 * place + w for w in (0.001, 0.002)])
    gap = figures.ladder_gap(own, ladder, "log_loss")
    assert gap.value == pytest.approx(-0.1) and gap.gap.n == 2
    table = figures.beside_ladder_table(own, ladder)
    assert table.loc["DNN of chapter 0", "trained by"] == "Adam"
    assert table.loc["wide & deep", "log-loss"].startswith("0.5000")


def test_an_impression_is_told_in_full(task, trained):
    model, _ = trained
    rows = figures.telling_impressions(task, model.wide)
    seen = lab.part_rows(task, "seen pairs")
    seen = seen[(task.examples.history[seen] > 0).sum(1) >= 5]
    sequel_of = torch.from_numpy(task.world.film.sequel_of).long()
    weight_of = lambda some: model.wide.cross_weights(0)[
        sequel_of[task.examples.ids[some, FILM] - 1] + 1, task.examples.ids[some, FILM]
    ]
    assert weight_of(torch.tensor(rows[:1])) == weight_of(seen).max()
    assert len(set(rows)) == len(rows)
    assert len(rows) == 8 and task.sequel[rows].tolist() == [True] * 5 + [False] * 3
    assert task.of_hidden[rows].tolist()[:5] == [False] * 3 + [True] * 2
    first = task.world.film.sequel_of[task.examples.ids[rows[0], FILM] - 1]
    assert model.wide.cross_weights(0)[first + 1, task.examples.ids[rows[0], FILM]] != 0
    frames = figures.impression_frames(task, model, rows)
    logits = lab.predict(model, task.examples[torch.tensor(rows)])
    for alt, logit in zip(frames.alts, logits.tolist(), strict=True):
        values = [float(piece.split(";")[0].rsplit(" ", 1)[1]) for piece in alt.split(", ")[1:-1]
                  if piece.split(";")[0].rsplit(" ", 1)[1][0] in "+-"]  # fmt: skip
        assert sum(values) == pytest.approx(logit, abs=0.1)
        assert f"chance {1 / (1 + np.exp(-logit)):.0%}" in alt
    assert "sequel of a hidden pair" in frames.alts[3] and frames.index == [0]


def test_values_have_their_names(task):
    assert figures.value_name(task, FILM, 1) == str(task.world.titles[0])[:24]
    assert figures.value_name(task, lab.AGE, 1) == "under 20"
    assert figures.value_name(task, lab.PLACE, 3) == "3"
    assert figures.value_name(task, FILM, 0) == "unknown"


def test_roles_pairs_and_map(task, trained):
    model, snapshots = trained
    roles = figures.sequel_roles(task)
    sequel_of = task.world.film.sequel_of
    for film in np.flatnonzero(sequel_of >= 0):
        kind = roles[film].removeprefix("part two, ")
        assert roles[sequel_of[film]] == f"part one, {kind}"
    assert "hidden: 0 of" in figures.pairs_figure(task, model).alt
    near = figures.nearness(task, model)
    assert set(near) == {"seen pairs", "hidden pairs", "films as alike"}
    assert all(-1 <= value <= 1 for value in near.values())
    n = task.world.n_films
    vectors = figures.field_vectors(task, model)
    small = sum(task.cardinalities[2:]) - len(task.cardinalities[2:])
    assert vectors.shape == (n + small, lab.DIM)
    start = task.cardinalities[0]
    assert torch.equal(vectors[5], model.vectors.table.weight[start + 6])
    widget = figures.fields_explorer(task, snapshots, [1, 2], model)
    assert len(widget.titles) == len(vectors)
    assert widget.titles[n].startswith("age: ")
    two = int(np.flatnonzero(sequel_of >= 0)[0])
    told = f"part two of “{task.world.titles[sequel_of[two]]}”, wide weight"
    assert told in widget.details[two]


def test_chances_are_means_of_the_part(task, trained):
    model, _ = trained
    table = figures.chance_table([task], {"wide & deep": [model]}, "seen pairs")
    rows = lab.part_rows(task, "seen pairs")
    assert table.loc["clicked", 0] == pytest.approx(float(task.examples.label[rows].mean()))
    expected = lab.predict(model, task.examples[rows]).sigmoid().mean()
    assert table.loc["wide & deep", 0] == pytest.approx(float(expected))


def test_the_strongest_pairs_are_named(task):
    wide = lab.make_model("wide", task.cardinalities, 0)
    two = int(np.flatnonzero(task.world.film.sequel_of >= 0)[0])
    one = int(task.world.film.sequel_of[two])
    with torch.no_grad():
        wide.cross_weights(0)[one + 1, two + 1] = 2.0
        wide.cross_weights(0)[4, 9] = 1.0
    table = figures.strongest_pairs(task, wide, n=2)
    titles = task.world.titles
    assert table.iloc[0].tolist() == [titles[one], titles[two], 2.0, "yes"]
    assert table.iloc[1].tolist()[:3] == [titles[3], titles[8], 1.0]


def test_frappe_tables():
    runs = lambda v: [{"auc": v + 0.001 * s, "log_loss": 0.3} for s in range(3)]
    kinds = {"LR": runs(0.9), "wide": runs(0.92), "wide & deep": runs(0.95)}
    epochs = {split: {kind: {"epochs": i + 1} for kind in kinds}
              for i, split in enumerate(("by pair", "by row"))}  # fmt: skip
    record = {"figures": {"test": {"by pair": kinds, "by row": kinds}, "settings": epochs}}
    table = figures.frappe_table(record)
    assert isinstance(table, pd.DataFrame)
    assert table.loc["LR", "BARS Frappe_x1"] == "0.936"
    assert table.loc["wide", "BARS Frappe_x1"] == ""
    assert table.loc["wide"].tolist()[1:4:2] == [1, 2]
    gap = figures.frappe_gap(record, "by pair", "wide & deep", "LR")
    assert gap.value == pytest.approx(0.05)
