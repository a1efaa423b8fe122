"""Logs as they come: odd rows, names, times, dates and packing, each read as it stands or refused
in one line that says where."""

import bz2
import datetime
import gzip
import io
import lzma
import re
import sys
import tarfile
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from recsys_book import try_your_own
from recsys_book.chapters.own_log import lab as own_log
from recsys_book.data import Interactions, by_time, encode_fields, leave_last_out
from recsys_book.data.fetch import read_member
from recsys_book.data.next_watch import histories_at, next_watch


@pytest.fixture
def read(tmp_path):
    """Writes a text and reads it as a log."""

    def read(text, name="log.csv", **how):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return Interactions.from_csv(path, **({"user": "who", "item": "what"} | how))

    return read


def pairs(log):
    users, items = log.user_vocabulary.name(log.user), log.item_vocabulary.name(log.item)
    return list(zip(users.tolist(), items.tolist(), strict=True))


def refused(read, message, *what, **how):
    """The one line that the error is."""
    with pytest.raises(ValueError, match=message) as caught:
        read(*what, **how)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000
    return str(caught.value)


SEPARATORS = [",", ";", "\t", "|", "::"]


@pytest.mark.parametrize("sep", SEPARATORS)
@pytest.mark.parametrize("ends", [("", "x"), ("x", ""), ("x", "x"), ("", "xx")])
def test_a_separator_at_the_end_of_every_row_or_of_the_header_opens_no_column(read, sep, ends):
    header, row = (end.replace("x", sep) for end in ends)
    rows = [f"who{sep}what{sep}when{header}", f"a{sep}1{sep}30{row}", f"b{sep}2{sep}20{row}"]
    log = read("\n".join(rows), sep=sep, time="when")
    assert pairs(log) == [("a", 1), ("b", 2)] and log.time.tolist() == [30, 20]


@pytest.mark.parametrize("sep", SEPARATORS)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["a-1-30-", "b-2-20"],
            "row 2, line 3 has 3 cells; .* .* has 4 cells, the last",
        ),
        (["a-1-30", "b-2-20-"], "row 2, line 3 has 4 cells, the last of them empty; the header"),
        (["a-1-30-", "b-2-20-9"], "row 2, line 3 has 4 cells; the header names 3 columns"),
        (["a-1-30-9", "b-2-20-9"], "row 1, line 2 has 4 cells"),
        (["a-1-30", "b-2"], "row 2, line 3 has 2 cells; the header names 3 columns"),
        (["a-1", "b-2"], "row 1, line 2 has 2 cells"),
        (["a-1-30", "# and so on"], "row 2, line 3 has 1 cell;"),
    ],
)
def test_a_row_of_another_length_is_named(read, sep, rows, message):
    text = "\n".join(["who-what-when", *rows]).replace("-", sep)
    refused(read, f"cannot be read as a table: {message}", text, sep=sep)


def test_a_column_that_stands_twice_is_refused_if_it_is_asked_for(read):
    refused(read, "item names column 'what', which .* has twice", "who,what,x,what\n1,2,3,4\n")
    refused(read, "which .* has twice", "who,what, what\n1,2,3\n")  # white space is no difference
    rows = "1,2,3,4\n2,3,4,5\n"
    assert pairs(read(f"who,what,x,x\n{rows}")) == [(1, 2), (2, 3)]
    assert pairs(read(f"who,what,What,x\n{rows}")) == [(1, 2), (2, 3)]  # case is one


@pytest.mark.parametrize(
    "text",
    [
        "who,what\r\na,1\r\nb,2\r\n",
        "who,what\ra,1\rb,2",
        "\n\nwho,what\n\na,1\n   \nb,2\n\n",
        "who, what\na, 1\nb, 2\n",
        '"who","what"\n"a","1"\n"b","2"\n',
        "\ufeffwho,what\na,1\nb,2\n",
    ],
)
def test_line_ends_empty_lines_and_spaces_change_nothing(read, text):
    assert pairs(read(text)) == [("a", 1), ("b", 2)]
    assert pairs(read(text.encode("utf-16"), encoding="utf-16")) == [("a", 1), ("b", 2)]


def test_the_line_is_the_editors_own(read):
    text = '\nwho,what,note\n\na,1,"two\nlines"\n\n,2,x\n'
    refused(read, "user column 'who' has no id in row 2, line 7 of .*log.csv", text)
    refused(read, "row 3, line 4 has 1 cell", "who,what,note\na,1,x\nb,2,a\rb\n")


@pytest.mark.parametrize("sep", ["\t", ",", ";"])
def test_quotes_that_never_close_join_no_rows(read, sep):
    rows = [["who", "what", "name"], ["a", "1", '"strange al'], ["b", "2", "can"]]
    rows += [["a", "3", '"chiefs (live'], ["b", "4", "eno"]]
    text = "\n".join(sep.join(row) for row in rows)
    refused(read, "row 1, line 2 has a quote that does not open and close", text, sep=sep)
    log = read(text, sep=sep, item="name", quotes=False)
    assert log.item_vocabulary.names.tolist() == ['"strange al', "can", '"chiefs (live', "eno"]
    # Two stray quotes that look like one cell over two rows:
    text = text.replace('"chiefs (live', 'drill 12"')
    refused(read, "row 1, line 2 has a quote that closes only on line 4", text, sep=sep)
    refused(
        read, "row 4, line 5 has a quote", text.replace('"', "").replace("eno", '"eno'), sep=sep
    )
    endless = text.replace('drill 12"', "x" * 200_000)
    refused(read, "row 1, line 2 has a cell of more than 131,072 characters", endless, sep=sep)


def test_quotes_that_are_right(read):
    text = 'who,what\na,"one, two"\nb,"a ""b"""\nc,5" disc\nd,"over\ntwo lines"\n'
    names = read(text).item_vocabulary.names.tolist()
    assert names == ["one, two", 'a "b"', '5" disc', "over\ntwo lines"]
    refused(read, "row 1, line 2 has a quote", 'who,what\na,"strange" al\nb,2\n')


def items(read, *names, **how):
    rows = "".join(f"u{i % 2},{name}\n" for i, name in enumerate(names))
    return read(f"who,what\n{rows}", **how).item_vocabulary.names.tolist()


@pytest.mark.parametrize(
    "names",
    [
        ["007", "7", "07", "0007"],
        ["1.0", "1", "1e5", "100000", "1E5"],
        ["+5", "5", "-5", "1_0", "10"],
        ["NA", "null", "None", "nan", "NaN", "n/a", "N/A", "#N/A", "-", "NULL", "<NA>", "inf"],
        ["True", "true", "1", "False"],
        ["18446744073709551616", "18446744073709551617", "1"],
        ["١", "1"],
        ["ann", "Ann", "ANN"],
    ],
)
def test_names_are_taken_as_they_stand(read, names):
    assert items(read, *names) == names


def test_whole_numbers_stay_numbers_as_far_as_int64_goes(read):
    big = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0, -7]
    assert items(read, *big) == big
    assert items(read, *[f" {number} " for number in big]) == big


def test_a_word_late_in_a_long_file_splits_nobody(read):
    rows = [f"{n % 400},{n % 7}\n" for n in range(150_000)]
    log = read("who,what\n" + "".join([*rows, "guest,1\n", *rows[:400]]))
    assert log.n_users == 401 and set(map(type, log.user_vocabulary.names)) == {str}
    assert log.weight.sum() == 150_401


def test_an_empty_cell_is_what_is_missing(read):
    for cell in ("", '""', "  ", "\u00a0"):
        text = f"who,what,when\nNA,1,5\n{cell},2,6\n"
        refused(read, r"user column 'who' has no id in row 2, line 3 of .*\(1 such row\)", text)
    refused(read, "time column 'when' holds '' in row 1, line 2", "who,what,when\na,1,\nb,2,3\n",
            time="when")  # fmt: skip
    refused(read, "rating column 'n' holds 'NA' in row 2, line 3 of .*; it must hold numbers",
            "who,what,n\na,1,5\nb,2,NA\n", rating="n")  # fmt: skip


@pytest.mark.parametrize("other", ["7 ", " 7", "\u00a07", "7\t"])
def test_names_that_only_look_alike_are_neither_merged_nor_kept_apart(read, other):
    text = f"who|what\n7|1\n8|2\n{other}|3\n"
    refused(read, "'7' in row 1, line 2 of .* in row 3, line 4 of .*look the same", text, sep="|")


def test_letters_in_two_unicode_forms(read):
    text = "who,what\nRen\u00e9,1\nRene\u0301,2\n"
    assert r"Ren\xe9" in refused(read, "look the same", text)
    frame = pd.DataFrame({"who": ["Ren\u00e9", "Rene\u0301"], "what": [1, 2]})
    with pytest.raises(ValueError, match="in row 1 and .* in row 2, which look the same"):
        Interactions.from_frame(frame, user="who", item="what")


def framed(**columns):
    return Interactions.from_frame(pd.DataFrame(columns), user="u", item="i")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [7, 8, "7"],
            r"holds 7 in row 1, a number, and '7' in row 3, a text: .*'u': str",
        ),
        ([None, 1, True], "has no id in row 1|a truth value"),
        ([1, 2, True], "holds 1 in row 1, a number, and True in row 3, a truth value"),
        ([1.2e18, 1.0, 2.0], r"holds 1.2e\+18 in row 1 \(1 such row\), a float so large"),
        (["a", "b", " "], "has no id in row 3"),
        (["a", pd.NA, "b"], "has no id in row 2"),
        (["a", float("nan"), "b"], "has no id in row 2"),
        ([[1], [2], [3]], "holds what cannot be an id"),
    ],
)
def test_odd_ids_of_a_frame(ids, message):
    with pytest.raises(ValueError, match=message):
        framed(u=pd.Series(ids, dtype=float if type(ids[0]) is float else object), i=[1, 2, 3])


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_texts_of_every_kind_of_column(dtype):
    log = framed(u=pd.Series(["NA", "null", "NA", "007"], dtype=dtype), i=[1, 2, 3, 4])
    assert log.user_vocabulary.names.tolist() == ["NA", "null", "007"]
    assert log.user_vocabulary.ids(["007"]).tolist() == [2]


def test_nullable_numbers_and_columns_of_two_levels():
    log = framed(u=pd.Series([2**53 + 1, 2**53, 5], dtype="Int64"), i=[1, 2, 3])
    assert log.user_vocabulary.names.tolist() == [2**53 + 1, 2**53, 5]
    for odd in (pd.to_datetime(["2024-01-01"] * 2), [1j, 2j], ["1", "NA"]):
        frame = pd.DataFrame({"u": [1, 2], "i": [1, 2], "r": odd})
        with pytest.raises(ValueError, match="rating column 'r' .* must hold numbers"):
            Interactions.from_frame(frame, user="u", item="i", rating="r")
    with pytest.raises(ValueError, match="item is None"):
        Interactions.from_frame(pd.DataFrame({"u": [1, 2]}), user="u", item=None)
    two = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("u", "x"), ("i", "x")]))
    with pytest.raises(ValueError, match="names its columns on 2 levels"):
        Interactions.from_frame(two, user="u", item="i")


def test_fields_of_two_kinds_are_refused_too():
    with pytest.raises(ValueError, match=r"columns\[0\] column 'c' holds 'x' in row 1, a text"):
        encode_fields(pd.DataFrame({"c": ["x", 5, "5"]}), ["c"])
    ids = encode_fields(pd.DataFrame({"c": ["NA", None, "null", ""]}), ["c"]).ids
    assert ids.tolist() == [[1], [0], [2], [3]]


def at(read, *times, n_users=2, **how):
    """A log of one row a time; users take turns."""
    rows = "".join(f"u{i % n_users}|i{i}|{t}\n" for i, t in enumerate(times))
    return read(f"who|what|when\n{rows}", sep="|", time="when", **how)


NEWEST_FIRST = {
    "ISO, milliseconds": "2024-04-07T10:54:09.{:03}Z",
    "ISO, microseconds and a zone": "2024-04-07 10:54:09.000{:03}+02:00",
    "ISO, nanoseconds": "2024-04-07 10:54:09,000000{:03}",
    "seconds, microseconds": "1700000000.000{:03}",
    "seconds, nanoseconds": "1700000000.000000{:03}",
    "milliseconds": "1700000000{:03}",
    "nanoseconds": "1700000000000000{:03}",
    "before 1970": "1950-04-07T10:54:09.{:03}",
    "day first": "07.04.2024 10:54:09.{:03}",
    "a month's name": "Apr 7, 2024 10:54:09.{:03} PM",
}


@pytest.mark.parametrize("form", NEWEST_FIRST.values(), ids=NEWEST_FIRST)
def test_fractions_of_a_second_say_what_came_last(read, form):
    log = at(read, *[form.format(n) for n in (905, 904, 803, 802, 701, 700, 0, 1)])
    split = leave_last_out(log)
    assert set(pairs(split.test)) == {("u0", "i0"), ("u1", "i1")}
    assert set(pairs(split.validation)) == {("u0", "i2"), ("u1", "i3")}
    assert split.n_users_tied == 0
    later = by_time(log, 0.25, 0.25)
    assert set(pairs(later.test)) == {("u0", "i0"), ("u1", "i1")}
    examples = next_watch(log, 3)
    last = examples.history[examples.row == 0][0]
    assert last.tolist() == [2, 4, 6]  # the most recent first
    first = examples.history[examples.row == 6][0]
    assert first.tolist() == [8, 8, 8]


def test_seconds_stay_whole_and_fractions_stand_beside(read):
    log = at(read, "1700000000.25", "-0.25", "7", "1.5e3")
    assert log.time.tolist() == [1_700_000_000, -1, 7, 1_500]
    assert log.fraction.tolist() == [0.25, 0.75, 0, 0] and log.fraction.dtype == torch.float64
    assert log[log.time > 0].fraction.tolist() == [0.25, 0, 0]
    assert at(read, "5", "6").fraction is None
    frame = pd.DataFrame({"u": [1, 2], "i": [1, 2]})
    for unit in ("s", "ms", "us", "ns"):
        times = np.array(["1969-12-31T23:59:58.5", "2024-01-01T00:00:00"], dtype="M8[ns]")
        made = Interactions.from_frame(
            frame.assign(t=times.astype(f"M8[{unit}]")), user="u", item="i", time="t"
        )
        assert made.time.tolist() == [-2, 1_704_067_200]
        assert unit == "s" or made.fraction.tolist() == [0.5, 0]


def test_the_first_of_repeats_is_the_first_within_the_second(read):
    text = "who,what,when,stars\na,1,9.5,1\na,1,9.25,2\nb,2,9.125,3\n"
    log = read(text, time="when", rating="stars")
    assert log.rating.tolist() == [2, 3] and log.fraction.tolist() == [0.25, 0.125]


def test_histories_of_nanoseconds_do_not_overflow():
    ns = 1_700_000_000 * 10**9
    time = torch.tensor([ns + 5, 3, ns + 4, ns + 3])
    log = Interactions(torch.tensor([0, 4_999, 4_999, 0]), torch.arange(4), 5_000, 4, time=time)
    users, until = torch.tensor([0, 4_999, 4_999]), torch.tensor([ns + 5, ns + 9, 3])
    assert histories_at(log, users, until, 2).tolist() == [[3, 4], [2, 1], [4, 4]]


def test_times_that_do_not_order(read):
    for times in (["2024-05-20"] * 8, ["0"] * 8, ["2024-05-20T00:00:00.5"] * 8):
        log = at(read, *times)
        for cut in (leave_last_out, by_time):
            with pytest.raises(ValueError, match="all have one and the same time, which orders no"):
                cut(log)
    log = at(read, *["2024-05-20", "2024-05-21"] * 4)  # each user a day
    with pytest.warns(UserWarning, match="do not tell what came last for any of the 2 users"):
        split = leave_last_out(log)
    assert split.n_users_tied == 2 and "of 2 users the times do not tell" in str(split)
    with pytest.raises(ValueError, match="do not tell what came last for anybody"):
        own_log.try_log(log, core=1, k=2, say=lambda text: None)
    log = at(read, *[f"2024-05-{day}" for day in (20, 20, 21, 21, 22, 22, 23, 22)])
    split = leave_last_out(log)
    assert split.n_users_tied == 1 and set(pairs(split.test)) == {("u0", "i6"), ("u1", "i7")}


DATES = {
    "2024-05-20 2024-04-20 2024-06-01": "2024-05-20 2024-04-20 2024-06-01",
    "20-May-2024 20-Apr-2024 1-June-2024": "2024-05-20 2024-04-20 2024-06-01",
    "20-MAY-24 20-APR-24 01-JUN-24": "2024-05-20 2024-04-20 2024-06-01",
    "May-20-2024 Apr-20-2024 Sept-1-2024": "2024-05-20 2024-04-20 2024-09-01",
    "01/02/2024 03/04/2024 25/12/2024": "2024-02-01 2024-04-03 2024-12-25",
    "01/02/2024 03/04/2024 12/25/2024": "2024-01-02 2024-03-04 2024-12-25",
    "01/02/2024 03/04/2024 05/06/2024": "2024-01-02 2024-03-04 2024-05-06",
    "01.02.2024 03.04.2024 05.06.2024": "2024-02-01 2024-04-03 2024-06-05",
    "01.02.2024 03.04.2024 12.25.2024": "2024-01-02 2024-03-04 2024-12-25",
    "5/20/24 4/2/24 1/1/99": "2024-05-20 2024-04-02 1999-01-01",
    "99/05/31 98/05/30 99/01/02": "1999-05-31 1998-05-30 1999-01-02",
    "2024/05/20 2024/04/20 9999/12/31": "2024-05-20 2024-04-20 9999-12-31",
    "2024-05-20T00:00Z 2024-04-20T00:00:00Z 1500-01-01T05:30+0530": (
        "2024-05-20 2024-04-20 1500-01-01"
    ),
    "20240520T000000Z 20240420T000000Z 20240101T010000+01": "2024-05-20 2024-04-20 2024-01-01",
}


@pytest.mark.parametrize(("given", "meant"), DATES.items(), ids=DATES)
def test_dates_are_read_whenever_the_whole_column_has_one_form(read, given, meant):
    log = at(read, *given.split())
    assert log.time.tolist() == [int(np.datetime64(day, "s").astype(int)) for day in meant.split()]


@pytest.mark.parametrize(
    "times",
    [
        ["May 20, 2024 10:54 AM", "April 20, 2024 10:54 AM"],
        ["Mon, 20 May 2024 10:54:00 GMT", "Sat, 20 Apr 2024 12:54:00 +0200"],
        ["Mon May 20 10:54:00 2024", "Sat Apr 20 10:54:00 2024"],
        ["Mon May 20 10:54:00 +0000 2024", "Sat Apr 20 10:54:00 +0000 2024"],
        ["20/May/2024:10:54:00 +0000", "20/Apr/2024:10:54:00 +0000"],
        ["5/20/2024 10:54:00 AM", "4/20/2024 10:54:00 AM"],
        ["2024-05-20 10:54:00.000 UTC", "2024-04-20 10:54:00 UTC"],
        ["2024-05-20T10:54:00Z", "2024-04-20T10:54Z"],
        ["2024-5-20 10:54", "2024-04-20 10:54:00"],
    ],
)
def test_forms_of_date_and_time(read, times):
    expected = ["2024-05-20T10:54", "2024-04-20T10:54"]
    assert at(read, *times).time.tolist() == [
        int(np.datetime64(t, "s").astype(int)) for t in expected
    ]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("2024-01-01 2024/01/02 2024-01-03", "'2024/01/02' in row 2, line 3 of .*as '2024-01-01' "),
        (
            "13/01/2020 01/13/2020 02/02/2020",
            "'13/01/2020' in row 1, .*month first; '01/13/2020'",
        ),
        ("25-Dec-2024 2024-12-25 24-Dec-2024", "'2024-12-25' in row 2"),
        ("2024-02-30 2024-02-28 2024-02-29", "'2024-02-30' in row 1, .*which is no date"),
        ("2024-01-01T24:30 2024-01-01T23:30", "'2024-01-01T24:30' in row 1"),
        ("0000-00-00 2024-01-01 2024-01-02", "'0000-00-00' in row 1"),
        ("12024-01-01 2024-01-01 2024-01-02", "'12024-01-01' in row 1"),
        ("2024-01-01T10:00Z 2024-01-01T10:00 2024-01-01T10:00Z", "'2024-01-01T10:00' in row 2"),
        ("2024-01-01T10:00 2024-01-01 2024-01-02T10:00", "'2024-01-01' in row 2"),
        ("1700000000 1700000001 2024-01-01", "'2024-01-01' in row 3"),
        ("5/2/24 4/2/24", "can be read month first and day first and year first"),
        ("1 2 inf", "'inf' in row 3"),
        ("1 1_000 2", "'1_000' in row 2"),
        (f"1 2 {'9' * 30}", "in row 3, .*no clock runs that long"),
        (f"1 2 -{'9' * 5_000}", "in row 3, .*no clock runs that long"),
        (f"1 2 {'z' * 5_000}", r"z… \(5,002 characters\) in row 3"),
        ("soon later never", "'soon' in row 1, .*3 such rows"),
        ("1700000000 1700000001000 1700000002", "1700000001000 in row 2, .*of another unit than 1"),
        ("1.7e18 1700000000.5 1700000002.5", "'1.7e18' in row 1, .*of another unit than"),
    ],
)
def test_a_date_that_differs_is_named(read, times, message):
    refused(lambda *t: at(read, *t), f"time column 'when' holds .*{message}", *times.split())


def test_times_of_a_frame():
    def seconds(values, **how):
        frame = pd.DataFrame({"u": [1, 2], "i": [1, 2], "t": pd.Series(values, **how)})
        return Interactions.from_frame(frame, user="u", item="i", time="t").time.tolist()

    day = [86_400, 2 * 86_400]
    assert seconds([datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)]) == day
    assert seconds([datetime.datetime(1970, 1, 2), datetime.datetime(1970, 1, 3)]) == day
    assert seconds(pd.period_range("1970-01-02", periods=2, freq="D")) == day
    assert seconds(pd.to_timedelta([1, 2], unit="D")) == day
    assert seconds(pd.date_range("1970-01-01 19:00", periods=2, tz="US/Eastern")) == day
    assert seconds(["1970-01-02", "1970-01-03"], dtype="category") == day
    assert seconds([Decimal("1.5"), Decimal("-1.5")]) == [1, -2]
    assert seconds([2**53 + 1, 2**53], dtype="Int64") == [2**53 + 1, 2**53]
    for odd in ([True, False], [1j, 2j], [[1], [2]], [pd.NaT, pd.Timestamp(0)], [2**63, 1]):
        with pytest.raises(ValueError, match="time column 't' holds"):
            seconds(odd)


TEXT = "who,what\n" + "".join(f"u{n * 7919 % 613},{n * 104_729 % 991}\n" for n in range(4_000))


def zipped(*names, text=TEXT):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return packed.getvalue()


def tarred(kind):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{kind}") as archive:
        member = tarfile.TarInfo("log.csv")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT.encode()))
    return packed.getvalue()


PACKED = {
    "log.csv.gz": gzip.compress(TEXT.encode(), mtime=0),
    "log.csv.bz2": bz2.compress(TEXT.encode()),
    "log.csv.xz": lzma.compress(TEXT.encode()),
    "log.zip": zipped("folder/log.csv"),
    "log.tar.gz": tarred("gz"),
    "log.tar.bz2": tarred("bz2"),
    "log.tar.xz": tarred("xz"),
    "log.tar": tarred(""),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_whole_cut_short_and_damaged(read, name):
    plain, packed = read(TEXT), PACKED[name]
    log = read(packed, name)
    assert torch.equal(log.keys(), plain.keys())
    for n in (12, len(packed) // 3, len(packed) // 2):
        refused(read, f"{name} is (damaged|truncated)", packed[:n], name)
    if name == "log.tar":
        return  # has no checksum of what it holds
    for place in (len(packed) // 3, len(packed) // 2):
        damaged = bytearray(packed)
        damaged[place] ^= 0xFF
        refused(read, f"{name} is damaged", bytes(damaged), name)


def test_the_shadows_that_a_mac_packs_are_no_files(read):
    packed = zipped("folder/log.csv", "__MACOSX/folder/._log.csv")
    assert torch.equal(read(packed, "log.zip").keys(), read(TEXT).keys())


def flagged(packed, flag, method=None):
    """A zip whose member claims to have a password, or another method."""
    changed = bytearray(packed)
    for start, at in ((changed.find(b"PK\x03\x04"), 6), (changed.find(b"PK\x01\x02"), 8)):
        changed[start + at] |= flag
        changed[start + at + 2] = changed[start + at + 2] if method is None else method
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv.gz", b"", "is empty"),
        ("log.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("log.csv.gz", gzip.compress(TEXT.encode(), mtime=0) + b"junk", "is damaged"),
        ("log.csv.gz", TEXT.encode(), "misnamed: its name ends in .gz"),
        ("log.csv.xz", gzip.compress(TEXT.encode(), mtime=0), "misnamed: its name ends in .xz"),
        (
            "log.csv",
            gzip.compress(TEXT.encode(), mtime=0),
            "packed with gzip, which its name does not",
        ),
        ("log.xlsx", zipped("sheet.xml"), "is packed with zip, which .* if it is a spreadsheet"),
        ("log.zip", zipped("a.csv", "b.csv"), "holds 2 files .*'a.csv', 'b.csv'.*must hold one"),
        ("log.zip", zipped(), "holds 0 files"),
        ("log.zip", flagged(zipped("a.csv"), 1), "password"),
        ("log.zip", flagged(zipped("a.csv"), 0, 99), "compression method"),
        (
            "log.csv.gz",
            gzip.compress("who,what\nä,1\n".encode("latin-1"), mtime=0),
            "line 2 holds b'.xe4'",
        ),
        ("log.csv", TEXT.encode("utf-16-le"), "is not text in utf-8: it holds zero bytes"),
        ("log.csv", bytes(range(256)), "is not text in utf-8"),
        ("log.csv", b"\n \n", "is empty"),
        ("log.csv", b"who,what", "holds no rows"),
        ("log.csv", b"# made today\nwho,what\na,1\n", "has the columns '# made today'"),
    ],
)
def test_files_that_are_not_what_they_should_be(read, name, content, message):
    assert name in refused(read, message, content, name)


def test_a_mark_of_another_encoding_is_believed(read):
    text = "who,what\nä,1\nb,2\n".encode("utf-8-sig")
    refused(read, "begins with the mark of UTF-8; say encoding='utf-8'", text, encoding="latin-1")
    assert pairs(read(text, encoding="UTF_8")) == [("ä", 1), ("b", 2)]
    refused(read, "encoding is 'base64'", text, encoding="base64")


@pytest.mark.parametrize(
    ("name", "module"),
    [("log.csv.zst", "zstandard"), ("log.csv.xz", "lzma"), ("log.csv.bz2", "bz2")],
)
def test_a_codec_that_is_not_installed(read, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "compression", None)
    packed = PACKED.get(name, b"\x28\xb5\x2f\xfd" + bytes(20))
    refused(read, f"{name} is packed with .*cannot unpack.*unpack it", packed, name)


def test_zstd_where_it_is_installed(read):
    zstandard = pytest.importorskip("zstandard")
    packed, name = zstandard.compress(TEXT.encode()), "log.csv.zst"
    assert torch.equal(read(packed, name).keys(), read(TEXT).keys())
    head, tail = TEXT[:30_000].encode(), TEXT[30_000:].encode()
    two = zstandard.compress(head) + zstandard.compress(tail)
    assert torch.equal(read(two, name).keys(), read(TEXT).keys())
    for odd in (packed[:-100], packed[:9], packed + b"junk", packed[:50] + packed[60:]):
        refused(read, "is damaged", odd, name)


def test_paths_and_separators_that_are_none(tmp_path):
    names = {"user": "who", "item": "what"}
    with pytest.raises(ValueError, match="is a folder; it must be a file"):
        Interactions.from_csv(tmp_path, **names)
    with pytest.raises(ValueError, match="path is a StringIO"):
        Interactions.from_csv(io.StringIO(TEXT), **names)
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        Interactions.from_csv(tmp_path / "nowhere.csv", **names)
    with pytest.raises(ValueError, match="item is 5; in a file"):
        Interactions.from_csv(tmp_path / "log.csv", user="who", item=5)
    for sep in ("", '"', "\n"):
        with pytest.raises(ValueError, match="sep is"):
            Interactions.from_csv(tmp_path / "log.csv", **names, sep=sep)


def test_a_data_sets_archive_that_is_damaged_inside(tmp_path):
    archive = tmp_path / "a.zip"
    packed = zipped("a.csv")
    for odd in (flagged(packed, 1), flagged(packed, 0, 99), packed[:600] + b"?" + packed[601:]):
        archive.write_bytes(odd)
        with pytest.raises(ValueError, match="a.zip is truncated or altered"):
            read_member(archive, "a.csv")


COMMAND = [
    ("cut.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:2_000], "is damaged or cut short"),
    ("broken.zip", zipped("log.csv")[:-40], "is damaged or cut short"),
    ("cut.xz", lzma.compress(TEXT.encode())[:2_000], "is damaged or cut short"),
    ("cut.bz2", bz2.compress(TEXT.encode())[:2_000], "is damaged or cut short"),
    ("twice.csv", b"who,what,who\n1,2,3\n", "which .* has twice"),
    ("short.csv", b"who,what,x\na,1\n", "row 1, line 2 has 2 cells"),
    ("quote.csv", b'who,what\na,"1\nb,2\n', "row 1, line 2 has a quote"),
    ("empty.csv", b"", "is empty"),
    ("header.csv", b"who,what\n", "holds no rows"),
    ("folder.csv", None, "is a folder"),
    ("latin.csv", "who,what\nä,1\n".encode("latin-1"), "is not text in utf-8"),
    (
        "day.csv",
        b"who,what,when\n"
        + b"".join(b"u%d,i%d,2024-05-20\n" % (n % 9, n % 16) for n in range(144)),
        "times do not tell what came last for anybody",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), COMMAND, ids=[c[0] for c in COMMAND])
def test_the_command_says_one_line_and_ends_with_2(tmp_path, capsys, name, content, message):
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    arguments = [str(tmp_path / name), "--user", "who", "--item", "what"]
    arguments += ["--time", "when"] if name == "day.csv" else []
    report = tmp_path / "report.html"
    assert try_your_own.main([*arguments, "--report", str(report)]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and told[0].startswith("try_your_own: ") and not report.exists()
    assert re.search(message, told[0])
    assert name in told[0] or name == "day.csv"


def test_titles_belong_to_the_id_as_it_stands(tmp_path):
    (tmp_path / "titles.csv").write_text("what,title\n007,Zero\n7,Seven\nNA,Namibia\n 8,Eight\n")
    options = try_your_own._parser().parse_args(
        ["log.csv", "--user", "who", "--item", "what", "--titles", str(tmp_path / "titles.csv")]
    )
    assert try_your_own._titles(options, ",", [7, 8])[0][7] == "Seven"
    titles, _ = try_your_own._titles(options, ",", ["007", "7", "NA", "8"])
    assert titles == {"007": "Zero", "7": "Seven", "NA": "Namibia", "8": "Eight"}
