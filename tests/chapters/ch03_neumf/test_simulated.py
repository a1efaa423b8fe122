"""Chapter 03 on the simulated service: every model tries the same, and luck chooses nothing."""

import pytest
import torch

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import runs_simulated as simulated_run
from recsys_book.chapters.ch03_neumf import simulated as service
from recsys_book.data.interactions import Interactions
from recsys_book.service import simulate
from recsys_book.service.judge import judge_world


@pytest.fixture(scope="module")
def judge(split):
    return lab.make_judge(split)


def test_every_model_tries_the_same_drawn_settings():
    settings = service.draw_settings(200)
    assert settings[:24] == service.draw_settings(24)
    assert len(set(settings)) == 200
    rates = torch.tensor([s.lr for s in settings])
    penalties = torch.tensor([s.weight_decay for s in settings])
    assert 0.003 <= rates.min() < 0.0035 and 0.043 < rates.max() <= 0.05
    assert 1e-7 <= penalties.min() < 2e-7 and 5e-5 < penalties.max() <= 1e-4
    # Evenly on a log scale: half of them below the geometric middle.
    assert abs((rates < (0.003 * 0.05) ** 0.5).float().mean() - 0.5) < 0.12
    assert abs((penalties < (1e-7 * 1e-4) ** 0.5).float().mean() - 0.5) < 0.12
    assert {s.factors for s in settings} == {4, 8, 16, 32}
    assert {s.n_negatives for s in settings} == {2, 4, 8, 16}


def test_a_setting_that_was_lucky_once_is_not_chosen(monkeypatch):
    settings = service.draw_settings(12)
    tried = [0.1] * 12
    tried[3], tried[5], tried[7], tried[9], tried[11] = 0.9, 0.5, 0.6, 0.3, 0.2
    asked = []

    def score(judge, name, setting):
        place = settings.index(setting)
        asked.append((judge, place))
        return {3: 0.0, 5: 0.55, 7: 0.4, 9: 0.3}[place]

    monkeypatch.setattr(service, "validation_score", score)
    found = simulated_run.choose_of_finalists(["a", "b"], "MF", tried)
    assert sorted(asked) == sorted((j, i) for j in "ab" for i in (3, 5, 7, 9))
    assert service.Setting(**found["best"]) == settings[5]
    assert found["finals"]["3"] == [0.9, 0.0, 0.0]


def test_every_draw_is_tried_in_order(monkeypatch):
    monkeypatch.setattr(service, "validation_score", lambda judge, name, setting: setting.lr)
    found = simulated_run.try_draws(None, "MF", 5)
    assert found == [setting.lr for setting in service.draw_settings(5)]


def test_a_tower_of_any_depth_begins_with_vectors_that_fit():
    log = Interactions(torch.tensor([0, 1]), torch.tensor([2, 0]), 2, 3)
    assert service.deep_maker((32, 16, 8), 8, seed=0)(log).mlp_dim == 16
    assert service.deep_maker((), 8, seed=0)(log).output.in_features == 8


def test_a_fusion_that_sgd_cannot_better_is_left_alone(monkeypatch):
    monkeypatch.setattr(service, "MAX_EPOCHS", 2)
    monkeypatch.setattr(service, "SGD_EPOCHS", 1)
    judge = judge_world(simulate(n_users=150, n_films=120))
    setting = lab.Setting(0.02, 4, batch_size=512)
    parts = [
        service.train_and_test(judge, service.maker(name, setting, 0), setting, 0)["parts"]
        for name in ("GMF", "MLP")
    ]
    still = service.fuse_and_test(judge, *parts, lr=1e-9, seed=0)
    assert still["share"] == pytest.approx(still["start"], abs=1e-6)
    alone = service.fuse_and_test(judge, *parts, lr=1e-9, seed=0, alpha=1.0)
    assert alone["start"] == pytest.approx(service.learnable(judge, parts[0][1]), abs=1e-6)
