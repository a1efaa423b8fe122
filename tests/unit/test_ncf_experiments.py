"""Chapter 03's experiments: who may see the test, what a budget is, and runs that can be killed."""

import copy
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.chapters.ch03_neumf import runs_paper as run
from recsys_book.chapters.ch03_neumf import runs_simulated as simulated_run
from recsys_book.chapters.ch03_neumf import simulated as service
from recsys_book.data import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.data.splits import leave_any_out
from recsys_book.evaluate import full_catalogue, sampled_candidates
from recsys_book.machine import has_bfloat16
from recsys_book.models.baselines import Popularity
from recsys_book.models.ncf import NeuMF
from recsys_book.reproduce import cells as pieces
from recsys_book.reproduce.record import provenance, read_record
from recsys_book.sampling import UnseenItems
from recsys_book.service import simulate
from recsys_book.service.judge import judge_world
from recsys_book.train import fit

U, N = 60, 160  # so many items that everybody has 99 unseen ones
SETTING = lab.Setting(0.02, factors=4, batch_size=256)


@pytest.fixture(scope="module")
def split() -> NCFSplit:
    """A made-up split of the real one's form: users like films of their own remainder mod 3."""
    generator = torch.Generator().manual_seed(0)
    user, item = torch.arange(U).repeat_interleave(N), torch.arange(N).repeat(U)
    chance = torch.where(user % 3 == item % 3, 0.4, 0.05)
    kept = torch.rand(U * N, generator=generator) < chance
    log = Interactions(user[kept], item[kept], U, N)
    parts = leave_any_out(log)
    held = torch.zeros(2, U, dtype=torch.int64)
    for row, part in zip(held, (parts.validation, parts.test), strict=True):
        row[part.user] = part.item
    return NCFSplit(
        parts.train, parts.train_and_validation, torch.arange(U), held[0],
        sampled_candidates(held[1], log), 0, None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def judge(split):
    return lab.make_judge(split)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 4)
    monkeypatch.setattr(lab, "SGD_EPOCHS", 2)


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


# ---------------------------------------------------------------- the simulated service


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


def test_more_data_is_more_of_the_same_clicks():
    world = simulate(n_users=150, n_films=120, days=12)
    small, large = (service.judge_share(world, share) for share in (0.25, 1.0))
    assert len(small.refit) == round(0.25 * len(large.refit))
    assert set(small.refit.keys().tolist()) <= set(large.refit.keys().tolist())
    for judge in (small, large):
        assert len(judge.train) == len(judge.refit) - len(judge.refit) // 10
    with pytest.raises(ValueError, match="share is 0"):
        service.judge_share(world, 0)


def test_depths_halve_from_layer_to_layer():
    assert service.depths(8) == [(), (8,), (16, 8), (32, 16, 8), (64, 32, 16, 8)]
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


# ---------------------------------------------------------------- pieces of long runs


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    return tmp_path


def test_finished_pieces_are_not_made_again(results):
    made = []
    make = lambda: made.append(1) or {"value": len(made)}
    first = pieces.Cells("ch03/x", "a").get("one/two three", make)
    assert pieces.Cells("ch03/x", "a").get("one/two three", make) == first and made == [1]
    assert first["value"] == 1 and first["seconds"] >= 0 and first["processor_seconds"] >= 0
    assert pieces.Cells("ch03/x", "a").sums()["commits"] == {first["commit"]: 1}
    assert pieces.Cells("ch03/x", "a").sums()["n"] == 1
    assert pieces.Cells("ch03/x", "another identity").get("one/two three", make)["value"] == 2


def test_a_piece_that_fails_leaves_nothing(results):
    cells = pieces.Cells("ch03/x", "a")

    def boom() -> dict:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cells.get("one", boom)
    with pytest.raises(ValueError):  # NaN is no JSON
        cells.get("one", lambda: {"value": float("nan")})
    assert not cells.path("one", "json").exists()
    assert cells.get("one", lambda: {"value": 1})["value"] == 1


def test_weights_are_kept_until_the_run_ends(results):
    cells = pieces.Cells("ch03/x", "a")
    cells.keep("model/8", {"refit": {"w": torch.arange(3)}})
    assert torch.equal(pieces.Cells("ch03/x", "a").kept("model/8")["refit"]["w"], torch.arange(3))
    cells.finish()
    assert not list((results / "ch03").iterdir())


WORKERS = """
import sys
import time
from recsys_book.reproduce.cells import in_processes
class Worker:
    def write(self, letter):
        open(sys.argv[1], "a").write(letter)
    def fail(self):
        raise ValueError("bad piece")
if __name__ == "__main__":
    a, b, c = (("write", letter) for letter in "abc")
    pieces = {c: [b], b: [a], a: []}
    if len(sys.argv) > 2: pieces = {("fail",): [], a: [("fail",)]}
    in_processes(pieces, Worker, workers=2)
"""


def test_pieces_wait_for_what_they_need_and_errors_end_the_run(tmp_path):
    script, out = tmp_path / "workers.py", tmp_path / "out.txt"
    script.write_text(WORKERS, encoding="utf-8")
    go = lambda *more: subprocess.run(
        [sys.executable, script, out, *more], capture_output=True, text=True, timeout=1_200
    )
    assert go().returncode == 0 and out.read_text() == "abc"
    failed = go("with a bad piece")
    assert failed.returncode != 0 and "bad piece" in failed.stderr and out.read_text() == "abc"


SLOW = """
import os, sys, time
from recsys_book.reproduce.cells import in_processes
class Worker:
    def sleep(self, name):
        open(sys.argv[1] + "." + name, "w").write(str(os.getpid()))
        time.sleep(900)
if __name__ == "__main__":
    in_processes({("sleep", "a"): [], ("sleep", "b"): []}, Worker, workers=2)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_killed_run_takes_its_workers_along(tmp_path):
    script, out = tmp_path / "slow.py", tmp_path / "pid"
    script.write_text(SLOW, encoding="utf-8")
    run = subprocess.Popen([sys.executable, script, out], stderr=subprocess.DEVNULL)
    files = [tmp_path / "pid.a", tmp_path / "pid.b"]
    assert soon(lambda: all(f.is_file() and f.read_text() for f in files), 600)
    workers = [Path("/proc", f.read_text()) for f in files]
    assert all(worker.exists() for worker in workers)
    run.kill()
    run.wait()
    gone = lambda worker: not worker.exists() or "(zombie)" in (worker / "status").read_text()
    assert soon(lambda: all(gone(worker) for worker in workers), 300)


def soon(true, seconds: float) -> bool:
    """Whether something becomes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return bool(true())


@pytest.mark.parametrize("plan", [run.plan(), simulated_run.plan()])
def test_plans_hold_all_that_they_need(plan):
    assert all(need in plan for needs in plan.values() for need in needs)
    left, done = dict(plan), set()
    while left:  # no circle
        ready = [piece for piece, needs in left.items() if done.issuperset(needs)]
        assert ready
        done.update(ready)
        left = {piece: needs for piece, needs in left.items() if piece not in done}


def one_after_the_other(plan, make_worker):
    worker, left, done = make_worker(), dict(plan), set()
    while left:
        for piece in [p for p, needs in left.items() if done.issuperset(needs)]:
            getattr(worker, piece[0])(*piece[1:])
            done.add(piece)
            del left[piece]


def test_the_whole_table_on_a_small_split(split, short, results, monkeypatch, capsys):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 2)
    monkeypatch.setattr(run, "BUDGET", 2)
    # One size that is tuned and one that is not, one of them with two seeds: every kind of piece.
    monkeypatch.setattr(run, "SEEDS", {16: (0,), 32: (0, 1)})
    monkeypatch.setattr(run, "prepare", lambda: split)
    monkeypatch.setattr(run, "in_processes", one_after_the_other)
    run.main()
    [record] = list((results / "ch03").iterdir())  # the pieces are gone
    figures = json.loads(record.read_text(encoding="utf-8"))["figures"]
    assert set(figures["baselines"]) == {"Popularity", "ItemKNN", "EASE", "IALS"}
    for factors, seeds in run.SEEDS.items():
        for name in (*run.MODELS, "NeuMF-pre"):
            runs = figures["cells"][f"{name}/{factors}"]
            assert len(runs) == len(seeds)
            assert all(0 <= r["test"][0] <= 1 and r["protocols"] for r in runs)
    record = read_record(run.NAME)
    assert record["pieces"]["n"] == sum(record["pieces"]["commits"].values()) == len(run.plan())
    assert provenance(record).count(f"{len(run.plan())} pieces") == 1


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
