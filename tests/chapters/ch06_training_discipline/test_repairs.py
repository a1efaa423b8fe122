"""Chapter 06's story: what each step changes, what is planted, and who may see the test."""

import math
from dataclasses import fields, replace

import pytest
import torch

from recsys_book.calibration import recalibrate
from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline.repairs import FOUND, STEPS, Recipe
from recsys_book.service import click_models, simulate


@pytest.fixture(scope="module")
def task():
    return click_models.make_task(simulate(n_users=120, n_films=150, seed=5))


CHOSEN = {
    "stop in time": {"epochs": 2},
    "shuffle": {"epochs": 1},
    "keep every non-click": {"epochs": 3},
    "a chosen rate": {"lr": 0.02, "epochs": 1},
    "warm-up and a falling rate": {"lr": 0.01, "epochs": 4},
    "weight decay, not on biases": {"weight_decay": 1e-4, "epochs": 2},
    "dropout": {"dropout": 0.1, "epochs": 3},
}


def test_every_step_changes_what_it_says_and_nothing_else():
    before = FOUND
    for step, changes in STEPS.items():
        recipe = lab.recipe_of(step, CHOSEN)
        differs = {
            f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(before, f.name)
        }
        assert differs <= set(changes), step
        before = recipe
    assert before == Recipe(
        epochs=3, lr=0.01, weight_decay=1e-4, dropout=0.1, schedule="warm-up and cosine"
    )
    with pytest.raises(ValueError, match="step is 'hope'"):
        lab.recipe_of("hope", CHOSEN)


def test_choices_are_made_from_their_grid():
    assert lab.choices_of("as found") == () and lab.grid_of("as found") == [{}]
    assert lab.choices_of("keep every non-click") == ("epochs",)
    for step, epochs in (
        ("a chosen rate", lab.GRID["epochs"]),
        ("warm-up and a falling rate", lab.LONGER),
    ):
        grid = lab.grid_of(step)
        assert len(grid) == len({tuple(c.items()) for c in grid}) == 4 * len(epochs)
        assert {c["lr"] for c in grid} == set(lab.GRID["lr"])
        assert {c["epochs"] for c in grid} == set(epochs)


def test_thinning_keeps_every_click_and_tells_the_chance():
    label = (torch.arange(50_000) % 5 == 0).float()
    rows, kept = lab.thinned(label, 1.0, seed=0)
    assert kept == pytest.approx(0.25)
    assert label[rows].sum() == label.sum()
    assert float((label[rows] == 0).sum() / (label == 0).sum()) == pytest.approx(kept, abs=0.01)
    everything, one = lab.thinned(label, None, seed=0)
    assert one == 1 and len(everything) == len(label)
    assert lab.thinned(label, 100.0, seed=0)[1] == 1
    assert torch.equal(rows, lab.thinned(label, 1.0, seed=0)[0])
    assert not torch.equal(rows, lab.thinned(label, 1.0, seed=1)[0])


def test_undoing_reads_the_same_model_otherwise(task):
    rows = task.before(20)
    recipe = replace(FOUND, epochs=1)
    raw = lab.train(task, recipe, rows, 0)
    examples = task.examples[rows[:50]]
    undone = replace(raw, undone=True)
    torch.testing.assert_close(undone.logits(examples), recalibrate(raw.logits(examples), raw.kept))
    assert (undone.logits(examples) < raw.logits(examples)).all()


def test_the_referee_scale_has_popularity_at_0_and_the_oracle_at_1(task):
    referee = lab.make_referee(task)
    assert referee.oracle < referee.popularity
    oracle = referee.judge(referee.chance.clamp(1e-12, 1 - 1e-9).logit())
    assert oracle["share"] == pytest.approx(1) and oracle["ece"] < 1e-6
    days = task.day[task.day >= task.test_from]
    assert len(referee.examples) == len(days) and int(days.min()) == 24


def test_training_sees_no_day_of_the_test(task, monkeypatch):
    seen = []
    fit = lab.fit

    def watching(model, batches, *arguments, **more):
        def looked_at(epoch, generator):
            for batch in batches(epoch, generator):
                seen.append(batch[0].ids)
                yield batch

        return fit(model, looked_at, *arguments, **more)

    monkeypatch.setattr(lab, "fit", watching)
    marked = replace(task, examples=replace(task.examples, ids=task.examples.ids.clone()))
    marked.examples.ids[task.day >= 24, 0] = 1  # the test's rows are user 1's alone
    marked.examples.ids[task.day < 24, 0] = 2
    lab.story(marked, CHOSEN, seed=0)
    assert seen and all((ids[:, 0] == 2).all() for ids in seen)
    seen.clear()
    marked.examples.ids[task.day >= 20, 0] = 1
    lab.try_recipe(marked, lab.recipe_of("dropout", CHOSEN))
    assert seen and all((ids[:, 0] == 2).all() for ids in seen)


def test_the_story_has_a_figure_for_every_step(task):
    found = lab.story(task, CHOSEN, seed=0)
    assert list(found) == list(STEPS)
    assert found["as found"]["auc"] == found["undo the balancing"]["auc"]  # one model, read twice
    assert found["as found"]["share"] < found["undo the balancing"]["share"]
    assert all(math.isfinite(row["share"]) for row in found.values())


def test_batches_in_the_order_of_the_log(task):
    def first_batch(shuffled):
        kept = []
        recipe = Recipe(shuffled=shuffled, epochs=1, batch_size=64)
        original = lab.bce
        try:
            lab.bce = lambda logits, labels: kept.append(labels) or original(logits, labels)
            lab.train(task, recipe, task.before(20), 0)
        finally:
            lab.bce = original
        return kept[0]

    in_order = task.examples.label[task.before(20)[:64]]
    assert torch.equal(first_batch(False), in_order)
    assert not torch.equal(first_batch(True), in_order)


def test_decay_spares_biases_unless_told_otherwise(task):
    model = lab.new_model(task.cardinalities, 0.0, seed=0)
    groups = lab.make_optimizer(model, Recipe(weight_decay=0.1)).param_groups
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0]
    every = lab.make_optimizer(model, Recipe(weight_decay=0.1, decays_biases=True)).param_groups
    assert [g["weight_decay"] for g in every] == [0.1]
    spared = {id(p) for p in groups[1]["params"]}
    assert id(model.position_bias.weight) in spared
    with pytest.raises(ValueError, match="optimizer is 'Magic'"):
        lab.make_optimizer(model, Recipe(optimizer="Magic"))
    with pytest.raises(ValueError, match="schedule is 'random'"):
        lab.train(task, Recipe(schedule="random"), task.before(20), 0)


def test_the_planted_field_says_nothing_and_is_new_in_the_test(task):
    planted = lab.with_planted_field(task, 2, seed=0)
    field = planted.examples.ids[:, -1]
    assert (field[task.day >= 20] == 0).all() and (field[task.day < 20] > 0).all()
    rows = task.before(20)
    assert abs(len(rows) / len(field[rows].unique()) - 2) < 0.5
    assert planted.cardinalities[-1] > int(field.max())
    assert planted.examples.ids.shape[1] == task.examples.ids.shape[1] + 1
    with pytest.raises(ValueError, match="rows_per_value is 0"):
        lab.with_planted_field(task, 0, seed=0)


def test_a_spike_survives_with_clipping_and_breaks_training_without(task):
    run = lambda clip, spiked=True: lab.spike_run(
        task, 0, clip_norm=clip, spiked=spiked, n_steps=20
    )
    broken, clipped, clean = run(None), run(1.0), run(1.0, spiked=False)
    assert "loss is" in broken["broke"] and broken["rmse"] is None
    assert all(math.isfinite(loss) for loss in broken["losses"])
    assert clipped["broke"] is None and max(clipped["losses"]) > 1e6
    assert clipped["rmse"] == pytest.approx(clean["rmse"], rel=0.1)
    before = task.world.log.watch_seconds
    assert int(before.max()) < 4 * 3_600  # the log itself was left alone


def test_calibration_is_put_right_on_a_log_of_chance():
    world = simulate(n_users=150, n_films=150, seed=6)
    task = lab.chance_task(world, 0, days=14)
    assert task.test_from == 28 + 10 and int(task.day.max()) == 41
    recipe = Recipe(epochs=1, lr=0.01)
    found = lab.calibration_of(task, recipe, 1.0, 28, 0)
    assert found["undone"]["ece"] < found["raw"]["ece"] / 3
    assert found["raw"]["auc"] == found["undone"]["auc"]
    assert 0 < found["kept"]["kept"] < 0.5
