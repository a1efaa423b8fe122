"""Chapter 03's figures, over the recorded run of the paper's table."""

import copy

import numpy as np
import pytest

from recsys_book.experiments import ncf_figures as figures
from recsys_book.reproduce import read_record


@pytest.fixture(scope="module")
def record() -> dict:
    return read_record("ncf-ml-1m")


def test_every_cell_of_the_paper_is_there(record):
    table = figures.paper_table(record)
    assert list(table.index) == [8, 16, 32, 64] and list(table["seeds"]) == [3, 1, 3, 1]
    assert not table.isna().any().any()


def test_figures_are_of_models_refitted_and_chosen_on_validation(record):
    for runs in record["figures"]["cells"].values():
        for run in runs:
            assert run["epochs"] == int(np.argmax(run["validation"])) + 1
            rule = run["protocols"]["refit/validation"]["sampled"]["worst"]
            assert rule == pytest.approx(run["test"])


def test_popularity_scores_what_it_scores_everywhere(record):
    popular = figures.honest_table(record, digits=4).loc["Popularity"]
    assert popular["HR@10 among 99"] == pytest.approx(0.4535, abs=0.001)
    assert popular["NDCG@10 among 99"] == pytest.approx(0.2543, abs=0.001)


def test_the_order_is_compared_by_unrounded_figures(record):
    table = figures.honest_table(record, digits=None)
    tau, swapped, pairs = figures.order_kept(record)
    assert pairs == len(table) * (len(table) - 1) // 2
    assert tau == pytest.approx(1 - 2 * swapped / pairs)  # no ties


def test_switches_start_at_the_table_and_let_three_models_win(record):
    widget = figures.switches(record)
    table = figures.honest_table(record, digits=None)["HR@10 among 99"]
    shown = widget.shown()
    for racer, row in (("item model", "EASE"), ("MF", "MF, tuned"), ("NeuMF", "NeuMF, 32")):
        assert shown[racer] == pytest.approx(table[row], abs=1e-6)
    values = np.frombuffer(widget.data, dtype="<f4").reshape(-1, len(widget.models))
    winners = {widget.models[i] for i in values.argmax(1)}
    assert winners == {"item model", "MF", "NeuMF"}


def test_a_lucky_epoch_is_what_choosing_on_the_test_gains(record):
    before = figures.gains_by_test(record)
    doctored = copy.deepcopy(record)
    for run in doctored["figures"]["cells"]["NeuMF/8"]:
        run["test_by_epoch"].append([run["test"][0] + 0.1, 0.0])
    after = figures.gains_by_test(doctored)
    assert after["NeuMF, 8"].mean == pytest.approx(0.1)
    assert {who for who in before if after[who] != before[who]} == {"NeuMF, 8"}
    mean = np.mean([gain.mean for gain in after.values()])
    assert figures.mean_gain_by_test(doctored).mean == pytest.approx(mean)
    assert figures.mean_gain_by_test(doctored).n == 3


def test_pictures_name_what_they_show(record):
    assert "32 factors" in figures.paper_figure(record).alt
    assert "change places" in figures.two_rulers_figure(record).alt
