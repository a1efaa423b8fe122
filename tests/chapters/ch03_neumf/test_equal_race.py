"""Equal care where the truth is known: the runs as a whole, in small worlds."""

from dataclasses import asdict, replace
from statistics import mean

import pytest

from recsys_book.chapters.ch03_neumf import (
    amounts,
    care,
    equal_race,
    race,
    runs_race,
    sides,
)
from recsys_book.chapters.ch03_neumf.care import Box, Draw
from recsys_book.service import simulate

SMALL = Box(
    choices={
        "factors": (2, 4), "tower": (2, 4), "n_negatives": (1, 2, 4), "batch_size": (256,),
        "decay": (0.8, 1.0),
    },
    ranges={"lr": (3e-3, 3e-2), "weight_decay": (1e-8, 1e-4)},
)  # fmt: skip
ROUNDS = ((4, 1), (3, 2), (2, 3))
A, B = (100, None), (101, None)
IN_FULL = equal_race.course


@pytest.fixture(scope="module")
def small():
    """Two worlds to choose in and two to test in, as small as they can be."""
    made: dict = {}

    def course(world):
        if world not in made:
            service = simulate(seed=world[0], n_users=100, n_films=80)
            whole = world[1] is None
            made[world] = (
                race.course(service, n_users=60)
                if whole
                else race.course_of_share(service, world[1], n_users=60)
            )
        return made[world]

    with pytest.MonkeyPatch.context() as patch:
        for module in (equal_race, sides):
            patch.setattr(module, "course", course)
        patch.setattr(race, "ON_CLICKS", SMALL)
        patch.setattr(equal_race, "TUNING_WORLDS", (100, 101))
        patch.setattr(equal_race, "STEPS", 1)
        patch.setattr(equal_race, "SGD_RATES", (1e-9, 0.1))
        patch.setattr(equal_race, "SGD_EPOCHS", 1)
        for run, work in (
            (runs_race, runs_race.Work),
            (sides, sides.Sides),
            (amounts, amounts.Amounts),
        ):
            patch.setattr(run, "SEEDS", (0, 1))
            patch.setattr(work, "rounds", ROUNDS)
        less = {**care.CLOSED["IALS"][1], "dim": (2, 8), "sweeps": (2, 4)}
        patch.setitem(care.CLOSED, "IALS", (care.CLOSED["IALS"][0], less))
        yield patch


@pytest.fixture(scope="module")
def the_race(small):
    work = runs_race.Work()
    return work, work.figures()


def test_everybody_begins_with_as_many_draws_and_the_mean_of_the_worlds_decides(the_race):
    work, figures = the_race
    assert list(figures["search"]) == [*care.LEARNED, *care.CLOSED]
    for name, found in figures["search"].items():
        first, *_, finals, climbed = found["rounds"]
        assert len(first) == 4 and len(finals) == 2 and len(climbed) >= 2, name
        best, score = max(climbed, key=lambda one: one[1])
        assert best == found["best"], name
        setting = Draw(**best) if name in care.LEARNED else tuple(best.items())
        scores = [work.tried(name, setting, world, 3)["score"] for world in (A, B)]
        assert score == pytest.approx(mean(scores)), name
        if name in care.LEARNED:
            assert [draw for draw, _ in first] == [vars(draw) for draw in SMALL.draws(4, 0)]


def test_a_world_is_told_by_both_measures_and_without_weights(the_race):
    _, figures = the_race
    assert set(figures["worlds"]) == {*care.LEARNED, *care.CLOSED, "NeuMF, pre-trained"}
    for name, rows in figures["worlds"].items():
        assert len(rows) == 2, name
        for row in rows:
            assert set(race.MEASURES) <= set(row) and "weights" not in row
            if name in care.LEARNED:
                assert 1 <= row["epochs"] <= 3


def test_the_pre_trained_one_starts_as_the_mean_of_its_halves(the_race):
    work, figures = the_race
    rates = {float(rate): mean(scores) for rate, scores in figures["SGD"].items()}
    assert work.sgd_rate(None) == max(rates, key=rates.get)
    log = equal_race.course((0, None)).judge.refit
    halves = []
    for part in equal_race.PARTS:
        draw = Draw(**figures["search"][part]["best"])
        halves.append(race.make(part, log, draw, 0))
        halves[-1].load_state_dict(work.tested(part, (0, None))["weights"])

    class Mean:
        def score(self, users):
            return sum(half.score(users) for half in halves) / 2

    start = figures["worlds"]["NeuMF, pre-trained"][0]["start"]
    assert start == pytest.approx(equal_race.course((0, None)).shares(Mean()), abs=1e-4)


def test_each_depth_has_a_setting_of_its_own_and_negatives_change_alone(small):
    draws = [Draw(2, 2, 0.02, 1e-6, 2, 256, 0.9), Draw(2, 4, 0.005, 1e-6, 1, 256, 1.0)]
    of_mlp = {"best": asdict(draws[0]), "rounds": [[], [[asdict(d), 0.1] for d in draws], []]}
    search = dict.fromkeys(("MF", "NeuMF", "MLP"), of_mlp)
    small.setattr(sides, "read_record", lambda name: {"figures": {"search": search}})
    small.setattr(sides, "NEGATIVES", (1, 3))
    work = sides.Sides()
    figures = work.figures()
    assert list(figures["depth"]) == ["0", "1", "2", "3", "4"]
    for depth, best in figures["by depth"].items():
        name = f"MLP, {depth} layers"
        scores = [mean(work.tried(name, d, w, 3)["score"] for w in (A, B)) for d in draws]
        assert Draw(**best) == draws[scores.index(max(scores))]
    for name in sides.MODELS:
        assert list(figures["negatives"][name]) == ["1", "3"]
        again = work.as_set(name, replace(draws[0], n_negatives=3), (0, None))
        assert figures["negatives"][name]["3"][0] == again


def test_every_amount_has_a_search_of_its_own(small):
    small.setattr(amounts, "SHARES", (0.5, 1.0))
    work = amounts.Amounts()
    figures = work.figures()
    assert list(figures) == ["MF", "NeuMF", "EASE"]
    for name, of in figures.items():
        assert list(of) == ["0.5000", "1.0000"]
        half, whole = ([world["n_clicks"] for world in of[key]["worlds"]] for key in of)
        assert half == pytest.approx([n / 2 for n in whole], abs=1)
        found = work.search(name, 0.5)
        assert of["0.5000"]["search"]["best"] == equal_race.told(found)["best"]
        assert of["0.5000"]["worlds"][0]["ndcg"] == work.tested(name, (0, 0.5))["ndcg"]


def test_a_world_is_whole_or_a_share_of_a_longer_one():
    whole, share = IN_FULL((0, None)), IN_FULL((0, 1 / 27))
    assert 65_000 < len(whole.judge.refit) < 75_000 and len(share.judge.refit) < 15_000
    assert IN_FULL((0, None)) is whole
