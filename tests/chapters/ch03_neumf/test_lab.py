"""Chapter 03 on the paper's split: who may see the test, and what a budget is."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import simulated as service
from recsys_book.data.interactions import Interactions
from recsys_book.evaluate import full_catalogue, sampled_candidates
from recsys_book.machine import has_bfloat16
from recsys_book.models.baselines import Popularity
from recsys_book.models.ncf import NeuMF
from recsys_book.sampling import UnseenItems
from recsys_book.train import fit

U, N = 60, 160  # so many items that everybody has 99 unseen ones
SETTING = lab.Setting(0.02, factors=4, batch_size=256)


@pytest.fixture(scope="module")
def judge(split):
    return lab.make_judge(split)


def test_no_item_stands_in_two_parts(split, judge):
    keys = lambda items: set((torch.arange(U) * N + items).tolist())
    train, both = set(split.train.keys().tolist()), set(split.train_and_validation.keys().tolist())
    validation, test = keys(split.validation), keys(split.test_candidates[:, 0])
    assert not train & validation and both == train | validation and not both & test
    opponents = set((torch.arange(U)[:, None] * N + judge.candidates[:, 1:]).flatten().tolist())
    assert not opponents & both


def test_nothing_is_chosen_by_the_test(split, judge, short):
    """Another test set changes what is printed, and neither the epochs nor the weights."""
    cell = lab.run_cell(judge, "GMF", SETTING, seed=0)
    log = split.train_and_validation
    held = UnseenItems(log).sample(split.users, 1, torch.Generator().manual_seed(5)).flatten()
    user, item = torch.cat([log.user, split.users]), torch.cat([log.item, held])
    known = Interactions(user, item, U, N)
    other = replace(split, test_candidates=sampled_candidates(held, known, seed=5))
    again = lab.run_cell(lab.make_judge(other), "GMF", SETTING, seed=0)
    assert cell.figures()["test"] != again.figures()["test"]
    assert cell.epochs == again.epochs
    for a, b in zip(cell.refit.weights, again.refit.weights, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_cell_is_refitted_for_the_epochs_that_validation_chose(judge, short):
    cell = lab.run_cell(judge, "NeuMF", SETTING, seed=1)
    figures = cell.figures()
    assert cell.epochs == int(np.argmax(figures["validation"])) + 1
    assert figures["test"] == figures["test_by_epoch"][cell.epochs - 1]
    model = lab.make_model("NeuMF", judge.split.train, 4, seed=1)
    more = {"epochs": cell.epochs, "validate": None, "patience": None, "amp": True}  # as recorded
    lab.adam(model, judge.split.train_and_validation, SETTING, 1, **more)
    assert judge.test(model) == figures["test"]
    json.dumps(figures, allow_nan=False)


def test_training_learns_the_planted_groups(judge, monkeypatch):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 40)
    monkeypatch.setattr(lab, "PATIENCE", 15)
    popular = judge.test(Popularity(judge.split.train_and_validation))[0]
    cell = lab.run_cell(judge, "NeuMF", replace(SETTING, factors=8, batch_size=128), seed=0)
    assert cell.figures()["test"][0] > popular + 0.1


@pytest.mark.parametrize("ties", ["worst", "best"])
def test_counting_ranks_is_ranking_the_full_catalogue(split, judge, ties):
    test = Interactions(split.users, split.test_candidates[:, 0], U, N)
    known = split.train_and_validation
    model = lab.make_model("MLP", known, 4, seed=0)
    for score in (Popularity(known).score, lambda users: model.score(users).detach()):
        report = full_catalogue(score, test, known, ties=ties)
        want = float(report.hit_rate.mean()), float(report.ndcg.mean())
        assert judge.full(score)[ties] == pytest.approx(want, abs=1e-6)


def test_protocols_name_what_they_changed(judge, short):
    cell = lab.run_cell(judge, "GMF", SETTING, seed=0)
    rules = lab.protocols(judge, "GMF", 4, cell, what_ifs=True)
    assert set(rules) == {f"{r}/{b}" for r in ("refit", "no refit") for b in ("validation", "test")}
    assert tuple(rules["refit/validation"]["sampled"]["worst"]) == cell.figures()["test"]
    best = max(hit_rate for hit_rate, _ in cell.refit.test)
    assert rules["refit/test"]["sampled"]["worst"][0] == best
    assert set(lab.protocols(judge, "GMF", 4, cell, what_ifs=False)) == {"refit/validation"}


def test_pretraining_starts_from_the_mixture(judge, short):
    made = [lab.run_cell(judge, name, SETTING, seed=0) for name in ("GMF", "MLP")]
    at = [cell.epochs - 1 for cell in made]
    parts = [
        {"chosen": c.chosen.weights[i], "refit": c.refit.weights[i]}
        for c, i in zip(made, at, strict=True)
    ]
    cell, start = lab.run_pretrained(judge, parts, 4, lr=1.0, seed=0)
    assert tuple(start["1.0"]["refit"][1:]) == made[0].figures()["test"]  # GMF alone
    assert tuple(start["0.0"]["refit"][1:]) == made[1].figures()["test"]  # the MLP alone
    assert 1 <= cell.epochs <= 3
    assert tuple(start["0.5"]["refit"][1:]) == cell.refit.test[0]  # the start may be chosen too
    still, _ = lab.run_pretrained(judge, parts, 4, lr=1e-9, seed=0)
    assert still.figures()["test"] == pytest.approx(cell.refit.test[0], abs=1e-9)
    assert cell.epochs == int(np.argmax(cell.figures()["validation"])) + 1


def test_sgd_goes_on_from_where_it_stands(judge, short):
    log = judge.split.train
    gmf, mlp = (lab.make_model(name, log, 4, 0) for name in ("GMF", "MLP"))
    model = NeuMF.from_pretrained(gmf, mlp)
    before = copy.deepcopy(model.state_dict())
    history = lab.fine_tune(model, log, lr=5.0, epochs=3, seed=0, batch_size=64, amp=False)
    assert history.loss[-1] < history.loss[0]
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_climbing_keeps_to_its_budget_and_finds_the_peak():
    seen = []

    def score(x: int) -> float:
        seen.append(x)
        return -abs(x - 7)

    moves = [lambda x: x + 1, lambda x: x - 1]
    assert lab.hill_climb(score, 4, moves, budget=20)[0] == 7
    assert len(seen) == len(set(seen))  # nothing is tried twice
    best, tried = lab.hill_climb(score, 4, moves, budget=3)
    assert best == 6 and [x for x, _ in tried] == [4, 5, 6]
    assert lab.hill_climb(score, 4, [], budget=1) == (4, [(4, -3)])


def test_an_unknown_model_is_named(judge):
    with pytest.raises(ValueError, match="name is 'FM'"):
        lab.make_model("FM", judge.split.train, 4, 0)


def test_bfloat16_learns_as_float32_does(judge):
    """Where the processor has none, amp changes nothing, bit for bit."""
    losses = {}
    for amp in (False, True):
        model = lab.make_model("NeuMF", judge.split.train, 8, seed=0)
        more = {"n_negatives": 4, "side_by_side": True, "batch_size": 256, "amp": amp}
        history = lab.train_implicit(model, judge.split.train, lr=0.02, epochs=8, seed=0, **more)
        losses[amp] = history.loss[-1]
        assert all(p.dtype == torch.float32 for p in model.parameters())
    if has_bfloat16():
        assert losses[True] == pytest.approx(losses[False], rel=0.05)
    else:
        assert losses[True] == losses[False]


def test_what_a_page_runs_live_is_float32_and_what_is_recorded_says_amp(judge, monkeypatch):
    """Otherwise a page would show other numbers on a processor that multiplies in bfloat16."""
    asked, real = [], lab.fit
    recording = lambda *args, amp=False, **more: asked.append(amp) or real(*args, **more)
    monkeypatch.setattr("recsys_book.implicit.fit", recording)
    lab.first_epochs(judge.split, n=1)
    model = service.make_model("GMF", judge.split.train, 4, 0)
    service.adam(model, judge.split.train, SETTING, 0, epochs=1)
    assert asked == [False, False]
    lab.try_setting(judge, "GMF", replace(SETTING, epochs=1))
    lab.run_cell(judge, "GMF", replace(SETTING, epochs=1), 0)
    assert asked[2:] == [True] * 3  # the search, the choice of epochs, the refit


def test_fit_takes_no_amp_where_there_is_none(judge, monkeypatch):
    monkeypatch.setattr("recsys_book.train.has_bfloat16", lambda: False)
    model = lab.make_model("GMF", judge.split.train, 4, seed=0)
    users, items = judge.split.train.user[:8], judge.split.train.item[:8]
    seen = []

    def loss(model, batch):
        logits = model(*batch)
        seen.append((logits.dtype, torch.is_autocast_enabled("cpu")))
        return logits.mean()

    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = lambda epoch, generator: [(users, items)]
    fit(model, batches, loss, sgd, validate=None, max_epochs=1, patience=None, amp=True)
    assert seen == [(torch.float32, False)]


def test_a_rate_too_high_for_sgd_counts_as_the_worst(judge):
    log = judge.split.train
    gmf, mlp = (lab.make_model(name, log, 4, 0) for name in ("GMF", "MLP"))

    def score(lr: float) -> float:
        model = NeuMF.from_pretrained(gmf, mlp)
        more = {"epochs": 2, "seed": 0, "amp": False, "validate": judge.validation}
        return lab.score_of(lambda: lab.fine_tune(model, log, lr=lr, **more))

    assert score(1e12) == 0.0 < score(0.1)
