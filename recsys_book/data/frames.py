"""Reading tables: every column checked, every complaint with the column and the first bad row."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def read_csv(
    path: str | PathLike,
    columns: Mapping[str, str | None],
    *,
    sep: str,
    encoding: str,
    as_text: bool = False,
) -> pd.DataFrame:
    """The named columns of a file with one header line.

    Args:
        path: the file.
        columns: argument → name of its column; None for those not asked for.
        sep: separator.
        encoding: of the text.
        as_text: read every value as it stands there, "007" and "NA" too; nothing is missing then,
            only "".

    Raises:
        ValueError: another encoding or separator, a missing column, an empty or ragged file.
    """
    wanted = list(dict.fromkeys(name for name in columns.values() if name is not None))
    # "-sig" also swallows the mark that spreadsheets write at the start of UTF-8 files.
    codec = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    # pandas takes a separator of several characters for a regular expression.
    how = {"sep": sep} if len(sep) == 1 else {"sep": re.escape(sep), "engine": "python"}
    try:
        header = pd.read_csv(path, encoding=codec, nrows=0, **how)
        check_columns(header, columns, path, sep, allow_empty=True)
        # All columns are read: with some left out pandas would not see that a row has one too many.
        if as_text:
            how |= {"dtype": str, "keep_default_na": False}
        return pd.read_csv(path, encoding=codec, **how)[wanted]
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not text in {encoding} ({error}); name its encoding, such as "
            "encoding='latin-1' or 'utf-16'"
        ) from error
    except LookupError as error:
        raise ValueError(f"encoding is {encoding!r}; Python knows no such encoding") from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty; it must hold a header line and rows") from error
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} cannot be read as a table: {error}".strip()) from error


def check_columns(
    df: pd.DataFrame,
    columns: Mapping[str, str | None],
    path: str | PathLike = "df",
    sep: str | None = None,
    allow_empty: bool = False,
) -> None:
    """Raise unless every named column is there once, and (unless allowed) at least one row."""
    if not isinstance(df, pd.DataFrame):
        raise ValueError(f"df is a {type(df).__name__}; it must be a pandas DataFrame")
    for argument, name in columns.items():
        if name is None:
            continue
        if name in df.columns:
            if list(df.columns).count(name) > 1:
                raise ValueError(f"{argument} names column {name!r}, which {path} has twice")
            continue
        there = ", ".join(repr(str(c)) for c in df.columns[:12])
        hint = _other_separator(df, sep, [c for c in columns.values() if c is not None])
        raise ValueError(f"{argument} names column {name!r}; {path} has the columns {there}{hint}")
    if len(df) == 0 and not allow_empty:
        raise ValueError(f"{path} holds no rows; there must be at least one interaction")


def _other_separator(df: pd.DataFrame, sep: str | None, wanted: Sequence[str]) -> str:
    if sep is None or len(df.columns) > 1:
        return ""
    line = str(df.columns[0])
    for other in (",", ";", "\t", "|", "::"):
        parts = line.split(other) if len(other) > 1 else next(csv.reader([line], delimiter=other))
        if other != sep and set(wanted) <= set(parts):
            return f"; its separator seems to be {other!r}, not {sep!r}: say sep={other!r}"
    return ""


def factorize(column: pd.Series, argument: str, name: str) -> tuple[Tensor, pd.Index]:
    """Ids `[M]` in the order of first appearance, and the names behind them."""
    codes, names = pd.factorize(column)
    missing = codes < 0
    if "" in names:  # an empty text is no id either
        missing |= (column == "").to_numpy(dtype=bool, na_value=False)
    if missing.any():
        raise ValueError(
            f"{argument} column {name!r} has no id in row {_first(missing)} "
            f"({int(missing.sum()):,} such rows); drop them, or give them an id"
        )
    if len(names) == 1:
        raise ValueError(
            f"{argument} column {name!r} holds {_shown(column)} in every row from row 1 on; "
            f"with a single {argument} there is nothing to tell apart"
        )
    return torch.from_numpy(codes.astype(np.int64)), pd.Index(names)


def to_numbers(column: pd.Series, argument: str, name: str) -> Tensor:
    """`[M]` float64."""
    values = pd.to_numeric(column, errors="coerce")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(numbers)
    if bad.any():
        raise ValueError(
            f"{argument} column {name!r} holds {_shown(column, _first(bad))} in row "
            f"{_first(bad)} ({int(bad.sum()):,} such rows); it must hold numbers"
        )
    return torch.from_numpy(numbers.copy())


def to_seconds(column: pd.Series, name: str) -> Tensor:
    """`[M]` int64: numbers as they are, dates as seconds since 1970 (UTC where no zone is said)."""
    numbers = pd.to_numeric(column, errors="coerce") if _not_a_date(column) else None
    if numbers is not None and (numbers.notna().any() or column.isna().all()):
        seconds = to_numbers(column, "time", name)
        bad = (seconds.abs() > 2**62).numpy()
        if bad.any():
            raise ValueError(
                f"time column {name!r} holds {_shown(column, _first(bad))} in row {_first(bad)} "
                f"({int(bad.sum()):,} such rows); no clock runs that long"
            )
        return seconds.floor().long()
    with warnings.catch_warnings():
        # pandas reads the form of dates off the first one. Where it cannot, it would guess row by
        # row, days and months in either order: that is refused.
        warnings.filterwarnings("error", message="Could not infer format")
        warnings.filterwarnings("ignore", message="Parsing dates in")  # day first, as it should
        try:
            dates = pd.to_datetime(column, errors="coerce", utc=True)
            bad = dates.isna().to_numpy()
        except UserWarning:
            bad = np.ones(len(column), dtype=bool)
    if bad.any():
        raise ValueError(
            f"time column {name!r} holds {_shown(column, _first(bad))} in row {_first(bad)} "
            f"({int(bad.sum()):,} such rows), which does not read as a date; "
            "use numbers or one form of date throughout, such as 2026-11-24 09:30"
        )
    seconds = dates.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return torch.from_numpy(seconds)


def _not_a_date(column: pd.Series) -> bool:
    return not pd.api.types.is_datetime64_any_dtype(column.dtype)


def _first(bad: np.ndarray) -> int:
    """Row of the first True, counted from 1."""
    return int(np.argmax(bad)) + 1


def _shown(column: pd.Series, row: int = 1) -> str:
    """The value in a row, counted from 1, as a reader would write it."""
    value = column.iloc[row - 1]
    return repr(value.item() if isinstance(value, np.generic) else value)


class EncodedFields(NamedTuple):
    """What `encode_fields` gives.

    Attributes:
        ids: `[B, F]` int64; each column counts from 0 within itself, and 0 is "unseen".
        cardinalities: F, how many ids each column has, 0 included.
        decoders: F arrays; `decoders[f][id]` is the value behind an id, None behind 0.
    """

    ids: Tensor
    cardinalities: list[int]
    decoders: list[np.ndarray]


def encode_fields(
    df: pd.DataFrame, columns: Sequence[str], decoders: Sequence[np.ndarray] | None = None
) -> EncodedFields:
    """Categorical columns as ids for field models.

    Args:
        df: one row an example.
        columns: F names.
        decoders: those of an earlier call, to encode new rows as the old ones were: values that
            had not been seen then become 0. None makes new ones, from the values in df, in order
            of first appearance. A missing value is 0 in either case.

    Raises:
        ValueError: no columns, a column that is missing, decoders of another number of columns.
    """
    if len(columns) == 0:
        raise ValueError("columns is empty; there must be at least one field")
    check_columns(df, {f"columns[{i}]": name for i, name in enumerate(columns)}, allow_empty=True)
    if decoders is None:
        decoders = []
        for name in columns:
            values = pd.unique(df[name].dropna()).tolist()
            decoder = np.empty(1 + len(values), dtype=object)
            decoder[1:] = values
            decoders.append(decoder)
    if len(decoders) != len(columns):
        raise ValueError(f"decoders has {len(decoders)} entries for {len(columns)} columns")
    ids = np.zeros((len(df), len(columns)), dtype=np.int64)
    for f, (name, decoder) in enumerate(zip(columns, decoders, strict=True)):
        known = pd.Index(decoder[1:].tolist())
        ids[:, f] = known.get_indexer(pd.Index(df[name].tolist())) + 1  # −1, not found, becomes 0
    return EncodedFields(torch.from_numpy(ids), [len(d) for d in decoders], list(decoders))
