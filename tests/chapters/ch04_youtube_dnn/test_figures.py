"""Chapter 04's figures, on made-up records: they show what the records say."""

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import candidates, figures, watch_time
from recsys_book.chapters.ch04_youtube_dnn.first_stage import make_task
from recsys_book.service import simulate

SEEDS = 3


def recall_row(k50: float) -> dict:
    return {"recall": {"50": k50, "200": k50 + 0.3}}


@pytest.fixture
def simulated() -> dict:
    near = lambda middle: [recall_row(middle + 0.01 * i) for i in range(SEEDS)]
    run = lambda s: {
        "spearman": s, "spearman of clicks": 2 * s, "minutes": s + 0.1, "clicks": s + 0.2,
        "bait": 0.1,
    }  # fmt: skip
    heads = {"click": 0.4, "watch time": 0.6, "regression": 0.5}
    second = {
        head: {
            how: [run(s + 0.05 * place + 0.01 * i) for i in range(SEEDS)]
            for place, how in enumerate(figures.PLACED_WORDS)
        }
        for head, s in heads.items()
    }
    first = {"full softmax": near(0.4), "sampled, no log Q": near(0.1)}
    return {"figures": {"first": first, "popularity": near(0.3), "second": second}}


@pytest.fixture
def real() -> dict:
    first = {"full softmax": [recall_row(0.2 + 0.01 * i) for i in range(SEEDS)]}
    table = [[float(i), float(i) / 2] for i in range(10)]
    heads = {h: {"mispredicted": 0.3, "auc": 0.7, "epochs": 2} for h in figures.HEAD_NAMES}
    second = [
        {
            "calibration": {"odds": table, "odds · (1 − p)": table, "regression": table},
            "heads": heads,
        }
        for _ in range(SEEDS)
    ]
    return {
        "figures": {
            "first": {"kuairand-pure": first},
            "popularity": {"kuairand-pure": recall_row(0.15)},
            "second": second,
        }
    }


@pytest.fixture
def serving() -> dict:
    curve = lambda *pairs: [
        {"effort": e, "recall": r, "missing": 0.0, "median": m, "p99": 2 * m} for e, r, m in pairs
    ]
    kinds = {
        "exact": {"build_seconds": 0.1, "curve": curve((None, 1.0, 8.0))},
        "flat": {"build_seconds": 0.1, "curve": curve((None, 1.0, 6.0))},
        "ivf": {"build_seconds": 1.0, "curve": curve((1, 0.3, 0.1), (64, 0.99, 2.0))},
        "hnsw": {
            "build_seconds": 9.0,
            "curve": curve((100, 0.9, 0.2), (200, 0.96, 0.4), (400, 0.99, 0.9)),
        },
    }
    stage = lambda one: {
        "one ranker": {"median": one, "p99": 2 * one},
        "two stages": {"median": 3.0, "p99": 5.0},
        "parts": {"user vector": 0.25, "candidates": 1.5},
    }
    return {
        "figures": {
            "indexes": {"100000 dot product": kinds},
            "stages": {"300": stage(0.5), "100000": stage(90.0)},
        }
    }


def test_recall_is_read_off_the_record(simulated, real):
    values = figures.recalls_of(simulated, 50)
    assert values["popularity"] == pytest.approx([0.3, 0.31, 0.32])
    assert list(values) == ["popularity", "full softmax", "sampled, no log Q"]
    picture = figures.recall_figure(values, "Who finds it?", 50)
    assert picture.alt.endswith("sampled, no log Q 0.110, popularity 0.310, full softmax 0.410")
    assert figures.recalls_of(real, 200, "kuairand-pure")["popularity"] == pytest.approx([0.45] * 3)
    assert "0.410" in figures.recall_table(simulated).loc["full softmax", "recall@50"]


def test_changes_are_told_beside_the_full_softmax(simulated, real):
    first = simulated["figures"]["first"]
    for i, name in enumerate(figures.CHANGES):
        first[name] = [recall_row(0.4 + 0.01 * s + 0.02 * (i - 2)) for s in range(SEEDS)]
    column = figures.changes_table(simulated)["recall@50, minus full softmax"]
    assert list(column.index) == list(figures.CHANGES)
    assert column["last 5 watches"] == "−0.040 (−0.040 to −0.040)"
    assert column["leaky histories"] == "+0.020 (+0.020 to +0.020)"
    for runs in (first, real["figures"]["first"]["kuairand-pure"]):
        for name, rows in runs.items():
            runs[name] = [row | {"epochs": s + 1} for s, row in enumerate(rows)]
    assert figures.epochs_of(simulated)["no context"] == "1, 2, 3"
    assert figures.epochs_of(real, "kuairand-pure") == {"full softmax": "1, 2, 3"}


def test_heads_are_compared_by_the_truth(simulated, real):
    assert "spearman of weighted by watch time 0.610" in figures.heads_figure(simulated).alt
    gain = figures.gain_by_position(simulated, "click", "added")
    assert gain.value == pytest.approx(0.2) and gain.gap.n == 3
    assert figures.gain_by_position(simulated, "watch time", "input").value == pytest.approx(0.05)
    alt = figures.position_figure(simulated).alt
    assert "click model, not told: 0.820" in alt and "time, no position bias at all: 0.760" in alt
    first = simulated["figures"]["first"]
    first["example age"] = [{"fresh": recall_row(0.7)}, {"fresh": recall_row(0.6)}]
    assert figures.fresh_recalls(simulated, "example age") == [0.7, 0.6]
    row = figures.heads_table(real).loc["click model"]
    assert row["AUC of clicks"].startswith("0.700") and row["epochs chosen"] == "2, 2, 2"
    assert "9 predicted, 4 actual" in figures.calibration_figure(real).alt


def test_serving_is_told_by_size(serving):
    row = figures.serving_table(serving).loc["100,000, dot product"]
    assert row["HNSW"] == "0.960 in 0.40 ms, 20.0× (efSearch 200)"
    assert row["IVF"] == "0.990 in 2.00 ms, 4.0× (lists 64)" and row["build, s"] == "9 / 1"
    best = figures.quick_enough(serving, "100000 dot product", "ivf", target=0.999)
    assert best["effort"] == 64 and best["faster"] == 4  # none is good enough: the greatest effort
    frames = figures.effort_frames(serving, "100000 dot product")
    assert frames.alts[1] == "efSearch 200: recall 0.960, 0.40 ms, exact 8.00 ms"
    alt = figures.stages_figure(serving).alt
    assert "one ranker: 0.5 at 300, 90.0 at 100,000" in alt
    assert figures.two_stages_pay_from(serving) == (100_000, True)
    stages = serving["figures"]["stages"]
    stages["300000"] = stages["300"]  # quicker again with one ranker: no threshold
    assert figures.two_stages_pay_from(serving) == (100_000, False)
    assert figures.two_stages_pay_from({"figures": {"stages": {"100000": stages["100000"]}}}) == (
        100_000,
        False,
    )  # quicker at the least size: where it begins is not known
    del stages["300000"]
    table = figures.request_table(serving)
    assert table.loc["all of it"].tolist() == [3.0, 5.0]
    assert table.loc["candidates"].tolist() == [1.5, ""]  # parts have medians alone


def test_two_lists_tell_minutes_and_bait():
    world = simulate(n_users=40, n_films=80, days=8)
    asked = watch_time.requests(world, n_users=5, n_films=30)
    scores = {"click": asked.clicks.flatten(), "watch time": asked.minutes.flatten()}
    frames = figures.two_lists_frames(world, asked, scores, [0, 3])
    best = float(asked.minutes[3].topk(8).values.sum())
    assert f"weighted by watch time: {best:.1f} expected minutes" in frames.alts[1]


def test_people_stand_among_films_and_say_what_they_watch():
    world = simulate(n_users=40, n_films=80, days=8)
    log = world.log.clicks()
    vectors = lambda n, seed: torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    histories = world.log.final_histories(5)[:12]
    histories[1] = world.n_films  # somebody new
    widget = figures.users_and_films_explorer(
        world, log, histories, [vectors(80, 0), vectors(80, 1)], [vectors(12, 2), vectors(12, 3)]
    )
    assert widget.titles[:80] == [str(t) for t in world.titles] and widget.titles[80] == "Person 0"
    assert widget.details[81] == "watches nothing yet, 0 films told"
    rows = np.frombuffer(widget.neighbours, "<u2")
    assert len(rows) == 2 * 2 * 92 * widget.k and rows.max() < 80  # of anybody, films alone
    assert widget.axis["labels"] == ["1", "2"] and widget.measures[0]["name"] == "dot product"


def test_the_editor_carries_both_trained_networks():
    world = simulate(n_users=40, n_films=80, days=8)
    task = make_task(world)
    generator = candidates.new_generator(task, dim=4, hidden=(8, 4))
    log = watch_time.without_place(watch_time.impressions(world))
    ranker = watch_time.train_ranker(
        log, 80, watch_time.Recipe("watch time", epochs=1, dim=4, hidden=(4,)), 0,
        sizes=watch_time.SIZES[:2], place=None,
    )  # fmt: skip
    editor = figures.history_editor(world, task.log, generator, ranker, [3, 5], n_candidates=20)
    assert editor.history == [3, 5] and [f["name"] for f in editor.contexts] == [
        "device", "time of day",
    ]  # fmt: skip
    shares = figures.bait_by_stage(world, generator, ranker, n_people=30, n_candidates=20, k=20)
    assert shares["first stage"] == shares["both stages"]  # all candidates, in another order
    assert shares["catalogue"] == pytest.approx(world.truth.clickbait.mean())
    short = figures.bait_by_stage(world, generator, ranker, n_people=30, n_candidates=20, k=5)
    assert short["first stage"] != shares["first stage"]
    baits = [i for i, text in enumerate(editor.details) if "clickbait" in text]
    assert baits == world.truth.clickbait.nonzero()[0].tolist()
    assert 0 < editor.continuous[0] < 1
