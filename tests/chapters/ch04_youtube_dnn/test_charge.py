"""Two stages in charge: what each hands over, and the runs of both stages in small worlds."""

import json
from statistics import mean

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import (
    candidates,
    charge,
    first_stage,
    judged,
    second_stage,
    watch_time,
)
from recsys_book.service import run_online, simulate
from recsys_book.service.online import oracle_policy, top_list

SMALL = {"n_users": 120, "n_films": 90}


@pytest.fixture(scope="module")
def world():
    return simulate(days=8, seed=3, **SMALL)


@pytest.fixture(scope="module")
def generator(world):
    setting = {"lr": 0.02, "weight_decay": 1e-6, "init_std": 0.1, "dim": 8}
    return charge.train_generator(world, 0, epochs=1, **setting)


def test_with_every_film_and_the_truth_it_is_the_oracle(world):
    policy = charge.policy_of(world, "none", "truth", None, None, 0)
    ours, best = (run_online(world, p, 2) for p in (policy, oracle_policy(world, "click")))
    assert ours.clicks == best.clicks


def test_the_second_stage_orders_what_the_first_hands_over(world):
    handed = []
    first = charge.at_random(0)

    def watched(request):
        scores = first(request)
        handed.append((request, top_list(request, scores, 15)))
        return scores

    second = charge.of_every_film(charge.true_chance(world))
    policy, lists = charge.staged(world, watched, second, n=15), []

    def kept(request):
        lists.append(policy(request))
        return lists[-1]

    run_online(world, kept, 1)
    compared = 0
    truth = charge.true_chance(world)
    shown = torch.cat(lists)
    of_first = torch.cat([films for _, films in handed])
    for row, films in enumerate(of_first):
        assert set(shown[row].tolist()) <= set(films.tolist())
        compared += 1
    assert compared == len(shown) > 50
    request, films = handed[0]
    order = truth(request).gather(1, films)
    best = films.gather(1, order.topk(10, dim=1).indices)
    assert torch.equal(shown[: len(request)].sort().values, best.sort().values)


def test_the_first_stage_alone_is_the_generators_own_order(world, generator):
    alone = charge.policy_of(world, "trained", "alone", generator, None, 0)
    score = charge.first_stage(generator)

    def policy(request):
        films = alone(request)
        assert torch.equal(films, top_list(request, score(request)))
        return films

    assert run_online(world, policy, 1).clicks > 0
    with pytest.raises(ValueError, match="first is 'some'"):
        charge.policy_of(world, "some", "alone", generator, None, 0)


@pytest.fixture
def quick(monkeypatch):
    """Both runs, in worlds as small as they can be."""
    made: dict = {}

    def small(seed=0, without=()):
        key = seed, tuple(without)
        if key not in made:
            made[key] = simulate(seed=seed, without=without, **SMALL)
        return made[key]

    for run in (first_stage, second_stage):
        monkeypatch.setattr(run, "simulate", small)
        monkeypatch.setattr(run, "SEEDS", (0, 1))
    monkeypatch.setattr(first_stage, "N_USERS", 60)
    draws = candidates.draw(2)
    monkeypatch.setattr(candidates, "draw", lambda n: [d | {"dim": 16} for d in draws])
    monkeypatch.setattr(first_stage, "EPOCHS", 2)
    monkeypatch.setattr(second_stage, "DRAWS", 2)
    monkeypatch.setattr(second_stage, "EPOCHS", 2)
    monkeypatch.setattr(second_stage, "DAYS", 1)
    asked = watch_time.requests
    monkeypatch.setattr(watch_time, "requests", lambda world: asked(world, 20, 30))
    return monkeypatch


def test_the_run_of_the_first_stage_tells_the_log_and_the_truth(quick):
    figures = first_stage.FirstStage().figures()
    assert list(figures["first"]) == list(first_stage.VARIANTS)
    for variant, runs in figures["first"].items():
        assert len(runs) == 2
        for run in runs:
            assert set(run["truth"]) == {"ndcg", "clicks"} and run["truth"]["clicks"] < 1
            assert ("by age" in run) == (variant in ("full softmax", "example age"))
    for setting in figures["settings"].values():
        assert len(setting["tried"]) == 2
        assert setting["best"] == candidates.draw(2)[setting["tried"].index(max(setting["tried"]))]
    for world in figures["worlds"]:
        assert sum(world["by age"]) <= 1 and world["oracle"]["popularity"] > 0
    kept = json.loads(json.dumps(figures))  # as a record has it
    first_stage.report(kept)
    record = {"figures": kept}
    alt = judged.log_and_truth(record).alt
    assert f"in-batch, without {mean(judged.recalls(record, 'in-batch, no log Q')):.2f}" in alt
    assert alt.endswith("1.00") or "the truth 1.00" in alt
    assert judged.worth(record, judged.POPULAR) == [0.0, 0.0]
    share = 100 * mean(sum(world["by age"][:9]) for world in kept["worlds"])
    assert judged.ages(record).alt.startswith(f"watched: {share:.0f} %")


def test_the_run_of_the_second_stage_tells_the_truth_and_what_comes_of_it(quick):
    setting = {"best": candidates.draw(1)[0], "tried": []}
    record = {"first": {"full softmax": [{"epochs": 1}, {"epochs": 2}]}}
    record["settings"] = {"full softmax": setting}
    quick.setattr(second_stage, "read_record", lambda name: {"figures": record})
    work = second_stage.SecondStage()
    figures = work.figures()
    assert set(figures["rankers"]) == {"/".join(key) for key in second_stage.RANKERS}
    assert set(figures["in charge"]) == {"/".join(key) for key in second_stage.IN_CHARGE}
    for key, found in figures["settings"].items():
        assert len(found["tried"]) == 2, key
        assert found["best"] == watch_time.draws(2)[found["tried"].index(max(found["tried"]))]
    most = figures["oracle"]["click"]
    assert figures["in charge"]["none/truth"] == most
    for name, rows in figures["in charge"].items():
        for row, best in zip(rows, most, strict=True):
            assert 0 < row["clicks"] <= best["clicks"] * 1.1, name
    kept = json.loads(json.dumps(figures))
    second_stage.report(kept)
    record = {"figures": kept}
    assert judged.in_charge(record, "none", "truth") == [1.0, 1.0]
    whole = mean(judged.in_charge(record, "trained", "everything"))
    assert f"+ who asks {whole:.2f}" in judged.who_loses(record).alt
    value = mean(judged.of_ranker(record, "click", "everything", "looked", "spearman of clicks"))
    assert f"a look times a liking {value:.3f}" in judged.places(record).alt
    bait = mean(judged.of_ranker(record, "watch time", "everything", "added", "bait"))
    names = {"click": "clicks", "watch time": "minutes", "regression": "minutes, plainly"}
    assert f"bait of minutes {bait:.2f}" in judged.heads(record, names).alt
