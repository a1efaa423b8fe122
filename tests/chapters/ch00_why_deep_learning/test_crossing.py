"""Chapter 00: screen and hour as one fact."""

import pytest
import torch

from recsys_book.chapters.ch00_why_deep_learning import runs_crossed, runs_simulated
from recsys_book.chapters.ch00_why_deep_learning.crossing import (
    DAYPART,
    DEVICE,
    cross,
    crossed,
    crossed_scorer,
)
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, make_task, new_click_model
from recsys_book.service.oracle import catalogue, make_ranking
from recsys_book.service.world import DAYPARTS, DEVICES


@pytest.fixture(scope="module")
def task():
    return make_task(simulate(n_users=60, n_films=80, seed=0))


def test_each_pair_of_screen_and_hour_has_an_id_of_its_own(task):
    before, after = task.examples.ids, cross(task).examples.ids
    pairs = {tuple(row) for row in before[:, [DEVICE, DAYPART]].tolist()}
    ids = {row: int(i) for row, i in zip(map(tuple, before[:, [DEVICE, DAYPART]].tolist()),
                                         after[:, DEVICE], strict=True)}  # fmt: skip
    assert len(pairs) == len(set(ids.values())) == len(DEVICES) * len(DAYPARTS)
    assert min(ids.values()) == 1 and max(ids.values()) == cross(task).cardinalities[DEVICE] - 1
    others = [i for i in range(before.shape[1]) if i != DEVICE]
    assert torch.equal(before[:, others], after[:, others])
    assert torch.equal(task.examples.ids, before)  # the task itself is left alone


def test_the_scorer_crosses_what_it_asks_about(task):
    ranking, users = make_ranking(task), torch.tensor([3, 5])
    model = new_click_model(cross(task), "FM", Settings(dim=4), seed=0)
    scores = crossed_scorer(task, ranking, model)(users)
    by_hand = model.preference(crossed(catalogue(task, ranking, users)))
    assert torch.equal(scores.flatten(), by_hand)
    assert not torch.allclose(by_hand, model.preference(catalogue(task, ranking, users)))


def test_the_run_in_small(monkeypatch):
    monkeypatch.setattr(runs_simulated, "BUDGET", 2)
    monkeypatch.setattr(runs_simulated, "MAX_EPOCHS", 1)
    monkeypatch.setattr(runs_crossed, "SEEDS", (0, 1))
    monkeypatch.setattr(
        runs_crossed, "simulate", lambda seed, **_: simulate(n_users=60, n_films=80, seed=seed)
    )
    found = runs_crossed.Work().figures()
    assert len(found["search"]["tried"]) == 2 and not found["search"]["settled"]
    for size in ("full", "small"):
        assert [set(row) for row in found[size]] == [{"ndcg", "clicks", "log_loss", "auc"}] * 2
