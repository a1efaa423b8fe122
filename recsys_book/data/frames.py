"""Columns of tables: every one checked, every complaint with the column and the first bad row."""

from __future__ import annotations

import numbers
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import shown
from recsys_book.reading.tables import A_FRAME, Origin, whole_numbers

#: Beyond it a float stands for several whole numbers.
_EXACT = 2**53


def check_columns(
    df: pd.DataFrame,
    columns: Mapping[str, str | None],
    name: str = "df",
    allow_empty: bool = False,
) -> None:
    """Raise unless every named column is there once, and (unless allowed) at least one row."""
    if not isinstance(df, pd.DataFrame):
        raise ValueError(f"{name} is a {type(df).__name__}; it must be a pandas DataFrame")
    if df.columns.nlevels > 1:
        raise ValueError(f"{name} names its columns on {df.columns.nlevels} levels; it must be one")
    for argument, column in columns.items():
        if column is None:
            continue
        times = list(df.columns).count(column)
        if times > 1:
            raise ValueError(f"{argument} names column {column!r}, which {name} has twice")
        if times == 0:
            there = ", ".join(shown(str(c)) for c in df.columns[:12])
            raise ValueError(f"{argument} names column {column!r}; {name} has the columns {there}")
    if len(df) == 0 and not allow_empty:
        raise ValueError(f"{name} holds no rows; there must be at least one interaction")


def factorize(
    column: pd.Series, argument: str, name: str, origin: Origin = A_FRAME
) -> tuple[Tensor, pd.Index]:
    """Ids `[M]` in the order of first appearance, and the names behind them.

    Names are all texts or all numbers, and no two of them may look the same. Those from a file lose
    the white space around them, and are whole numbers where each of them is one.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    _check_kinds(column, argument, name, origin)
    try:
        codes, names = pd.factorize(column)
    except TypeError as error:
        raise ValueError(
            f"{argument} column {name!r} holds what cannot be an id ({error}); "
            "ids are numbers or texts"
        ) from error
    names = pd.Index(names)
    blank = [i for i, id in enumerate(names) if isinstance(id, str) and not id.strip()]
    missing = np.isin(codes, [-1, *blank])
    if missing.any():
        raise ValueError(
            f"{argument} column {name!r} has no id in {origin.rows(missing)}; "
            "drop them, or give them an id"
        )
    _check_floats(names, codes, argument, name, origin)
    _check_look(names, codes, argument, name, origin)
    if len(names) == 1:
        raise ValueError(
            f"{argument} column {name!r} holds {shown(column.iloc[0])} in every row from "
            f"{origin.row(0)} on; "
            f"with a single {argument} there is nothing to tell apart"
        )
    if origin.lines is not None and not pd.api.types.is_integer_dtype(names.dtype):
        texts = [text.strip() for text in names]
        whole = whole_numbers(texts)
        names = pd.Index(texts if whole is None else whole)
    return torch.from_numpy(codes.astype(np.int64)), names


def _check_kinds(column: pd.Series, argument: str, name: str, origin: Origin) -> None:
    """Texts and numbers side by side: 7 and "7" would be two, and where the numbers were texts
    before, "007" has become 7 among them."""
    if column.dtype != object:
        return
    types = column.map(type)[~column.isna()]
    kind_of = {t: _kind(t) for t in types.unique()}
    if len(set(kind_of.values())) < 2:
        return
    kinds = types.map(kind_of).reset_index(drop=True)
    rows = np.flatnonzero(~column.isna().to_numpy(dtype=bool))
    a, b = rows[0], rows[int(np.argmax((kinds != kinds.iloc[0]).to_numpy()))]
    raise ValueError(
        f"{argument} column {name!r} holds {shown(column.iloc[a])} in {origin.row(int(a))}, a "
        f"{_kind(type(column.iloc[a]))}, and {shown(column.iloc[b])} in {origin.row(int(b))}, a "
        f"{_kind(type(column.iloc[b]))}: the same id could stand there twice; make all of them "
        f"texts where the table is read, such as by dtype={{{name!r}: str}}"
    )


def _kind(type_: type) -> str:
    if issubclass(type_, str):
        return "text"
    if issubclass(type_, (bool, np.bool_)):
        return "truth value"
    return "number" if issubclass(type_, numbers.Number) else type_.__name__


def _check_floats(
    names: pd.Index, codes: np.ndarray, argument: str, name: str, origin: Origin
) -> None:
    """Whole numbers that were floats on the way may have become one another."""
    if names.dtype != object and not pd.api.types.is_float_dtype(names.dtype):
        return
    for i, id in enumerate(names):
        if isinstance(id, (float, np.floating)) and not abs(id) < _EXACT:
            raise ValueError(
                f"{argument} column {name!r} holds {shown(id)} in "
                f"{origin.rows(codes == i)}, a float so large that it stands for several whole "
                f"numbers; read the column as text, such as by dtype={{{name!r}: str}}"
            )


def _check_look(
    names: pd.Index, codes: np.ndarray, argument: str, name: str, origin: Origin
) -> None:
    """Two names that a person reads as one: "ann" and "ann ", or é written in two ways."""
    if pd.api.types.is_numeric_dtype(names.dtype):
        return
    seen: dict[str, int] = {}
    for i, id in enumerate(names):
        if not isinstance(id, str):
            continue
        looks = id.strip()
        if not looks.isascii():
            looks = unicodedata.normalize("NFC", looks).strip("\u200b\ufeff")
        if seen.setdefault(looks, i) != i:
            j = seen[looks]
            a, b = (origin.row(int(np.argmax(codes == k))) for k in (j, i))
            raise ValueError(
                f"{argument} column {name!r} holds {names[j]!a} in {a} and {id!a} in "
                f"{b}, which look the same (white space, or a letter in another Unicode form); "
                "write one id in one way"
            )


def to_numbers(column: pd.Series, argument: str, name: str, origin: Origin = A_FRAME) -> Tensor:
    """`[M]` float64."""
    if column.dtype.kind in "cMm":  # complex, or times, which would become nanoseconds
        raise ValueError(f"{argument} column {name!r} is {column.dtype}; it must hold numbers")
    try:
        values = pd.to_numeric(column, errors="coerce")
        numbers_ = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except TypeError as error:  # such as lists
        raise ValueError(
            f"{argument} column {name!r} holds what are no numbers ({error})"
        ) from error
    bad = ~np.isfinite(numbers_)
    if bad.any():
        value = shown(column.iloc[int(np.argmax(bad))])
        raise ValueError(
            f"{argument} column {name!r} holds {value} in {origin.rows(bad)}; it must hold numbers"
        )
    return torch.from_numpy(numbers_.copy())


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
        ValueError: no columns, a column that is missing or there twice or holds texts beside
            numbers, decoders of another number of columns.
    """
    if len(columns) == 0:
        raise ValueError("columns is empty; there must be at least one field")
    check_columns(df, {f"columns[{i}]": name for i, name in enumerate(columns)}, allow_empty=True)
    for f, name in enumerate(columns):
        _check_kinds(df[name], f"columns[{f}]", name, A_FRAME)
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
