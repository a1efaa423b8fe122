"""The race of equal care: the whole of it in small worlds."""

from statistics import mean

import pytest

from recsys_book.chapters.ch03_neumf import care, race
from recsys_book.chapters.ch03_neumf import runs_race as run
from recsys_book.chapters.ch03_neumf.care import Box, Draw
from recsys_book.service import simulate

SMALL = Box(
    choices={
        "factors": (2, 4), "tower": (2, 4), "n_negatives": (1, 2, 4), "batch_size": (256,),
        "decay": (0.8, 1.0),
    },
    ranges={"lr": (3e-3, 3e-2), "weight_decay": (1e-8, 1e-4)},
)  # fmt: skip


@pytest.fixture(scope="module")
def work():
    with pytest.MonkeyPatch.context() as patch:
        courses = {
            seed: race.course(simulate(seed=seed, n_users=100, n_films=80), n_users=60)
            for seed in (0, 1, 100, 101)
        }
        patch.setattr(run, "course", courses.__getitem__)
        patch.setattr(race, "ON_CLICKS", SMALL)
        patch.setattr(run, "SEEDS", (0, 1))
        patch.setattr(run, "TUNING_WORLDS", (100, 101))
        patch.setattr(run, "DRAWS", 4)
        patch.setattr(run, "ROUNDS", ((4, 1), (3, 2), (2, 3)))
        patch.setattr(run, "LONGEST", 3)
        patch.setattr(run, "STEPS", 1)
        patch.setattr(run, "SGD_RATES", (1e-9, 0.1))
        patch.setattr(run, "SGD_EPOCHS", 1)
        small = {**care.CLOSED["IALS"][1], "dim": (2, 8), "sweeps": (2, 4)}
        patch.setitem(care.CLOSED, "IALS", (care.CLOSED["IALS"][0], small))
        work = run.Work()
        yield work, work.figures()


def test_everybody_begins_with_as_many_draws_and_the_mean_of_the_worlds_decides(work):
    work, figures = work
    assert list(figures["search"]) == [*care.LEARNED, *care.CLOSED]
    for name, found in figures["search"].items():
        first, *_, finals, climbed = found["rounds"]
        assert len(first) == 4 and len(finals) == 2 and len(climbed) >= 2, name
        best, score = max(climbed, key=lambda one: one[1])
        assert best == found["best"], name
        if name in care.LEARNED:
            assert [draw for draw, _ in first] == [vars(draw) for draw in SMALL.draws(4, 0)]
            scores = [work.tried(name, Draw(**best), world, 3)["score"] for world in (100, 101)]
        else:
            setting = tuple(best.items())
            scores = [work.closed_tried(name, setting, world) for world in (100, 101)]
        assert score == pytest.approx(mean(scores)), name


def test_a_world_is_told_by_both_measures_and_without_weights(work):
    _, figures = work
    assert set(figures["worlds"]) == {*care.LEARNED, *care.CLOSED, "NeuMF, pre-trained"}
    for name, rows in figures["worlds"].items():
        assert len(rows) == 2, name
        for row in rows:
            assert set(race.MEASURES) <= set(row) and "weights" not in row
            if name in care.LEARNED:
                assert 1 <= row["epochs"] <= 3


def test_the_pre_trained_one_starts_as_the_mean_of_its_halves(work):
    work, figures = work
    rates = {float(rate): mean(scores) for rate, scores in figures["SGD"].items()}
    assert work.sgd_rate() == max(rates, key=rates.get)
    draws = [Draw(**figures["search"][part]["best"]) for part in run.PARTS]
    log = run.course(0).judge.refit
    halves = []
    for part, draw in zip(run.PARTS, draws, strict=True):
        halves.append(race.make(part, log, draw, 0))
        halves[-1].load_state_dict(work.tested(part, 0)["weights"])

    class Mean:
        def score(self, users):
            return sum(half.score(users) for half in halves) / 2

    start = figures["worlds"]["NeuMF, pre-trained"][0]["start"]
    assert start == pytest.approx(run.course(0).shares(Mean()), abs=1e-4)
