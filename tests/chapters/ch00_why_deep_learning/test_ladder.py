"""The ladder on a small world: every rung judged alike, between two oracles."""

import pytest
import torch

from recsys_book.chapters.ch00_why_deep_learning import ladder
from recsys_book.chapters.ch00_why_deep_learning.moments import MOMENTS, lists_by_moment
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, make_task, new_click_model


@pytest.fixture(scope="module")
def task():
    return make_task(simulate(n_users=150, n_films=80, seed=0))


def test_every_rung_is_judged_between_popularity_and_two_oracles(task):
    learned = {"lr": 0.02, "weight_decay": 1e-4, "epochs": 1}
    settings = dict.fromkeys(ladder.LEARNED, learned)
    settings |= {"ItemKNN": {"k": 10}, "EASE": {"l2": 50.0}, "IALS": {"dim": 4}}
    found = ladder.climb(task, settings, seed=0)
    assert set(found) == {*ladder.RUNGS, "Oracle", "Ids-only oracle", "Most clicked"}
    assert [found["Oracle"][how] for how in ("ndcg", "clicks")] == pytest.approx([1, 1])
    losses = {name: row["log_loss"] for name, row in found.items() if "log_loss" in row}
    assert min(losses, key=losses.get) == "Oracle"
    for measure in ("ndcg", "clicks"):
        assert all(0 < row[measure] <= 1 + 1e-9 for row in found.values())
        assert found["Ids-only oracle"][measure] < 1
    shares = ladder.shares(found, "clicks")
    assert shares["Popularity"] == 0 and shares["Oracle"] == pytest.approx(1)
    assert "log_loss" not in found["EASE"] and found["DNN"]["parameters"] > 0


def test_a_quarter_of_the_rows_is_what_the_learned_rungs_see(task):
    settings = {"Popularity": {"epochs": 1}}
    rows = task.before(task.test_from)[::4]
    few = ladder.climb(task, settings, seed=0, rungs=["Popularity"], rows=rows)
    every = ladder.climb(task, settings, seed=0, rungs=["Popularity"])
    assert few["Popularity"]["log_loss"] != every["Popularity"]["log_loss"]
    assert few["Oracle"] == every["Oracle"]


def test_a_model_of_ids_ranks_alike_in_every_moment_and_one_of_moments_does_not(task):
    models = {n: new_click_model(task, n, Settings(dim=4), seed=0) for n in ("MF", "FM", "DNN")}
    people = torch.arange(12)
    lists = lists_by_moment(task, models, people)
    for name, scores in lists.items():
        assert scores.shape[0] == len(MOMENTS) * 12
        assert torch.allclose(scores.mean(1), torch.zeros(len(scores)), atol=1e-5)
        same = torch.allclose(scores[:12], scores[12:24], atol=1e-6)
        assert same == (name == "MF")
