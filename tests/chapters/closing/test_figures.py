"""Tables and the picture of the leaderboard."""

import pytest

from recsys_book.chapters.closing import figures
from recsys_book.chapters.closing import leaderboard as lab
from recsys_book.chapters.closing import runs_leaderboard as run
from recsys_book.reproduce import (
    read_record,
)
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def world():
    """So short that users have watched little: there is a first session of many people."""
    return simulate(n_users=120, n_films=90, days=8, seed=3)


def made_up():
    """Three worlds whose figures are easily worked out by hand."""
    row = lambda clicks, hours: {
        "clicks": clicks, "hours": hours, "shown": 0.5, "gini": 0.6, "bait": 0.1,
    }  # fmt: skip
    return {
        "popularity": [row(1_000, 2_000), row(1_200, 2_000), row(1_100, 2_100)],
        "DNN": [row(2_000, 3_000), row(2_200, 3_300), row(2_150, 3_000)],
        "deep": [row(2_010, 2_000), row(2_150, 2_100), row(2_190, 2_000)],
        "oracle by clicks": [row(3_000, 4_000), row(3_200, 4_000), row(3_200, 4_000)],
        "oracle by watch time": [row(2_500, 6_000), row(2_500, 6_000), row(2_500, 6_000)],
    }


def test_shares_leads_and_gaps():
    entries = made_up()
    assert figures.share(entries, "DNN", "clicks").mean == pytest.approx(
        (2_000 / 3_000 + 2_200 / 3_200 + 2_150 / 3_200) / 3
    )
    assert figures.share(entries, "DNN", "hours").mean == pytest.approx(9_300 / 18_000)
    assert figures.lead(entries, "DNN", "clicks").mean == pytest.approx(
        (1_000 / 2_000 + 1_000 / 2_000 + 1_050 / 2_100) / 3
    )
    assert figures.lead(entries, "popularity", "clicks").mean == 0
    assert figures.lead(entries, "oracle by watch time", "hours").mean == pytest.approx(1)
    between = figures.gap(entries, "DNN", "deep", "clicks")
    assert between.value == pytest.approx((-10 / 3_000 + 50 / 3_200 - 40 / 3_200) / 3)
    assert between.low < 0 < between.high
    with pytest.raises(ValueError, match="name is 'MF'"):
        figures.share(entries, "MF", "clicks")


def test_tables_and_picture():
    entries = made_up()
    table = figures.ranking_table(entries)
    assert list(table.index) == [
        "oracle by clicks", "oracle by watch time", "DNN", "deep", "popularity",
    ]  # fmt: skip
    assert table.loc["DNN", "clicks, thousands"].startswith("2.1 (")
    assert table.loc["popularity", "of the learnable"] == "0"
    assert table.loc["oracle by clicks", "of the oracle's"] == "1"
    hours = figures.ranking_table(entries, "hours")
    assert hours.index[0] == "oracle by watch time"
    assert hours.loc["DNN", "hours, thousands"].startswith("3.1 (")
    assert set(figures.catalogue_table(entries).index) == set(entries)
    below = figures.next_below_table(entries)
    verdicts = {(row["above"], row["below"]): row.iloc[-1] for _, row in below.iterrows()}
    assert verdicts["DNN", "deep"] == "cannot be told apart"
    assert verdicts["deep", "popularity"] == "more"
    picture = figures.leaderboard_figure(entries)
    assert "DNN 2.1 and 3.1" in picture.alt and "oracle by clicks 3.1 and 4.0" in picture.alt
    mine = figures.own_table(entries, "my_module:mine", entries["deep"])
    column = mine["yours less this one"]
    assert column["my_module:mine"] == "" and column["deep"].startswith("+0.000")
    assert set(figures.COLOURS) == set(lab.CHAPTERS.values())


def test_settings_come_from_the_records():
    settings = run.chosen_settings()
    assert settings["DNN"] == read_record("ch00/simulated")["figures"]["settings"]["DNN"]
    worlds = read_record("ch03/simulated")["figures"]["worlds"]
    epochs = [world["epochs"]["NeuMF"] for world in worlds]
    assert min(epochs) <= settings["NeuMF"]["epochs"] <= max(epochs)
    assert all(isinstance(s.get("epochs", 1), int) for s in settings.values())
    wide = read_record("ch05/simulated")["figures"]["settings"]["wide & deep"]
    assert settings["wide & deep"] == wide
    heads = read_record("ch04/simulated")["figures"]["heads"]
    assert settings["funnel by watch time"]["lr"] == heads["watch time"]["lr"]
    assert settings["funnel by clicks"]["lr"] == heads["click"]["lr"]
    assert list(lab.makers(settings)) == list(lab.CHAPTERS)
