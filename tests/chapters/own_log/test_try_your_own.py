"""The reader's own log from file to report."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from recsys_book import try_your_own
from recsys_book.chapters.own_log import lab as own_log
from recsys_book.service import simulate
from recsys_book.show.intervals import bootstrap_interval, paired_bootstrap, t_interval


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A log of the simulated service as a reader would have it, and its titles."""
    folder = tmp_path_factory.mktemp("own")
    world = simulate(120, 60, days=14)
    log = world.log[world.log.clicked]
    frame = pd.DataFrame(
        {
            "person": [f"p{u}" for u in log.user.tolist()],
            "film": log.film.numpy() + 1_000,
            "at": pd.to_datetime(log.time.numpy() + 1_700_000_000, unit="s"),
            "stars": np.arange(len(log)) % 5 + 1,
        }
    )
    frame.to_csv(folder / "log.csv", index=False)
    titles = pd.DataFrame({"film": np.arange(60) + 1_000, "title": world.titles})
    titles.loc[:, "title"] += " <&>"  # what HTML would stumble over
    titles.to_csv(folder / "films.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(own_log, "EPOCHS", 2)
    one = {name: options[:1] for name, options in own_log.SETTINGS.items()}
    monkeypatch.setattr(own_log, "SETTINGS", one)


def run(folder, *more):
    report = folder / "report.html"
    names = ["--user", "person", "--item", "film", "--report", str(report)]
    return try_your_own.main([str(folder / "log.csv"), *names, *more]), report


def test_from_file_to_report(files, capsys):
    status, report = run(files, "--time", "at", "--titles", str(files / "films.csv"))
    assert status == 0
    printed = capsys.readouterr().out
    for name in own_log.SETTINGS:
        assert name in printed
    assert "each user's last interaction to test" in printed and "near " in printed
    text = report.read_text(encoding="utf-8")
    assert text.count("<h3>User p") == 5 and "&lt;&amp;&gt;" in text and "<&>" not in text
    assert not re.search(r"(src|href)=['\"]?http", text)  # nothing behind it
    assert "<img alt='NDCG@10 of Popularity 0." in text
    assert not list(files.glob("*.partial"))
    assert text.count('class: "rb-widget rb-explorer"') == 1 and "A map of your items" in text
    assert '"name": "group"' not in text


def test_the_map_is_coloured_by_the_group_where_one_is_named(files):
    titles = pd.read_csv(files / "films.csv")
    titles["kind"] = ["drama|crime", "comedy", None] * 20
    titles.to_csv(files / "kinds.csv", index=False)
    more = ["--titles", str(files / "kinds.csv"), "--titles-group", "kind"]
    status, report = run(files, *more)
    text = report.read_text(encoding="utf-8")
    assert status == 0 and '"labels": ["comedy", "drama", "none"]' in text
    assert "drama, crime, " in text and "neighbour purity" in text


def test_too_few_items_for_a_map_are_told_apart(files):
    from recsys_book.data import Interactions

    log = Interactions.from_csv(files / "log.csv", user="person", item="film", time="at")
    few = log[log.item < 15]
    trial = own_log.try_log(few, core=1, say=lambda text: None)
    assert trial.items is None
    assert "A map of your items" not in try_your_own.as_html(trial, "few")


def test_a_map_that_cannot_be_made_does_not_cost_the_report(files, monkeypatch):
    def fail(*a, **k):
        raise ValueError("snapshots contains points that are all the same")

    monkeypatch.setattr(try_your_own, "items_explorer", fail)
    status, report = run(files)
    text = report.read_text(encoding="utf-8")
    assert (
        status == 0 and "There is no map: snapshots contains" in text and "How the models" in text
    )


def test_odd_titles_and_many_groups(files):
    titles = pd.DataFrame({"film": np.arange(60) + 1_000})
    odd = [
        '"quoted", with comma',
        "two\nlines",
        "</script><script>alert(1)</script>",
        "😀",
        None,
        " ",
    ]
    titles["title"] = [odd[i % 6] if i < 12 else "x" * 200 for i in range(60)]
    titles["kind"] = [f"kind {i}" if i % 2 else "|" for i in range(60)]
    titles.to_csv(files / "odd.csv", index=False)
    more = ["--titles", str(files / "odd.csv"), "--titles-group", "kind"]
    status, report = run(files, *more)
    text = report.read_text(encoding="utf-8")
    assert status == 0 and "<script>alert" not in text and text.count("</script>") == 1
    assert '"other"' in text  # more kinds than can be told apart


@pytest.mark.parametrize("name", ["log.csv", "films.csv"])
def test_the_report_never_takes_the_place_of_what_was_read(files, capsys, name):
    before = (files / name).read_bytes()
    arguments = ["--user", "person", "--item", "film", "--titles", str(files / "films.csv")]
    status = try_your_own.main([str(files / "log.csv"), *arguments, "--report", str(files / name)])
    assert status == 2 and "--report is" in capsys.readouterr().err
    assert (files / name).read_bytes() == before


def test_a_report_that_has_no_folder_is_refused_before_the_work(files, capsys):
    names = ["--user", "person", "--item", "film", "--report", str(files / "no" / "r.html")]
    assert try_your_own.main([str(files / "log.csv"), *names]) == 2
    told = capsys.readouterr().err
    assert "its folder does not exist" in told and "Popularity" not in told


def test_an_unknown_group_is_shared_with_nobody():
    from recsys_book.chapters.own_log.figures import items_explorer

    generator = torch.Generator().manual_seed(0)
    snapshots = [torch.randn(24, 4, generator=generator) for _ in range(2)]
    items = own_log.ItemVectors(
        snapshots, list(range(24)), [f"t{i}" for i in range(24)], list(range(1, 25))
    )
    for unknown in ("", "|", " "):
        assert "purity" not in items_explorer(items, [unknown] * 24).captions[0]
    half = items_explorer(items, ["", "A|"] * 12).captions[0]
    assert "random pairs 0.24" in half  # 12 · 11 of 24 · 23 pairs
    spaced = items_explorer(items, ["A | B", "B|C "] * 12)
    assert "random pairs 1.00" in spaced.captions[0]
    assert spaced.details[0] == "A, B, 1 interactions"


def test_titles_are_taken_as_they_stand(files):
    titles = pd.DataFrame({"film": np.arange(60) + 1_000, "title": [f"{i:03}" for i in range(60)]})
    titles.loc[0, "title"], titles.loc[1, "title"] = "NA", "null"
    titles.to_csv(files / "numbers.csv", index=False)
    status, report = run(files, "--titles", str(files / "numbers.csv"))
    text = report.read_text(encoding="utf-8")
    assert status == 0 and '"007"' in text and "7.0" not in text.split("const state")[1][:4_000]
    assert '"NA"' in text and '"null"' in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"film": ["x1", "x2"], "title": ["a", "b"]},
            "none of its ids (such as 'x1') is in the log",
        ),
        ({"film": [], "title": []}, "has no rows"),
        ({"film": [1_000, 1_000], "title": ["a", "b"]}, "item 1000 twice, with 'a' and 'b'"),
    ],
)
def test_titles_of_another_log_or_twice_are_refused(files, capsys, rows, message):
    pd.DataFrame(rows).to_csv(files / "bad.csv", index=False)
    status, _ = run(files, "--titles", str(files / "bad.csv"))
    assert status == 2 and message in capsys.readouterr().err


def test_without_times_and_with_a_lowest_rating(files, capsys):
    status, _ = run(files, "--rating", "stars", "--min-rating", "2", "--core", "2", "--k", "5")
    printed = capsys.readouterr().out
    assert status == 0 and "No times" in printed and "HR@5" in printed


def test_the_examples_recommend_what_the_user_does_not_know(files):
    from recsys_book.data import Interactions

    log = Interactions.from_csv(files / "log.csv", user="person", item="film", time="at")
    trial = own_log.try_log(log, say=lambda text: None)
    known = {}
    for user, item in zip(
        trial.log.user_vocabulary.name(trial.log.user),
        trial.log.item_vocabulary.name(trial.log.item),
        strict=True,
    ):
        known.setdefault(user, set()).add(str(item))
    assert len(trial.examples) == 5 and len({e.n_known for e in trial.examples}) > 2
    for example in trial.examples:
        assert len(example.items) == 5
        for _, nearest in example.items:
            assert set(nearest) <= known[example.user]
    popular = trial.rows[0]
    assert popular.model == "Popularity" and popular.above_popularity.mean == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--user", "who"], "user names column 'who'"),
        (["--sep", ";"], "its separator seems to be ',', not ';'"),
        (["--encoding", "utf-16"], "is not text in utf-16"),
        (["--time", "person"], "time column 'person' holds 'p0' in row 1"),
        (["--min-rating", "3"], "--min-rating needs --rating"),
        (["--core", "500"], "nothing is left"),
        (["--core", "0"], "core is 0"),
        (["--k", "60"], "ranking to 60 needs more than 60"),
        (["--k", "0"], "k is 0"),
        (["--titles", "nowhere.csv"], "nowhere.csv"),
        (["--titles-group", "kind"], "--titles-group needs --titles"),
    ],
)
def test_a_log_it_cannot_use_is_one_clear_line_and_the_old_report_stays(
    files, capsys, more, message
):
    (files / "report.html").write_text("the last good one")
    status, report = run(files, *more)
    told = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and message in told[-1] and told[-1].startswith("try_your_own: ")
    assert report.read_text() == "the last good one"


def test_a_paired_bootstrap_keeps_the_users_together():
    random = np.random.RandomState(0)
    hard = 10 * random.standard_normal(200)  # what both models have in common
    a, b = hard + 0.3 + 0.1 * random.standard_normal(200), hard
    paired = paired_bootstrap(a, b, draws=400)
    assert paired.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert 0.25 < paired.low < paired.mean < paired.high < 0.32
    # Bootstrapping each alone would never see so small a difference.
    assert bootstrap_interval(a, draws=400).high - bootstrap_interval(a, draws=400).low > 1
    # With many users it is the paired t-interval, near enough.
    classic = t_interval(a - b)
    assert (paired.low, paired.high) == pytest.approx((classic.low, classic.high), abs=0.003)
    assert paired == bootstrap_interval(a - b, draws=400)
    assert paired_bootstrap(a, b, draws=400, seed=1) != paired
    with pytest.raises(ValueError, match="a has 200 figures and b 199"):
        paired_bootstrap(a, b[1:])
    with pytest.raises(ValueError, match="must be finite"):
        paired_bootstrap([1.0, float("nan")], [1.0, 1.0])
