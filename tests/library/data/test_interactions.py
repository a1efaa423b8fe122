"""Interactions: from frames and files of a reader's own, and what does not fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_book.data import (
    Interactions,
    Vocabulary,
    at_random,
    by_time,
    encode_fields,
    k_core,
    leave_any_out,
    leave_last_out,
    load,
)
from recsys_book.data.fetch import DataUnavailable


def test_interactions_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="item contains 9; ids must run from 0 to 3"):
        Interactions(torch.tensor([0]), torch.tensor([9]), n_users=2, n_items=4)
    with pytest.raises(ValueError, match="item has shape"):
        Interactions(torch.tensor([0, 1]), torch.tensor([0]), n_users=2, n_items=4)
    big = torch.tensor([2**24, 2**24 + 1])
    kept = Interactions(big, torch.tensor([0, 1]), n_users=2**25, n_items=2)
    assert kept.user.unique().numel() == 2  # float32 would have merged them


LOG = pd.DataFrame(
    {
        "who": ["ann", "bob", "ann", "bob", "cy", "ann"],
        "what": [10, 10, 20, 30, 20, 10],
        "when": [
            "2026-01-05",
            "2026-01-02",
            "2026-01-03",
            "2026-01-04",
            "2026-01-06",
            "2026-01-01",
        ],
        "stars": [5, 4, 3, 2, 1, 0.5],
    }
)
ALL = {"user": "who", "item": "what", "time": "when", "rating": "stars"}


def test_from_frame_numbers_names_and_keeps_the_earliest_of_repeats():
    log = Interactions.from_frame(LOG, **ALL)
    assert log.user.tolist() == [1, 0, 1, 2, 0]  # the first row, ann's later 10, is left out
    assert log.item_vocabulary.name(log.item).tolist() == [10, 20, 30, 20, 10]
    assert log.user_vocabulary.ids(["cy", "ann"]).tolist() == [2, 0]
    assert log.rating.tolist() == [4, 3, 2, 1, 0.5]
    assert log.weight.tolist() == [1, 1, 1, 1, 2]
    assert log.n_repeats == 1 and "1 repeats of a pair left out" in str(log)
    day = pd.Timestamp("2026-01-02").timestamp()
    assert int(log.time[0]) == day and log.time.dtype == torch.int64


def test_repeats_can_stay_and_without_times_the_first_row_counts():
    assert len(Interactions.from_frame(LOG, **ALL, repeats="all")) == 6
    log = Interactions.from_frame(LOG, user="who", item="what", rating="stars")
    assert log.rating.tolist() == [5, 4, 3, 2, 1] and log.time is None
    with pytest.raises(ValueError, match="repeats is 'last'"):
        Interactions.from_frame(LOG, **ALL, repeats="last")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9)), min_size=1))
def test_without_repeats_equals_a_loop(rows):
    user, item, time = (torch.tensor(c) for c in zip(*rows, strict=True))
    once = Interactions(user, item, 4, 5, time=time).without_repeats()
    first = {}
    for r, (u, i, t) in enumerate(rows):
        if (u, i) not in first or t < rows[first[u, i]][2]:
            first[u, i] = r
    kept = sorted(first.values())
    assert once.keys().tolist() == [rows[r][0] * 5 + rows[r][1] for r in kept]
    assert once.time.tolist() == [rows[r][2] for r in kept]
    assert once.weight.sum() == len(rows)


@pytest.mark.parametrize(
    ("change", "names", "message"),
    [
        ({}, {"user": "user_id"}, r"user names column 'user_id'; df has the columns 'who', 'what'"),
        (
            {"who": ["a", None, "b", None, "c", "d"]},
            {},
            r"'who' has no id in row 2 \(2 such",
        ),
        ({"what": [1.0, 2, np.nan, 4, 5, 6]}, {}, r"item column 'what' has no id in row 3"),
        ({"when": ["2026-01-01"] * 3 + ["soon"] * 3}, {}, r"'when' holds 'soon' in row 4 \(3 such"),
        ({"when": [1, 2, 3, "x", 5, 6]}, {}, r"time column 'when' holds 'x' in row 4"),
        ({"when": [1, 2, 3, np.inf, 5, 6]}, {}, r"time column 'when' holds inf in row 4"),
        ({"when": [None] * 6}, {}, r"time column 'when' holds None in row 1"),
        ({"stars": [1, 2, "three", 4, 5, 6]}, {}, r"rating column 'stars' holds 'three' in row 3"),
        ({"when": [1e30, 2, 3, 4, 5, 6]}, {}, r"'when' holds 1e\+30 in row 1 .* no clock"),
        ({"who": ["a", "b", "", "c", "", "d"]}, {}, r"'who' has no id in row 3 \(2 such"),
        ({}, {"item": "who"}, r"user and item both name column 'who'"),
        ({"who": ["me"] * 6}, {}, r"user column 'who' holds 'me' in every row from row 1"),
        ({"what": [7] * 6}, {}, r"item column 'what' holds 7 in every row from row 1"),
    ],
)
def test_bad_frames_name_the_column_and_the_first_bad_row(change, names, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_frame(LOG.assign(**change), **(ALL | names))


def test_what_is_no_frame_or_names_a_column_twice():
    with pytest.raises(ValueError, match="df is a list; it must be a pandas DataFrame"):
        Interactions.from_frame([1, 2], user="who", item="what")
    twice = pd.concat([LOG, LOG[["who"]]], axis=1)
    with pytest.raises(ValueError, match="user names column 'who', which df has twice"):
        Interactions.from_frame(twice, **ALL)


def test_separators_of_several_characters(tmp_path):
    path = tmp_path / "log.dat"
    path.write_text("who::what\na::1\nb::2\n")
    assert len(Interactions.from_csv(path, user="who", item="what", sep="::")) == 2


def test_days_come_first_where_only_that_can_be():
    dates = ["13/01/2020", "01/02/2020", "03/04/2020", "05/06/2020", "06/06/2020", "07/06/2020"]
    log = Interactions.from_frame(LOG.assign(when=dates), **ALL)
    assert int(log.time.min()) == pd.Timestamp("2020-01-13").timestamp()


def test_an_empty_log():
    with pytest.raises(ValueError, match="df holds no rows"):
        Interactions.from_frame(LOG.iloc[:0], **ALL)


def test_from_csv_agrees_with_from_frame(tmp_path):
    path = tmp_path / "log.csv.gz"
    LOG.to_csv(path, index=False)
    a, b = Interactions.from_csv(path, **ALL), Interactions.from_frame(LOG, **ALL)
    for name in ("user", "item", "time", "rating", "weight"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    latin = tmp_path / "latin.csv"
    LOG.assign(who=["änn", "bob", "änn", "bob", "cy", "änn"]).to_csv(
        latin, index=False, sep=";", encoding="latin-1"
    )
    log = Interactions.from_csv(latin, **ALL, sep=";", encoding="latin-1")
    assert log.user_vocabulary.names.tolist() == ["änn", "bob", "cy"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"who;what;when;stars\na;1;2;3\n", "its separator seems to be ';', not ','"),
        (b"who\twhat\twhen\tstars\na\t1\t2\t3\n", r"its separator seems to be '\\t'"),
        ("who,what,when,stars\nä,1,2,3\n".encode("latin-1"), r"is not text in utf-8.*latin-1"),
        ("who,what,when,stars\na,1,2,3\n".encode("utf-16"), r"is not text in utf-8"),
        (b"", "is empty; it must hold a header"),
        (b"who,what,when,stars\n", "holds no rows"),
        (b"who,what,when\na,1,2\n", r"rating names column 'stars'; .* has the columns 'who'"),
        (b"who,what,when,stars\na,1,2,3\nb,2,3,4,5,6\n", "cannot be read as a table.*line 3"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Interactions.from_csv(path, **ALL)
    with pytest.raises(ValueError, match="encoding is 'klingon'"):
        Interactions.from_csv(path, **ALL, encoding="klingon")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("who,what\na,1\nb,2\n", encoding="utf-8-sig")
    assert len(Interactions.from_csv(path, user="who", item="what")) == 2


def test_ids_beyond_float32_and_text_ids_keep_apart():
    big = pd.DataFrame({"u": [2**24, 2**24 + 1, 2**53, 2**53 + 1], "i": list("abca")})
    log = Interactions.from_frame(big, user="u", item="i")
    assert log.n_users == 4
    assert log.user_vocabulary.names.tolist() == [2**24, 2**24 + 1, 2**53, 2**53 + 1]


def test_dates_with_zones_and_numbers():
    times = ["2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00Z"]
    df = pd.DataFrame({"u": [1, 2], "i": [1, 2], "t": times})
    log = Interactions.from_frame(df, user="u", item="i", time="t")
    assert log.time.diff().tolist() == [7_200]
    log = Interactions.from_frame(df.assign(t=[7.9, 3]), user="u", item="i", time="t")
    assert log.time.tolist() == [7, 3]


def test_vocabulary_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="contains 'a' twice"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(ValueError, match="contains 'z', which is none of the 2 known"):
        Vocabulary(["a", "b"]).ids(["b", "z"])
    with pytest.raises(ValueError, match="ids contains 2"):
        Vocabulary(["a", "b"]).name(torch.tensor([2]))


def test_encode_fields_keeps_zero_for_the_unseen():
    df = pd.DataFrame({"city": ["b", "a", None, "b"], "year": [2020, 2021, 2020, 2022]})
    ids, cardinalities, decoders = encode_fields(df, ["city", "year"])
    assert ids.tolist() == [[1, 1], [2, 2], [0, 1], [1, 3]] and ids.dtype == torch.int64
    assert cardinalities == [3, 4] and decoders[0].tolist() == [None, "b", "a"]
    new = pd.DataFrame({"year": [2022, 1999], "city": ["c", "a"]})
    again = encode_fields(new, ["city", "year"], decoders)
    assert again.ids.tolist() == [[0, 3], [2, 0]] and again.cardinalities == [3, 4]
    with pytest.raises(ValueError, match="decoders has 2 entries for 1 columns"):
        encode_fields(new, ["city"], decoders)
    with pytest.raises(ValueError, match=r"columns\[1\] names column 'x'"):
        encode_fields(new, ["city", "x"])
    with pytest.raises(ValueError, match="columns is empty"):
        encode_fields(new, [])


@st.composite
def logs(draw):
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 30)),
            min_size=12, max_size=60, unique_by=lambda r: r[:2],
        )
    )  # fmt: skip
    user, item, time = (torch.tensor(c) for c in zip(*rows, strict=True))
    return Interactions(user, item, 4, 7, time=time)


def disjoint_and_whole(log, split):
    keys = [set(part.keys().tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(len(k) for k in keys) == len(log) == len(set().union(*keys))
    assert set(split.train_and_validation.keys().tolist()) == keys[0] | keys[1]


@pytest.mark.filterwarnings("ignore:times do not tell")
@settings(max_examples=60, deadline=None)
@given(logs())
def test_leave_last_out_holds_out_each_users_latest(log):
    try:
        split = leave_last_out(log)
    except ValueError:
        assert int(log.user_counts().max()) < 3 or len(log.time.unique()) == 1
        return
    disjoint_and_whole(log, split)
    assert split.n_users_without_test == int((log.user_counts() < 3).sum())
    for u in range(4):
        latest = [p.time[p.user == u] for p in (split.train, split.validation, split.test)]
        if int(log.user_counts()[u]) >= 3:
            assert len(latest[1]) == len(latest[2]) == 1
            assert latest[0].max() <= latest[1].min() <= latest[2].min()
        else:
            assert len(latest[1]) == len(latest[2]) == 0


@settings(max_examples=60, deadline=None)
@given(logs())
def test_by_time_never_puts_the_future_before_the_past(log):
    try:
        split = by_time(log, 0.2, 0.2)
    except ValueError:
        # Nothing may stand in the way but too few rows, or one second on both sides of a cut.
        times, n = log.time.sort().values, len(log)
        n_test, n_held = round(n * 0.2), round(n * 0.4)
        if n_test >= 1 and n_held > n_test:
            validation_from, test_from = times[n - n_held], times[n - n_test]
            assert validation_from == test_from or validation_from == times[0]
        return
    disjoint_and_whole(log, split)
    assert split.train.time.max() < split.validation.time.min()
    assert split.validation.time.max() < split.test.time.min()


def test_random_splits_repeat_with_the_seed():
    log = Interactions(torch.arange(100) % 10, torch.arange(100) % 13, 10, 13)
    a, b, c = at_random(log, seed=1), at_random(log, seed=1), at_random(log, seed=2)
    assert (len(a.train), len(a.validation), len(a.test)) == (80, 10, 10)
    assert torch.equal(a.test.keys(), b.test.keys())
    assert not torch.equal(a.test.keys(), c.test.keys())
    one = leave_any_out(log, seed=3)
    assert one.test.user_counts().tolist() == [1] * 10 == one.validation.user_counts().tolist()
    assert len(one.train) == 80 and one.train.time is None


def test_splits_refuse():
    log = Interactions(torch.tensor([0, 1]), torch.tensor([0, 1]), 2, 3)
    for cut in (leave_last_out, by_time):
        with pytest.raises(ValueError, match="interactions have no time"):
            cut(log)
    with pytest.raises(ValueError, match="nobody with three"):
        leave_any_out(log)
    with pytest.raises(ValueError, match="a part would be empty"):
        at_random(log)
    with pytest.raises(ValueError, match=r"validation is 0\.6 and test 0\.5"):
        at_random(log, 0.6, 0.5)
    together = Interactions(*[torch.arange(20)] * 2, 20, 20, time=torch.zeros(20).long())
    with pytest.raises(ValueError, match="train would be empty"):
        by_time(together)


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_the_largest_core(log, k_user, k_item):
    pairs = set(log.keys().tolist())
    while True:  # the slow way
        users, items = [k // 7 for k in pairs], [k % 7 for k in pairs]
        left = {k for k in pairs if users.count(k // 7) >= k_user and items.count(k % 7) >= k_item}
        if left == pairs:
            break
        pairs = left
    if not pairs:
        with pytest.raises(ValueError, match="nothing is left"):
            k_core(log, k_user, k_item)
        return
    core, report = k_core(log, k_user, k_item)
    old = torch.from_numpy(core.user_vocabulary.name(core.user)) * 7
    old += torch.from_numpy(core.item_vocabulary.name(core.item))
    assert set(old.tolist()) == pairs
    assert int(core.user_counts().min()) >= k_user and int(core.item_counts().min()) >= k_item
    assert report.n_interactions == len(log) - len(pairs)
    assert f"{report.n_interactions:,} interactions" in str(report)


def test_k_core_needs_rounds_and_keeps_names():
    df = pd.DataFrame({"u": list("aabbbc"), "i": [1, 2, 1, 2, 3, 3]})
    core, report = k_core(Interactions.from_frame(df, user="u", item="i"), 2, 2)
    assert report.rounds == 2  # c goes, then film 3
    assert (report.n_users, report.n_items, report.n_interactions) == (1, 1, 2)
    assert core.user_vocabulary.names.tolist() == ["a", "b"]
    assert core.item_vocabulary.names.tolist() == [1, 2]


def test_ml_latest_small_as_published():
    try:
        films = load("ml-latest-small", download=False)
    except DataUnavailable as reason:
        pytest.skip(str(reason)[:90])
    r = films.ratings
    assert (len(r), r.n_users, r.n_items) == (100_836, 610, 9_742)
    assert len(r.item.unique()) == 9_724 and len(r.without_repeats()) == len(r)
    assert films.titles[0] == "Toy Story (1995)" and films.years[0] == 1995
    assert films.genres[0][0] == "Adventure" and sum(len(g) == 0 for g in films.genres) == 34
    assert r.item_vocabulary.ids([1, 2]).tolist() == [0, 1] and len(films.tags) == 3_683
    assert float(r.rating.min()) == 0.5 and float(r.rating.max()) == 5


def test_a_small_archive_goes_the_common_way(tmp_path, monkeypatch):
    import hashlib
    import zipfile

    from recsys_book.data import fetch, ml_latest_small

    contents = {
        "ratings.csv": "userId,movieId,rating,timestamp\r\n1,5,4.0,100\r\n2,9,3.5,90\r\n",
        "movies.csv": "movieId,title,genres\r\n5,A (1999),Drama|War\r\n7,B,(no genres listed)\r\n"
        "9,C (2001),Comedy\r\n",
        "tags.csv": "userId,movieId,tag,timestamp\r\n2,9,fun,95\r\n",
    }
    known = {k: hashlib.sha256(v.encode()).hexdigest() for k, v in contents.items()}
    monkeypatch.setattr(ml_latest_small, "_SHA256", known)
    folder = tmp_path / "ml-latest-small"
    folder.mkdir()
    monkeypatch.setenv(fetch.MIRROR_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fetch.pooch, "os_cache", lambda name: tmp_path / "cache")
    archive = folder / "ml-latest-small.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, text in contents.items():
            made.writestr(f"ml-latest-small/{name}", text)
    films = ml_latest_small.load_ml_latest_small(download=False)
    assert films.ratings.item.tolist() == [0, 2] and films.ratings.n_items == 3
    assert films.genres == [("Drama", "War"), (), ("Comedy",)]
    assert films.years == [1999, None, 2001] and films.tags["user"].tolist() == [1]
    monkeypatch.setattr(ml_latest_small, "_SHA256", known | {"tags.csv": "0" * 64})
    with pytest.raises(ValueError, match=r"is altered: tags\.csv"):
        ml_latest_small.load_ml_latest_small(download=False)
