"""Figures of cold start tell what they show."""

import numpy as np
import pytest

from recsys_book.chapters.ch06_training_discipline import cold_start_figures as figures


@pytest.fixture
def record():
    random = np.random.RandomState(0)
    judged = lambda mean: [
        {key: mean + 0.01 * random.standard_normal() for key in ("hr", "hr, worst", "share")}
        for _ in range(3)
    ]
    names = ("chance", "genre's click rate", "oracle", "category mean", "one gradient")
    lost = lambda slope: (
        [{"clicks": 100, "regret": [slope * 1.0, slope * 2.0], "personal regret": [5.0, 10.0]}] * 3
    )
    policies = {name: lost(i) for i, name in enumerate(figures.POLICIES)}
    return {
        "figures": {
            "methods": {name: judged(0.2 + 0.1 * i) for i, name in enumerate(names)},
            "curve": {k: {"0": judged(0.1), "3": judged(0.2)} for k in figures.LEARNERS},
            "bandits": {"100": policies},
            "points": {"100": [50, 100]},
        }
    }


def test_figures_tell_what_they_show(record):
    for measure, words in (("hr", "HR@20"), ("share", "share of the learnable")):
        alt = figures.methods_figure(record, measure).alt
        rows = record["figures"]["methods"]["one gradient"]
        assert f"one gradient {np.mean([row[measure] for row in rows]):.3f}" in alt
        assert alt.startswith(words)
        assert "after 3" in figures.learning_figure(record, measure).alt
    alt = figures.regret_figure(record, 100).alt
    assert alt.index("uniform 0") < alt.index("UCB1 8") and "personal" not in alt
    assert "content, personal 10" in figures.regret_figure(record, 100, "personal regret").alt


def test_policies_stand_by_what_they_lose():
    lost = lambda *ends: [{"clicks": 100 - end, "regret": [1.0, end]} for end in ends]
    policies = {"greedy": lost(2.0, 40.0), "Thompson, flat prior": lost(10.0, 12.0),
                "content, personal": lost(0.0, 1.0)}  # fmt: skip
    table = figures.policies_table({"figures": {"bandits": {"100": policies}}}, 100)
    assert list(table.index) == ["Thompson, flat prior", "greedy", "content, personal"]
    assert table.loc["greedy"].tolist()[1:] == ["21", "2 to 40"]
    assert table.loc["content, personal"].tolist()[1:] == ["", ""]  # it seeks no such film
    with pytest.raises(ValueError, match="n is 7; recorded are 100"):
        figures.policies_table({"figures": {"bandits": {"100": policies}}}, 7)


def test_leads(record):
    lead = figures.lead(record, "one gradient", "chance", "share")
    rows = record["figures"]["methods"]
    difference = [a["share"] - b["share"] for a, b in
                  zip(rows["one gradient"], rows["chance"], strict=True)]  # fmt: skip
    assert lead.value == pytest.approx(np.mean(difference)) and lead.low < lead.value < lead.high
    assert figures.learning_lead(record, 3).gap.n == 3


def test_bad_figures(record):
    with pytest.raises(ValueError, match="measure is 'auc'"):
        figures.methods_figure(record, "auc")
    with pytest.raises(ValueError, match="n is 7; recorded are 100"):
        figures.regret_figure(record, 7)
    with pytest.raises(ValueError, match="against is 'all'"):
        figures.regret_figure(record, 100, "all")
