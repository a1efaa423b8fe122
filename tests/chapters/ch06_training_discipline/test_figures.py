"""Chapter 06's figures read the right numbers, and its recorded runs plan what they need."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch06_training_discipline import figures
from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline import (
    runs_repairs as discipline,
)
from recsys_book.chapters.ch06_training_discipline import (
    runs_samplers as samplers,
)
from recsys_book.chapters.ch06_training_discipline.repairs import FOUND, STEPS
from recsys_book.reproduce.record import read_record
from recsys_book.service import click_models, simulate
from recsys_book.service.world import Context
from recsys_book.show.intervals import Interval


def row(share):
    return {"share": share, "log_loss": 0.4 - share / 10, "auc": 0.7 + share / 10, "ece": 0.02}


@pytest.fixture(scope="module")
def record():
    stories = [
        {step: row(i / 10 + world / 100) for i, step in enumerate(STEPS)} for world in range(3)
    ]
    faults = {
        name: [row(0.4 - i / 50 + world / 100) for world in range(3)]
        for i, name in enumerate(discipline.FAULTS)
    }
    curve = {"0": 0.1, "0.1": 0.3, "0.5": 0.2}
    curves = {
        name: {k: [row(v + w / 100) | {"epochs": 4} for w in range(3)] for k, v in curve.items()}
        for name in discipline.CURVES
    }
    epochs = {
        str(n): [
            {"train": [0.5, 0.4, 0.3], "validation": [0.5, 0.4 + n / 100, 0.42 + n / 20]}
            for _ in range(3)
        ]
        for n in (0, 1, 5)
    }
    spike = {
        "SGD with momentum": {
            "no spike": [{"losses": [1.0], "broke": None, "rmse": 0.5 + w / 100} for w in range(3)],
            "spike": [
                {"losses": [1.0], "broke": "loss is inf", "rmse": None},
                {"losses": [1.0], "broke": None, "rmse": 1e9},
                {"losses": [1.0], "broke": None, "rmse": 1e5},
            ],
            "spike, clipped at 1": [
                {"losses": [1.0], "broke": None, "rmse": 0.6 + w / 100} for w in range(3)
            ],
        }
    }
    reading = lambda e: {"ece": e, "log_loss": 0.3 + e}
    calibration = {
        name: [
            {"raw": reading(e), "undone": reading(e / 10), "Platt": reading(e / 20),
             "kept": {"kept": 0.5, "slope": 1.0, "intercept": 0.0}}
            for e in (0.1, 0.2, 0.3)
        ]
        for name in ("1:4", "all")
    }  # fmt: skip
    optimizers = {
        name: {"recipe": asdict(FOUND), "found": [row(v + w / 100) for w in range(3)]}
        for name, v in (("Adam", 0.3), ("SGD", 0.1))
    }
    return {
        "figures": {
            "story": {"800": stories}, "faults": faults, "curves": curves, "one_epoch": epochs,
            "spike": spike, "calibration": calibration, "optimizers": optimizers,
            "users": {"recorded": 800}, "good": {"800": asdict(FOUND) | {"epochs": 13}},
        }
    }  # fmt: skip


def test_gaps_by_hand(record):
    stories = record["figures"]["story"]["800"]
    assert figures.gain(stories, "shuffle").value == pytest.approx(0.1)
    names = list(discipline.FAULTS)
    assert figures.fault_gap(record, names[3]).value == pytest.approx(-3 / 50)
    assert figures.curve_gap(record, "dropout", "0.1", "0").value == pytest.approx(0.2)
    assert figures.optimizer_gap(record, "SGD", "Adam").value == pytest.approx(-0.2)
    assert figures.optimizer_gap(record, figures.REPAIRED, "Adam").value == pytest.approx(0.1)
    assert figures.best_epochs(record["figures"]["one_epoch"], 0) == [2] * 3
    runs = record["figures"]["one_epoch"]
    assert figures.epoch_gap(runs, 5, 3, 1).value == pytest.approx(0.42 + 0.25 - 0.5)
    assert figures.epoch_gap(runs, 0, 2, 1).value == pytest.approx(-0.1)  # it can be a gain
    assert figures.field_gap(runs, 5, 2).value == pytest.approx(0.05)
    gap = figures.spike_gap(record, "SGD with momentum", "spike, clipped at 1", "no spike")
    assert gap.value == pytest.approx(0.1)
    assert figures.calibration_error(record, "1:4", "undone").mean == pytest.approx(0.02)
    gap = figures.calibration_gap(record, "1:4", "all", "ece", "raw")
    assert gap.value == 0
    assert figures.reading_gap(record, "1:4", "raw", "undone").value == pytest.approx(0.18)
    assert figures.reading_gap(record, "1:4", "Platt", "undone").value == pytest.approx(-0.01)


def test_verdicts_follow_the_interval():
    of = lambda low, high: figures.verdict(Interval((low + high) / 2, low, high, 5))
    assert (of(0.1, 0.2), of(-0.2, -0.1), of(-0.1, 0.2)) == ("above", "below", "not told apart")


def test_what_the_story_adds_stands_beside_chapter_00(record):
    stories = record["figures"]["story"]["800"]
    table = figures.gains_table(stories)
    assert list(table.index) == list(STEPS)[1:]
    assert table.iloc[0, 0].startswith("+0.100") and table.iloc[0, 1] == "a gain"
    assert table.iloc[0]["adds, AUC"].startswith("+0.0100")
    worlds = [
        {
            "Popularity": {"log_loss": 0.5, "auc": 0.6}, "Oracle": {"log_loss": 0.3, "auc": 0.9},
            "FM": {"log_loss": 0.45, "auc": 0.7}, "DNN": {"log_loss": 0.4 + w, "auc": 0.75},
        }
        for w in (0.0, 0.02)
    ]  # fmt: skip
    whole = figures.whole_table(stories, {"figures": {"full": worlds}})
    assert whole.iloc[0, 0].startswith("+0.800") and whole["worlds"].tolist() == [3, 3, 2]
    after = len(STEPS) - 1 - list(STEPS).index("shuffle")
    assert whole.iloc[1, 0].startswith(f"+{after / 10:.3f}")
    assert whole.iloc[2, 0].startswith("+0.200") and whole.iloc[2, 1].startswith("+0.0500")


def test_best_epochs_are_told_world_by_world(record):
    runs = record["figures"]["one_epoch"]
    table = figures.best_epochs_table({"none": runs, "as chosen": runs})
    assert list(table.index) == ["no such field", "5 rows a value", "1 rows a value"]
    assert table.loc["no such field", "decay none"] == "2, 2, 2"


def test_pictures_tell_what_they_show(record):
    stories = record["figures"]["story"]["800"]
    alts = [
        figures.rates_figure().alt, figures.story_figure(stories).alt,
        figures.faults_figure(record).alt, figures.curves_figure(record).alt,
    ]  # fmt: skip
    assert "dropout 0.81" in alts[1].replace("0.80", "0.81")
    assert all(name in alts[2] for name in discipline.FAULTS if name != "as it is")
    assert "0.1 0.31 (" in alts[3]
    runs = record["figures"]["one_epoch"]
    frames = figures.one_epoch_frames({"none": runs, "some": runs})
    assert len(frames.alts) == 6 and frames.alts[0].startswith("no such field, weight decay none")
    table = figures.spike_table(record)
    assert table.loc["spike", "SGD with momentum"] == "3 of 3 diverged"
    table = figures.optimizers_table(record)
    assert list(table.index) == [figures.REPAIRED, "Adam", "SGD"]
    assert table.loc[figures.REPAIRED, "epochs"] == 13
    assert table.loc[figures.REPAIRED, "share of the learnable"].startswith("0.410")
    assert figures.calibration_table(record).loc["1:4 non-clicks", "kept"] == "0.50"
    table = figures.story_table(stories)
    assert list(table.index) == list(STEPS)
    last = [story[list(STEPS)[-1]] for story in stories]
    assert list(table.iloc[-1][: len(stories)]) == [f"{one['share']:.2f}" for one in last]
    assert table.iloc[-1]["AUC"] == f"{sum(one['auc'] for one in last) / len(last):.3f}"


def found(recall, truth=None):
    return [
        {"recall": recall + w / 100, "ndcg": 0.1, "popularity": 2.0, "coverage": 0.3}
        | ({} if truth is None else {"truth": truth + w / 1_000})
        for w in range(3)
    ]


@pytest.fixture(scope="module")
def negatives():
    """Recall rises from row to row of the table, and the truth falls."""
    of = lambda i: {"found": found(i / 50, 0.05 - i / 500)}
    table = {key: of(i) for i, key in enumerate(samplers.TABLE)}
    sweeps = {
        sweep: {value: of(i) for i, value in enumerate(variants)}
        for sweep, variants in samplers.SWEEPS.items()
    }
    without = {key: {"found": found(i / 50)} for i, key in enumerate(samplers.TABLE)}
    popularity = [row | {"truth": 0.0} for row in found(0.2)]
    return {
        "figures": {
            "table": table, "sweeps": sweeps, "popularity": popularity, "MovieLens": without,
            "MovieLens popularity": found(0.2)[0],
        }
    }  # fmt: skip


def test_the_samplers_table_is_by_the_log_and_by_the_truth(negatives):
    shown = figures.samplers_table(negatives)
    assert list(shown.columns) == list(figures.SAMPLER_MEASURES.values())
    assert len(shown) == len(samplers.TABLE) + 2
    first = tuple(next(iter(samplers.TABLE)).split("/"))
    assert shown.loc[first, "recall@50"].startswith("0.010")
    assert shown.loc[first, "share of the learnable"].startswith("0.051")
    assert list(shown.index[-2:]) == [("Popularity", "", ""), ("Oracle", "", "")]
    assert shown["share of the learnable"].iloc[-2:].tolist() == [
        "0, by definition", "1, by definition",
    ]  # fmt: skip
    assert shown["recall@50"].iloc[-2].startswith("0.210 (")
    assert shown["recall@50"].iloc[-1] == "not recorded"


def test_where_no_truth_is_known_none_is_shown(negatives):
    shown = figures.samplers_table(negatives, "MovieLens")
    assert "share of the learnable" not in shown.columns
    assert len(shown) == len(samplers.TABLE) + 1
    assert shown["recall@50"].iloc[-1] == "0.200"  # one list, once


def test_sampler_gaps_by_hand(negatives):
    first, second = (tuple(key.split("/")) for key in list(samplers.TABLE)[:2])
    assert figures.sampler_gap(negatives, second, first).value == pytest.approx(1 / 50)
    gap = figures.sampler_gap(negatives, second, first, "truth")
    assert gap.value == pytest.approx(-1 / 500)
    gap = figures.sampler_gap(negatives, first, figures.POPULARITY)
    assert gap.value == pytest.approx(-0.2)
    values = list(samplers.SWEEPS["hard"])
    assert figures.sweep_gap(negatives, "hard", values[1], values[0], "truth").value < 0
    assert figures.sweep_gap(negatives, "hard", values[0], figures.POPULARITY).value == (
        pytest.approx(-0.2)
    )


def test_every_comparison_is_made_twice_and_can_fail(negatives):
    first, second = (tuple(key.split("/")) for key in list(samplers.TABLE)[:2])
    one = figures.Said("bce", "a few", "many", second, first, by_log=">", by_truth="<")
    by_log, by_truth = figures.twice(negatives, [one])
    assert by_log.record["claim"] == "With bce, by the log, a few beats many"
    assert (by_log.record["unit"], by_truth.record["unit"]) == ("recall@50", "of the learnable")
    assert by_truth.record["claim"] == "With bce, by the truth, a few falls behind many"
    for wrong in (replace(one, by_log="≈"), replace(one, by_truth=">")):
        with pytest.raises(AssertionError, match="do not bear out"):
            figures.twice(negatives, [wrong])


def test_what_the_chapter_says_of_samplers_the_record_bears_out():
    record = read_record("ch06/samplers")
    told = figures.twice(record, [*figures.SAYS_SAMPLERS, *figures.SAYS_SWEEPS])
    assert len({made.record["claim"] for made in told}) == len(told) > 20


def test_sampler_figures_show_both(negatives):
    alt = figures.samplers_figure(negatives).alt
    assert "uniform, bce, raw: recall@50" in alt
    assert "uniform, bce, raw: share of the learnable" in alt
    assert "the most chosen items: recall@50 0.210" in alt
    assert "share of the learnable" not in figures.samplers_figure(negatives, "MovieLens").alt
    alt = figures.sweeps_figure(negatives).alt
    assert "recall@50, power of popularity" in alt and "learnable, temperature" in alt


def test_draws_by_tenths_of_popularity():
    counts = torch.arange(100)
    picture = figures.draws_figure({"uniform": torch.tensor([99, 98, 5, 6])}, counts)
    assert "uniform: 50% from the most popular tenth" in picture.alt


def test_the_widget_and_the_map_of_a_story():
    task = click_models.make_task(simulate(n_users=60, n_films=80, seed=2))
    chosen = {step: {} for step in STEPS} | {
        step: {name: lab.GRID[name][0] for name in lab.choices_of(step)} for step in STEPS
    }
    kept = {}
    story = lab.story(task, chosen, 0, keep=kept.__setitem__)
    frames = figures.story_frames(task, kept, [story, story])
    assert len(frames.alts) == len(STEPS) and frames.alts[0].startswith("as found")
    vectors = figures.film_vectors(task, kept["dropout"])
    table = kept["dropout"].model.model.vectors
    ids = torch.zeros(80, len(task.cardinalities), dtype=torch.int64)
    ids[:, click_models.FILM] = torch.arange(80) + 1
    torch.testing.assert_close(vectors, table(ids)[:, click_models.FILM].detach())
    widget = figures.repairs_explorer(task, kept)
    assert widget.axis["name"] == "repair" and len(widget.axis["labels"]) == 4


def test_true_chances_of_draws():
    world = simulate(n_users=30, n_films=60, seed=0)
    users, items = torch.tensor([3, 4]), torch.tensor([[0, 1], [2, 5]])
    one_by_one = [
        float(world.click_probability(torch.tensor([u]), torch.tensor([i]), Context(0, 2)))
        for u, row in zip(users.tolist(), items.tolist(), strict=True)
        for i in row
    ]
    assert figures.true_chance(world, users, items) == pytest.approx(np.mean(one_by_one))
