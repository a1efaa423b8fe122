"""The run on the simulated service: a setting for each depth."""

import pytest

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import runs_simulated as simulated_run
from recsys_book.chapters.ch03_neumf import simulated as service
from recsys_book.service import simulate
from recsys_book.service.judge import judge_world


@pytest.fixture(scope="module")
def judge(split):
    return lab.make_judge(split)


def test_each_depth_of_the_tower_has_a_setting_of_its_own(monkeypatch):
    monkeypatch.setattr(service, "MAX_EPOCHS", 1)
    judge = judge_world(simulate(n_users=60, n_films=60, days=26, seed=2))
    draws = service.draw_settings(simulated_run.DRAWS)
    best = simulated_run.choose_by_depth(judge, [0, 4])
    assert list(best) == ["0", "1", "2", "3", "4"]
    assert all(service.Setting(**knobs) in (draws[0], draws[4]) for knobs in best.values())
    negatives = {"MF": best["0"], "NeuMF": best["0"]}
    found = simulated_run.depth_and_negatives(judge, best, negatives, 0)
    assert list(found["depth"]) == list(best)
    assert len(found["negatives"]) == 2 * len(simulated_run.NEGATIVES)
