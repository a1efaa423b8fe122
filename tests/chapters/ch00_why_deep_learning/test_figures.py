"""What chapter 00 draws, from records made up so that the answer is known."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from recsys_book.chapters.ch00_why_deep_learning import figures
from recsys_book.chapters.ch00_why_deep_learning.moments import (
    MOMENTS,
    alike,
    clicks_of_ten,
    dark_leads,
    top_films,
)
from recsys_book.maps import neighbour_purity
from recsys_book.reproduce import table
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, make_task, new_click_model
from recsys_book.service.oracle import make_ranking
from recsys_book.service.world import EFFECTS


def run(shift=0.0, **more):
    """A ladder whose popularity is at .44 and whose oracle is at .36 nats."""
    losses = {"Popularity": 0.44, "MF": 0.43, "FM": 0.42, "DNN": 0.40, "Oracle": 0.36}
    losses |= {"Ids-only oracle": 0.41} | more
    row = {name: {"log_loss": v + shift, "auc": 1 - v, "parameters": 1_234, "seconds": 2.0 + shift}
           for name, v in losses.items()}  # fmt: skip
    row |= {name: {"seconds": 0.5} for name in ("ItemKNN", "EASE", "IALS", "Most clicked")}
    for name, value in {"Oracle": 1.0, "Popularity": 0.0}.items():
        row[name] |= {"ndcg": value, "clicks": value}
    for name in set(row) - {"Oracle", "Popularity"}:
        row[name] |= {"ndcg": 0.25, "clicks": 0.5}
    return row


@pytest.fixture(scope="module")
def record():
    runs, off = [run(), run(0.01), run(0.02)], [run(DNN=0.419), run(0.01, DNN=0.418)]
    return {
        "name": "ch00/made",
        "figures": {
            "small": runs, "full": runs, "quarter": runs, "without": dict.fromkeys(EFFECTS, off),
        },
    }  # fmt: skip


def test_the_ladder_is_drawn_between_popularity_and_the_oracle(record):
    alt = figures.ladder_figure(record["figures"]["full"]).alt
    assert "DNN 0.50" in alt and "ids-only oracle 0.38 by log_loss" in alt and "EASE 0.25" in alt
    leads = figures.leads(record["figures"]["full"])
    assert leads["DNN over FM"].value == pytest.approx(-0.02)
    assert (leads["DNN over FM"].a, leads["DNN over FM"].b) == pytest.approx((0.41, 0.43))


def test_prices_are_medians_and_counts_are_whole(record):
    prices = figures.price_table(record["figures"]["full"], n_films=20)
    assert prices.loc["DNN", "seconds to fit"] == "2.0" and prices.loc["EASE", "AUC"] == ""
    assert prices.loc["EASE", "numbers learned"] == "380"
    assert prices.loc["DNN", "numbers learned"] == "1,234"


def test_the_cake_and_the_marks_on_it(record):
    saved = figures.learnable(record["figures"]["small"])
    assert saved == pytest.approx({"MF": 10, "FM": 20, "DNN": 40, "Oracle": 80})
    widget = figures.effects_frames(record)
    assert len(widget.alts) == 1 + len(EFFECTS)
    told = next(alt for alt in widget.alts if alt.startswith("With three_way"))
    assert "DNN 21.5 (was 40.0)" in told and "FM 20.0 (was 20.0)" in told
    assert "FM over MF" in figures.leads_figure(record).alt
    assert "DNN on a quarter 0.50" in figures.less_data_figure(record).alt


def test_the_truth_flips_with_screen_and_hour():
    world = simulate(n_users=60, n_films=200, seed=0)
    alt = figures.truth_panels(world, user=3, mark="Mira").alt
    best = re.findall(r"(\w+, \w+): (light|dark) \w[\w ]* most", alt)
    assert dict(best) == {
        "phone, morning": "dark", "phone, night": "light", "TV, morning": "light",
        "TV, night": "dark",
    }  # fmt: skip


def test_the_films_on_top_are_free_and_the_truth_has_the_most_clicks():
    world = simulate(n_users=80, n_films=60, seed=0)
    task = make_task(world)
    models = {n: new_click_model(task, n, Settings(dim=4), seed=0) for n in ("MF", "DNN")}
    found = top_films(task, models, user=3, moments=[(3, 3), (0, 3)], k=4)
    assert list(found.index) == ["MF", "DNN", "the truth"]
    assert list(found.columns) == ["TV, night", "phone, night"]
    assert (
        found.loc["MF", "TV, night"].split(":")[0] == found.loc["MF", "phone, night"].split(":")[0]
    )
    seen = make_ranking(task).seen
    watched = set(world.film_table(seen.item[seen.user == 3].tolist())["title"])
    for moment in found.columns:
        together = {}
        for name, cell in found[moment].items():
            *films, total = cell.split("\n")
            assert len(films) == 4 and not watched & {film.split(",")[0] for film in films}
            chances = [float(film.rsplit(":", 1)[1]) for film in films]
            together[name] = float(total.split()[1])
            assert sum(chances) == pytest.approx(together[name], abs=0.03)
        assert max(together, key=together.get) == "the truth"


def test_how_far_dark_is_ahead_is_the_truths_and_a_sum_of_pairs_for_an_fm():
    world = simulate(n_users=80, n_films=60, seed=0)
    task, names = make_task(world), ("MF", "FM", "DNN")
    models = {name: new_click_model(task, name, Settings(dim=4), seed=0) for name in names}
    for model in models.values():  # untrained vectors are nearly nothing
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    found = dark_leads(task, models)
    for name in ("the truth", "FM", "DNN"):
        a, b, c, d = found[name]  # phone and TV in the morning and at night
        twist = a + d - b - c
        assert (abs(twist) < 1e-4) == (name == "FM"), name
    assert found["the truth"][0] > 1 > -1 > found["the truth"][1]
    assert len(set(found["MF"])) == 1  # not told the moment
    alt = figures.dark_leads_figure(found).alt
    assert f"the truth {found['the truth'][0]:.1f}" in alt


def test_nobodys_ten_films_are_worth_more_than_the_truths():
    task = make_task(simulate(n_users=80, n_films=60, seed=0))
    ranking = make_ranking(task)
    best = clicks_of_ten(ranking, lambda users: ranking.truth[users])
    some = clicks_of_ten(ranking, lambda users: torch.rand(len(users), 60))
    assert len(best) == len(ranking.relevant.user.unique()) and (best >= some).all()


def test_a_map_of_moments_says_what_a_model_makes_of_them():
    world = simulate(n_users=80, n_films=60, seed=0)
    people = torch.arange(20)
    moment = torch.arange(len(MOMENTS)).repeat_interleave(20)
    apart = torch.nn.functional.one_hot(moment).float() + 0.01 * torch.randn(80, 4)
    same = torch.randn(20, 4).repeat(4, 1)
    assert neighbour_purity(apart, moment) == 1 and neighbour_purity(same, moment) < 0.3
    flat = {"MF": same[:, :2].numpy(), "DNN": apart[:, :2].numpy()}
    widget = figures.moments_frames({"MF": same, "DNN": apart}, flat, world, people)
    assert len(widget.alts) == 6
    assert torch.allclose(alike(same), torch.ones(4, 4))
    mirrored = torch.cat([same[:20], -same[:20], same[:20], -same[:20]])
    assert alike(mirrored)[0].tolist() == pytest.approx([1, -1, 1, -1])
    assert "lists from DNN, by moment: of ten nearest, 1.00 in the same moment" in widget.alts[1]


def test_ranks_become_gains_and_hits():
    frame = pd.DataFrame(
        [("EASE", 0, "1 0 3"), ("DNN", 0, "0 0 1"), ("DNN", 1, "2 0 1")],
        columns=["rung", "seed", "ranks"],
    )
    later = pd.DataFrame(
        [("EASE", 0, "0.5 0", "1 0"), ("DNN", 0, "0.25 0.25", "1 1")],
        columns=["rung", "seed", "ndcg", "hit_rate"],
    )
    made = {"name": "x", "figures": {"last film": table(frame), "by time": table(later)}}
    gains = figures.last_film(made)
    assert gains["EASE"][0] == pytest.approx([1, 0, 0.5])
    assert gains["DNN"].mean(axis=0) == pytest.approx([(0 + 1 / np.log2(3)) / 2, 0, 1])
    assert figures.last_film(made, "hit_rate")["DNN"].tolist() == [[0, 0, 1], [1, 0, 1]]
    assert figures.later_films(made)["DNN"].tolist() == [[0.25, 0.25]]
    found = figures.on_films(made, "EASE", "DNN")
    assert found.gap.over == "people" and found.note == "mean of 2 trainings"
    assert figures.after_one_day(made, "EASE", "DNN").value == pytest.approx(0)
    assert "everybody's last film, EASE 0.500" in figures.films_figure(made).alt
