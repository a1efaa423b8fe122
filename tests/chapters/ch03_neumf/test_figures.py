"""Chapter 03's figures, over the recorded run of the paper's table."""

import copy

import numpy as np
import pytest

from recsys_book.chapters.ch03_neumf import figures
from recsys_book.reproduce import read_record
from recsys_book.show.intervals import Interval, t_interval


@pytest.fixture(scope="module")
def record() -> dict:
    return read_record("ch03/paper")


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
    for racer, row in (("item model", "EASE"), ("MF", "MF, 64, tuned"), ("NeuMF", "NeuMF, 32")):
        assert shown[racer] == pytest.approx(table[row], abs=1e-6)
    values = np.frombuffer(widget.data, dtype="<f4").reshape(-1, len(widget.models))
    ordered = np.sort(values, axis=1)
    clear = values[ordered[:, -1] - ordered[:, -2] > widget.margin]
    winners = {widget.models[i] for i in clear.argmax(1)}
    assert winners == {"item model", "MF", "NeuMF"}


def verdict(widget, **positions) -> str | None:
    """Who wins by more than the margin, with a switch or two flipped from where they start."""
    rules = list(figures.RULES)
    index = [0] * (len(rules) - 1) + [3]
    for name, position in positions.items():
        rule = name.replace("_", " ")
        index[rules.index(rule)] = figures.RULES[rule].index(position)
    widget.index = index
    (first, best), (_, second) = sorted(widget.shown().items(), key=lambda pair: -pair[1])[:2]
    return first if best - second > widget.margin else None


def test_the_widget_says_what_the_chapter_says(record):
    """Tuned rivals are too close to tell; NeuMF wins over neglected ones, and over no others."""
    widget = figures.switches(record)
    assert widget.margin == figures.SETTLED
    assert verdict(widget) is None
    assert verdict(widget, item_model_is="ItemKNN", MF_is="as it comes") == "NeuMF"
    assert verdict(widget, item_model_is="ItemKNN") == "MF"
    assert verdict(widget, MF_is="as it comes") == "item model"
    neglected = {"item_model_is": "ItemKNN", "MF_is": "as it comes"}
    assert verdict(widget, **neglected, ranked_among="all films") is None
    # Rules about epochs, refitting and ties change nothing of this.
    for switch, position in (
        ("epoch_chosen_on", "test"), ("trained_anew_on_all", "no refit"), ("ties", "best"),
    ):  # fmt: skip
        assert verdict(widget, **neglected, **{switch: position}) == "NeuMF", switch


def test_under_a_hundredth_nothing_is_settled(record):
    gap = lambda mean, half: Interval(mean, mean - half, mean + half, 3)
    assert figures.settled(gap(0.02, 0.01)) and figures.settled(gap(-0.01, 0.002))
    assert not figures.settled(gap(0.02, 0.03))  # seeds do not agree
    assert not figures.settled(gap(0.009, 0.001)) and not figures.settled(gap(-0.009, 0.001))
    # Half of a 95 % interval where two models disagree about one person in six.
    assert figures.SETTLED == pytest.approx(1.96 * (1 / 6 / 6_040) ** 0.5, abs=5e-4)


def test_sizes_in_the_names_are_those_of_the_settings(record):
    for name in ("MF", "NeuMF"):
        size = record["figures"]["tuned"][name]["factors"]
        runs = figures.honest_runs(record)[f"{name}, {size}, tuned"]
        assert runs is record["figures"]["cells"][figures.tuned_key(record, name)]


def test_a_lucky_epoch_is_what_choosing_on_the_test_gains(record):
    before = figures.gains_by_test(record)
    doctored = copy.deepcopy(record)
    for run in doctored["figures"]["cells"]["NeuMF/8"]:
        run["test_by_epoch"].append([run["test"][0] + 0.1, 0.0])
    after = figures.gains_by_test(doctored)
    assert after["NeuMF, 8"].mean == pytest.approx(0.1)
    assert {who for who in before if after[who] != before[who]} == {"NeuMF, 8"}
    mean = np.mean([gain.mean for gain in after.values()])
    assert figures.mean_gain_by_test(doctored).value == pytest.approx(mean)
    assert figures.mean_gain_by_test(doctored).gap.n == 3


def test_what_counts_as_no_is_told_as_recorded():
    answers, ladder = read_record("ch02/answers"), read_record("ch00/simulated")
    table = figures.by_what_counts_as_no(answers, ladder)
    worlds = answers["figures"]["two logs"]
    told = [world["impressions"]["clicks"] for world in worlds]
    assert table["clicks of its ten films"]["MF (chapter 0)"] == t_interval(told).text(2)
    full = ladder["figures"]["full"]
    popular = [world["Most clicked"]["ndcg"] for world in full]
    share = [(w["DNN"]["ndcg"] - p) / (1 - p) for w, p in zip(full, popular, strict=True)]
    row = table.loc["DNN (chapter 0), told the moment"]
    assert row["finds the best ten (NDCG@10)"] == t_interval(share).text(2)
    # The same training of MF on impressions, judged by the same people, in both records.
    ours = [(w["MF"]["ndcg"] - p) / (1 - p) for w, p in zip(full, popular, strict=True)]
    assert [w["impressions"]["ndcg"] for w in worlds] == pytest.approx(ours, abs=0.02)


def test_settings_by_amount_come_in_the_order_of_clicks():
    settings = figures.amounts_settings(read_record("ch03/simulated"), "EASE")
    assert list(settings) == sorted(settings) and len(settings) == 4
    assert all(setting["l2"] > 0 for setting in settings.values())


def test_pictures_name_what_they_show(record):
    assert "32 factors" in figures.paper_figure(record).alt
    assert "change places" in figures.two_rulers_figure(record).alt
