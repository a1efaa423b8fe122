"""Times of a log: numbers as they are, dates in whatever form the whole column has.

Nothing depends on the reader's language, on a library's guess from the first row, or on a range of
years: a date is taken apart here. Where days and months cannot be told apart by the whole column,
01/02/2026 is the second of January, and 01.02.2026 the first of February.
"""

from __future__ import annotations

import calendar
import math
import numbers
import re
from array import array
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import shown
from recsys_book.reading.tables import A_FRAME, Origin

_LONGEST_CLOCK = 2**62
_BAD = -(2**63)  # stands for "cannot be read like this"
_DAY = 86_400


def to_times(
    column: pd.Series, name: str, origin: Origin = A_FRAME
) -> tuple[Tensor, Tensor | None]:
    """When each row happened.

    Args:
        column: `[M]` numbers, which keep their own unit, or dates, which become seconds since 1970
            (UTC where no zone is said). Texts may be either.
        name: of the column.
        origin: of the rows.

    Returns:
        whole units `[M]` int64, rounded down, and what they leave out `[M]` float64, from 0 to
        below 1; None where they leave out nothing.

    Raises:
        ValueError: a value that is missing or cannot be read, or dates of more than one form: it
            names the first row that differs from most.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.PeriodDtype):
        column, dtype = column.dt.to_timestamp(), np.dtype("datetime64[ns]")
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _of_dates(column, name, origin)
    if pd.api.types.is_timedelta64_dtype(dtype):
        _refuse_missing(column, name, origin)
        return _of_ticks(column.to_numpy())
    if pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_float_dtype(dtype):
        return _of_numbers(column, name, origin)
    return _of_objects(column, name, origin)


def _of_dates(column: pd.Series, name: str, origin: Origin) -> tuple[Tensor, Tensor | None]:
    _refuse_missing(column, name, origin)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return _of_ticks(column.to_numpy())


def _of_ticks(ticks: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """datetime64 or timedelta64 of any unit."""
    seconds = ticks.astype(f"{ticks.dtype.kind}8[s]")  # rounds down
    # Below zero timedelta64 rounds towards it.
    rest = (ticks - seconds.astype(ticks.dtype)) / np.timedelta64(1, "s")
    whole = seconds.astype(np.int64) + np.floor(rest).astype(np.int64)
    return _whole_and_rest(whole, rest - np.floor(rest))


def _of_numbers(column: pd.Series, name: str, origin: Origin) -> tuple[Tensor, Tensor | None]:
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        values = column.to_numpy(dtype=np.uint64 if column.dtype.kind == "u" else np.int64)
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        _refuse(~np.isfinite(values), column, name, origin, "; it must hold numbers")
    # Python compares whole numbers of any size exactly; a uint64 has no negative.
    too_long = (values > _LONGEST_CLOCK) | (values < -float(_LONGEST_CLOCK))
    _refuse(too_long, column, name, origin, "; no clock runs that long")
    _refuse_two_units(values, column, name, origin)
    if values.dtype.kind in "iu":
        return torch.from_numpy(values.astype(np.int64)), None
    whole = np.floor(values)
    return _whole_and_rest(whole.astype(np.int64), values - whole)


def _refuse_two_units(values: np.ndarray, column: pd.Series, name: str, origin: Origin) -> None:
    """Of clocks that count from 1970, seconds beside milliseconds, and so on, order nothing."""
    unit = np.full(len(values), -1)
    for i, per_second in enumerate((1, 1e3, 1e6, 1e9)):  # from the years 1973 to 2286
        unit[(values >= 1e8 * per_second) & (values < 1e10 * per_second)] = i
    counts = np.bincount(unit[unit >= 0], minlength=4)
    if (unit >= 0).all() and (counts > 0).sum() > 1:
        most = int(np.argmax(counts))
        example = int(np.argmax(unit == most))
        rule = f", of another unit than {shown(column.iloc[example])} in {origin.row(example)}"
        _refuse(unit != most, column, name, origin, f"{rule}; use one unit throughout")


def _whole_and_rest(whole: np.ndarray, rest: np.ndarray) -> tuple[Tensor, Tensor | None]:
    return torch.from_numpy(whole), torch.from_numpy(rest) if rest.any() else None


def _refuse_missing(column: pd.Series, name: str, origin: Origin) -> None:
    rule = ", which does not read as a date"
    _refuse(column.isna().to_numpy(dtype=bool), column, name, origin, rule)


def _refuse(bad: np.ndarray, column: pd.Series, name: str, origin: Origin, rule: str) -> None:
    if bad.any():
        value = column.iloc[int(np.argmax(bad))]
        if isinstance(value, str) and not value.strip():
            rule = ", which is no time; drop such rows, or give them a time"
        where = origin.rows(bad)
        raise ValueError(f"time column {name!r} holds {shown(value)} in {where}{rule}")


# ---------------------------------------------------------------- texts and other objects


def _of_objects(column: pd.Series, name: str, origin: Origin) -> tuple[Tensor, Tensor | None]:
    missing = column.isna().to_numpy(dtype=bool)
    try:
        codes, values = pd.factorize(column[~missing])
    except TypeError as error:
        raise ValueError(f"time column {name!r} holds what is no time ({error})") from error
    read = _Readings()
    for value in values:
        read.add(value)
    forms = np.full(len(column), -1)
    forms[~missing] = np.frombuffer(read.form, dtype=np.int8)[codes]
    # The form of most rows; of the first row among equals.
    counts = np.bincount(forms[forms >= 0], minlength=1)
    first = [int(np.argmax(forms == f)) for f in range(len(counts))]
    form = max(range(len(counts)), key=lambda f: (counts[f], -first[f]))
    known = list(read.forms)
    if counts[form] == 0:
        _refuse(np.ones(len(column), dtype=bool), column, name, origin, _ONE_FORM)
    if (forms != form).any():
        example = f"{_ONE_FORM}, as {shown(column.iloc[first[form]])} does in {{}}"
        rule = example.format(origin.row(first[form]))
        _refuse(forms != form, column, name, origin, rule)
    seconds = [np.frombuffer(s, dtype=np.int64)[codes] for s in read.seconds]
    fits = [s != _BAD for s in seconds]
    orders = _ORDERS.get(known[form][0], _ONE_ORDER)
    good = [i for i in range(len(orders)) if fits[i].all()]
    if not good:
        best = max(range(len(orders)), key=lambda i: int(fits[i].sum()))
        other = np.flatnonzero(fits[best])
        rule = f", which is no date or time{orders[best]}"
        if len(other):
            rule += f"; {shown(column.iloc[other[0]])} in {origin.row(int(other[0]))} is one"
        _refuse(~fits[best], column, name, origin, rule)
    if len(good) > 1 and known[form][0] in _REFUSED_IF_AMBIGUOUS:
        ways = " and ".join(orders[i].split(", ")[1] for i in good)
        rule = f"; this column can be read {ways}; write years with four digits"
        _refuse(np.ones(len(column), dtype=bool), column, name, origin, rule)
    whole = seconds[good[0]]
    if known[form] == ("number",):
        _refuse_two_units(whole, column, name, origin)
    too_long = (whole > _LONGEST_CLOCK) | (whole < -_LONGEST_CLOCK)
    _refuse(too_long, column, name, origin, "; no clock runs that long")
    return _whole_and_rest(whole.copy(), np.frombuffer(read.rest, dtype=np.float64)[codes])


_ONE_FORM = (
    ", which does not read as a date like the others; use numbers or one form of date throughout, "
    "such as 2026-11-24 09:30"
)
_ONE_ORDER = ("",)
#: What the three numbers of a date may be, the preferred order first.
_ORDERS = {
    "n/n/yyyy": (", month first", ", day first"),
    "n-n-yyyy": (", month first", ", day first"),
    "n.n.yyyy": (", day first", ", month first"),
    "n/n/yy": (", month first", ", day first", ", year first"),
    "n-n-yy": (", month first", ", day first", ", year first"),
    "n.n.yy": (", day first", ", month first", ", year first"),
}
_REFUSED_IF_AMBIGUOUS = ("n/n/yy", "n-n-yy", "n.n.yy")

_TIME = (
    r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d{1,18}))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?"
)
_ZONE = r"(?:\s*(?P<zone>z|utc|gmt|[+-]\d\d(?::?\d\d)?)(?:\s+utc|\s*\(\w+\))?)"
_CLOCK = rf"(?:(?:t|\s+|,\s*|:){_TIME}{_ZONE}?)?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_NAME = r"(?P<month>[a-z]{3,9})\.?"
_DATES = {
    "yyyy-n-n": rf"(?P<y>\d{{4}})(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<d>\d{{1,2}}){_CLOCK}",
    "yyyy-n": r"(?P<y>\d{4})(?P<s>[-/])(?P<m>\d{1,2})",
    "yyyynndd": r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)t(?P<H>\d\d):?(?P<M>\d\d):?(?P<S>\d\d)"
    rf"(?:[.,](?P<f>\d{{1,18}}))?{_ZONE}?",
    "n-n-y": rf"(?P<d>\d{{1,2}})(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<y>\d{{4}}|\d\d){_CLOCK}",
    "day name year": rf"{_WEEKDAY}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?P<s>\s*[-/. ]\s*){_NAME}"
    rf"[-/., ]\s*(?P<y>\d{{4}}|\d\d){_CLOCK}",
    "name day year": rf"{_WEEKDAY}{_NAME}[-/. ]\s*(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[-/., ]\s*"
    rf"(?P<y>\d{{4}}){_CLOCK}",
    "year name day": rf"(?P<y>\d{{4}})(?P<s>[-/. ]){_NAME}(?P=s)(?P<d>\d{{1,2}}){_CLOCK}",
    "name day clock year": rf"{_WEEKDAY}{_NAME}\s+(?P<d>\d{{1,2}})\s+{_TIME}{_ZONE}?"
    r"\s+(?P<y>\d{4})",
}
_PATTERNS = {kind: re.compile(form, re.IGNORECASE | re.ASCII) for kind, form in _DATES.items()}
_USUAL = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{{1,18}}))?{_ZONE}?", re.I | re.A
)
_NUMBER = re.compile(r"([+-]?\d+)(?:\.(\d*))?|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.I | re.A)
_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name: i for i, name in enumerate(_MONTHS.split(), 1)}
_MONTH |= {name[:3]: i for name, i in _MONTH.items()} | {"sept": 9}


class _Readings:
    """What each value may mean: its form, and its second under each order of day and month."""

    def __init__(self) -> None:
        self.forms: dict[tuple, int] = {}
        self.form = array("b")  # −1 for what is no time at all
        self.seconds = array("q"), array("q"), array("q")
        self.rest = array("d")
        self._last = next(iter(_PATTERNS))

    def add(self, value: object) -> None:
        form, seconds, rest = self._read(value)
        if form is not None and len(self.forms) == 100 and form not in self.forms:
            form = None
        self.form.append(-1 if form is None else self.forms.setdefault(form, len(self.forms)))
        for i, column in enumerate(self.seconds):
            column.append(seconds[i] if i < len(seconds) else _BAD)
        self.rest.append(rest)

    def _read(self, value: object) -> tuple[tuple | None, tuple[int, ...], float]:
        if isinstance(value, str):
            return self._of_text(value.strip())
        if isinstance(value, np.datetime64):
            value = pd.Timestamp(value)
        if isinstance(value, datetime):
            return _of_datetime(value)
        if isinstance(value, date):
            return ("date",), (calendar.timegm(value.timetuple()),), 0.0
        if isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, (bool, np.bool_)):
            return _of_number(value)
        return None, (), 0.0

    def _of_text(self, text: str) -> tuple[tuple | None, tuple[int, ...], float]:
        number = _NUMBER.fullmatch(text)
        if number is not None:
            if number[1] is None:
                return _of_number(float(text))
            rest = float(f".{number[2] or 0}")
            whole = _bounded(int(number[1]) if len(number[1]) < 40 else 10**40)
            if number[1][0] == "-" and rest:
                whole, rest = whole - 1, 1 - rest
            return ("number",), (whole,), rest
        found = _USUAL.fullmatch(text)
        if found is not None:  # no other way than below, only quicker
            day, clock, tail, zone = found.groups()
            days, time = _days(day[:4], int(day[5:7]), int(day[8:])), _usual_clock(clock, zone)
            second = _BAD if days is None or time is None else days * _DAY + time
            form = ("yyyy-n-n", "-", True, zone is not None, False)
            return form, (second,), float(f".{tail}") if tail else 0.0
        # Most columns have one form: the last one that fitted is tried first.
        for kind in (self._last, *_PATTERNS):
            found = _PATTERNS[kind].fullmatch(text)
            if found is not None:
                self._last = kind
                return _of_match(kind, found)
        return None, (), 0.0


def _bounded(number: int) -> int:
    return max(-_LONGEST_CLOCK - 1, min(_LONGEST_CLOCK + 1, number))


def _of_number(number) -> tuple[tuple | None, tuple[int, ...], float]:
    if not np.isfinite(float(number)):
        return None, (), 0.0
    whole = math.floor(number)
    return ("number",), (_bounded(whole),), float(number - whole)


def _of_datetime(value: datetime) -> tuple[tuple | None, tuple[int, ...], float]:
    aware = value.tzinfo is not None
    try:
        utc = value.astimezone(UTC) if aware else value
    except OverflowError:  # the first day of the year 1 east of Greenwich
        return ("datetime", aware), (_BAD,), 0.0
    rest = value.microsecond / 1e6 + getattr(value, "nanosecond", 0) / 1e9
    return ("datetime", aware), (calendar.timegm(utc.timetuple()),), rest


def _of_match(kind: str, found: re.Match) -> tuple[tuple | None, tuple[int, ...], float]:
    parts = found.groupdict()
    year, clock = parts["y"], parts.get("H") is not None
    if kind == "n-n-y":
        kind = f"n{parts['s']}n{parts['s']}{'y' * len(year)}"
    elif "name" in kind:
        kind += f" of {len(year)} digits"
        if parts["month"].lower() not in _MONTH:
            return None, (), 0.0
    told = parts.get("zone") is not None, parts.get("half") is not None
    form = (kind, parts.get("s", "").strip(), clock, *told)
    time = _seconds_of_day(parts) if clock else 0
    day = int(parts.get("d") or 1)
    if kind in _ORDERS:
        month = int(parts["m"])
        dates = {
            ", month first": (year, day, month),
            ", day first": (year, month, day),
            ", year first": (f"{day:02}", month, int(year)),
        }
        days = [_days(*dates[order]) for order in _ORDERS[kind]]
    else:
        month = int(parts["m"]) if "m" in parts else _MONTH[parts["month"].lower()]
        days = [_days(year, month, day)]
    seconds = tuple(_BAD if time is None or d is None else d * _DAY + time for d in days)
    return form, seconds, float(f".{parts['f']}") if parts.get("f") else 0.0


@lru_cache(maxsize=100_000)
def _days(year: str, month: int, day: int) -> int | None:
    """Days since 1970; a year of two digits is one from 1969 to 2068."""
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= 69 else 2000
    try:
        return date(number, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None


@lru_cache(maxsize=100_000)
def _usual_clock(clock: str, zone: str | None) -> int | None:
    hour, minute, second = clock.split(":")
    return _seconds_of_day({"H": hour, "M": minute, "S": second, "zone": zone})


def _seconds_of_day(parts: dict[str, str | None]) -> int | None:
    """Seconds since midnight in Greenwich, which a zone may bring below 0 or beyond a day."""
    hour, minute, second = int(parts["H"] or 0), int(parts["M"] or 0), int(parts["S"] or 0)
    half = parts.get("half")
    if hour > (12 if half else 23) or minute > 59 or second > 59 or (half and hour == 0):
        return None
    if half:
        hour = hour % 12 + (12 if half in "pP" else 0)
    zone, offset = parts.get("zone") or "", 0
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "").ljust(4, "0")
        if int(digits[:2]) > 23 or int(digits[2:]) > 59:
            return None
        offset = (int(digits[:2]) * 3_600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)
    return hour * 3_600 + minute * 60 + second - offset
