"""The recorded run on cold start."""

import pytest
import torch

from recsys_book.chapters.ch06_training_discipline import cold_start as lab
from recsys_book.chapters.ch06_training_discipline import runs_cold_start as run
from recsys_book.chapters.ch06_training_discipline.cold_start import Recipe
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def world():
    return simulate(n_users=150, n_films=700, seed=3)


@pytest.fixture(scope="module")
def examples(world):
    return lab.make_examples(world.log, lab.training_rows(world.log))


def test_worlds_to_choose_by_are_of_no_figure_and_curves_end_at_the_end():
    assert set(run.TUNING_WORLDS).isdisjoint(run.SEEDS)
    assert run.points(5_000)[-1] == 5_000 and len(run.points(5_000)) == run.POINTS


def test_films_with_a_few_impressions_are_trained_on_before_the_last_day(monkeypatch, world):
    monkeypatch.setattr(run, "simulate", lambda **_: world)
    monkeypatch.setattr(run, "SHOWN", 5)
    seen = {}
    monkeypatch.setattr(lab, "train_ids", lambda w, examples, *a, **k: seen.update(e=examples))
    warm = run.Warm(3)
    for k in (0, 5):
        warm.train("ids alone", k, Recipe())
        count = torch.bincount(seen["e"].film, minlength=world.n_films)
        assert (count[warm.films] == k).all() and len(warm.films) > 20
    assert (world.log.day[lab.first_rows(world.log, warm.films, 5, run.LAST_DAY)] < 27).all()
