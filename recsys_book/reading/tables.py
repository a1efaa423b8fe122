"""Text files with one header line, cell by cell: nothing is guessed, shifted, dropped or merged.

A table reader that is meant for looking at data repairs what it meets: it fills short rows, takes a
first column too many for row names, reads 007 as 7 and NA as nothing, and joins lines between two
stray quotes. Each of these changes who met what. Here the cells are what stands in the file, and a
row that does not fit is an error with its line.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from recsys_book.arguments import shown
from recsys_book.reading.packed import DAMAGED, Stream, first_line, unpacked

#: zipfile says RuntimeError of a file with a password.
_DAMAGED: tuple[type[Exception], ...] = (*DAMAGED, RuntimeError)
_CHUNK = 1 << 16  # rows that are packed at once


@dataclass(frozen=True)
class Origin:
    """Where the rows of a frame come from, for messages.

    Attributes:
        name: of the file; "df" for a frame that was handed in.
        lines: `[M]` line of each row in the file, counted from 1; None where there is no file.
    """

    name: str = "df"
    lines: Sequence[int] | None = None

    def row(self, i: int) -> str:
        """Row `i`, counted from 0, as a person counts: from 1, and by the file's own lines."""
        place = "" if self.lines is None else f", line {self.lines[i]:,} of {self.name}"
        return f"row {i + 1}{place}"

    def rows(self, bad: np.ndarray) -> str:
        """The first True of `bad` `[M]`, and how many there are."""
        n = int(bad.sum())
        return f"{self.row(int(np.argmax(bad)))} ({n:,} such {'row' if n == 1 else 'rows'})"


#: Of a frame that was handed in.
A_FRAME = Origin()


def read_cells(
    path: str | PathLike,
    columns: Mapping[str, str | None],
    *,
    sep: str,
    encoding: str,
    quotes: bool = True,
    as_text: bool = False,
) -> tuple[pd.DataFrame, Origin]:
    """The named columns of a file with one header line.

    White space around a column's name is no part of it; case is. Empty lines are no rows. A
    separator at the end of *every* row, or at the end of the header, opens no column.

    Args:
        path: the file; packed by gzip, bzip2, xz, zip, zstd or tar if its name says so.
        columns: argument → name of its column; None for those not asked for.
        sep: separator.
        encoding: of the text.
        quotes: whether "…" holds a cell together, with "" for a quote inside. False takes every
            quote for a letter.
        as_text: keep whole numbers as text too.

    Returns:
        the columns, and where their rows stand. A column is int64 where each of its cells is a
        whole number in its usual form (7, not 007 or 7.0, so that nothing is lost), else text as it
        stands there; "" is an empty cell.

    Raises:
        ValueError: the file is empty, damaged, packed otherwise than its name says, in another
            encoding or with another separator, lacks a column or has it twice, or has a row of
            another length or a quote that does not close.
        OSError: it cannot be opened.
    """
    path = _checked(path, columns, sep, encoding, quotes)
    stream: BinaryIO
    try:
        with ExitStack() as open_files:
            stream = unpacked(path, open_files)
            try:
                text = _decoded(stream, encoding, path)
                return _read(_Records(text, path, sep, quotes, encoding), columns, as_text)
            except ValueError:
                # Damage shows in the checksum at the end, and may be why a row looked odd before.
                while stream.read(1 << 20):
                    pass
                raise
    except UnicodeError as error:
        raise ValueError(_not_text(path, encoding, _where(path, error))) from error
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged or cut short: {first_line(error)}") from error
    except OSError as error:
        if error.filename is not None:  # it names the file itself
            raise
        raise ValueError(f"{path} is damaged or cannot be read: {first_line(error)}") from error


def _checked(
    path: str | PathLike,
    columns: Mapping[str, str | None],
    sep: str,
    encoding: str,
    quotes: bool,
) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"path is a {type(path).__name__}; it must be the path of a file")
    if not isinstance(sep, str) or not sep or set(sep) & set("\r\n") or (quotes and '"' in sep):
        raise ValueError(f"sep is {sep!r}; it must be text without quotes and line ends")
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ValueError(f"encoding is {encoding!r}; Python knows no such encoding") from error
    for argument, name in columns.items():
        if name is not None and not isinstance(name, str):
            raise ValueError(f"{argument} is {name!r}; in a file, columns have texts for names")
    found = Path(path).expanduser()
    if found.is_dir():
        raise ValueError(f"{path} is a folder; it must be a file")
    return found


# ---------------------------------------------------------------- text


def _decoded(stream: Stream, encoding: str, path: Path) -> io.TextIOWrapper:
    utf8 = codecs.lookup(encoding).name == "utf-8"
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)
    if not utf8 and stream.peek(3)[:3] == codecs.BOM_UTF8:
        raise ValueError(
            f"{path} is not text in {encoding}: it begins with the mark of UTF-8; say "
            "encoding='utf-8'"
        )
    # "-sig" also swallows that mark, which spreadsheets write.
    try:
        return io.TextIOWrapper(stream, "utf-8-sig" if utf8 else encoding, newline="")
    except LookupError as error:  # "base64" and the like
        raise ValueError(f"encoding is {encoding!r}, which is none of text") from error


def _where(path: Path, error: UnicodeError) -> str:
    """The first line that is not UTF-8; of other encodings, what the decoder says."""
    if getattr(error, "encoding", None) != "utf-8" or not path.is_file():
        return f" ({error})"
    with ExitStack() as open_files:
        for number, line in enumerate(unpacked(path, open_files), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as bad:
                return f": line {number:,} holds {line[bad.start : bad.end]!r}"
    return f" ({error})"


def _not_text(path: Path, encoding: str, why: str) -> str:
    return (
        f"{path} is not text in {encoding}{why}; name its encoding, such as encoding='latin-1' "
        "or 'utf-16', or unpack it if it is packed"
    )


class _Records:
    """The records of a text: `(line, cells)`, lines counted from 1, empty lines left out."""

    def __init__(
        self, text: io.TextIOWrapper, path: Path, sep: str, quotes: bool, encoding: str
    ) -> None:
        self.text, self.path, self.sep, self.quotes = text, path, sep, quotes
        self.encoding = encoding

    def complain(self, row: int, line: int, what: str) -> ValueError:
        """An error about a record; the header is row 0."""
        place = f"row {row}, line {line:,}" if row else f"the header, line {line:,}"
        return ValueError(f"{self.path} cannot be read as a table: {place} {what}")

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        # A separator of several characters knows no quotes.
        return self._quoted() if len(self.sep) == 1 else self._plain()

    def _lines(self) -> Iterator[str]:
        for line in self.text:
            if "\0" in line:
                raise ValueError(_not_text(self.path, self.encoding, ": it holds zero bytes"))
            yield line

    def _plain(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(self._lines(), 1):
            if line.strip():
                yield number, line.rstrip("\r\n").split(self.sep)

    def _quoted(self) -> Iterator[tuple[int, list[str]]]:
        how: dict = {"quoting": csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE}
        reader = csv.reader(self._lines(), delimiter=self.sep, strict=True, **how)
        before, row = 0, 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self.complain(row, before + 1, _odd_quote(error)) from error
            if cells is None:
                return
            line, before = before + 1, reader.line_num
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            if before != line:
                self._check_lines(row, line, cells)
            yield line, cells
            row += 1

    def _check_lines(self, row: int, line: int, cells: list[str]) -> None:
        """Of a record over several lines: would each of them be a record, too? Then it is two stray
        quotes that hold them together, or at least nobody knows."""
        parts = re.split("\r\n|\r|\n", self.sep.join(cells))
        if {part.count(self.sep) + 1 for part in parts} == {len(cells)}:
            raise self.complain(
                row,
                line,
                f"has a quote that closes only on line {line + len(parts) - 1:,}, though each line "
                f"up to there has all the cells of a row; {_NO_QUOTES}",
            )


_NO_QUOTES = "say quotes=False (--no-quotes) if quotes are letters in this file"


def _odd_quote(error: csv.Error) -> str:
    if "field larger" in str(error):
        limit = f"{csv.field_size_limit():,}"
        return f"has a cell of more than {limit} characters: a quote that never closes? If so, " + (
            _NO_QUOTES
        )
    return (
        f'has a quote that does not open and close a whole cell ({error}); write "" for a quote '
        f"inside a quoted cell, or {_NO_QUOTES}"
    )


def _read(
    records: _Records, columns: Mapping[str, str | None], as_text: bool
) -> tuple[pd.DataFrame, Origin]:
    rows = iter(records)
    first = next(rows, None)
    if first is None:
        raise ValueError(f"{records.path} is empty; it must hold a header line and rows")
    header = [name.strip().strip("\ufeff") for name in first[1]]
    _check_header(header, columns, records)
    wanted = {name: header.index(name.strip()) for name in columns.values() if name is not None}
    packed = {place: _Column(as_text) for place in wanted.values()}
    lines, chunk = array("l"), []
    for line, cells in _of_one_width(rows, header, records):
        lines.append(line)
        chunk.append(cells)
        if len(chunk) == _CHUNK:
            _pack(chunk, packed)
            chunk = []
    if chunk:
        _pack(chunk, packed)
    frame = pd.DataFrame({name: packed[place].series() for name, place in wanted.items()})
    return frame, Origin(str(records.path), lines)


def _check_header(
    header: Sequence[str], columns: Mapping[str, str | None], records: _Records
) -> None:
    asked = [name.strip() for name in columns.values() if name is not None]
    for argument, name in columns.items():
        if name is None:
            continue
        if header.count(name.strip()) > 1:
            raise ValueError(f"{argument} names column {name!r}, which {records.path} has twice")
        if name.strip() not in header:
            there = ", ".join(shown(c) for c in header[:12])
            hint = _other_separator(header, records.sep, asked)
            raise ValueError(
                f"{argument} names column {name!r}; {records.path} has the columns {there}{hint}"
            )


def _other_separator(header: Sequence[str], sep: str, wanted: Sequence[str]) -> str:
    if len(header) > 1:
        return ""
    for other in (",", ";", "\t", "|", "::"):
        parts = [part.strip().strip('"') for part in header[0].split(other)]
        if other != sep and set(wanted) <= set(parts):
            return f"; its separator seems to be {other!r}, not {sep!r}: say sep={other!r}"
    return ""


def _of_one_width(rows, header: Sequence[str], records: _Records) -> Iterator[tuple[int, list]]:
    """The records, each as long as the first. Beyond the header's names, and beyond the first
    record's cells, there may be nothing but empty cells in all of them."""
    n, width, line_1, last = len(header), 0, 0, ""
    for row, (line, cells) in enumerate(rows, 1):
        if row == 1:
            width, line_1, last = len(cells), line, _empty_last(cells, n)
            if any(header[width:]) or (width > n and any(cells[n:])):
                raise records.complain(1, line, _other_width(cells, n))
        elif len(cells) != width:
            than = "" if width == n else f", and row 1, line {line_1:,} has {_cells(width)}{last}"
            raise records.complain(row, line, _other_width(cells, n) + than)
        elif width > n and any(cells[n:]):
            raise records.complain(row, line, _other_width(cells, n))
        yield line, cells


def _other_width(cells: Sequence[str], n: int) -> str:
    return f"has {_cells(len(cells))}{_empty_last(cells, n)}; the header names {n} columns"


def _empty_last(cells: Sequence[str], n: int) -> str:
    return ", the last of them empty" if len(cells) > n and not cells[-1] else ""


def _cells(n: int) -> str:
    return f"{n} cell" if n == 1 else f"{n} cells"


# ---------------------------------------------------------------- columns


def _pack(chunk: list[list[str]], packed: Mapping[int, _Column]) -> None:
    by_column = list(zip(*chunk, strict=True))
    for place, column in packed.items():
        column.add(by_column[place])


class _Column:
    """A column, chunk by chunk: as int64 while that loses nothing, else as text."""

    def __init__(self, as_text: bool) -> None:
        self.parts: list[np.ndarray] = []
        self.text = as_text

    def add(self, cells: Sequence[str]) -> None:
        numbers = None if self.text else whole_numbers(cells)
        if numbers is None:
            self.text = True
            same: dict[str, str] = {}  # equal texts of a chunk take memory once
            self.parts.append(np.array([same.setdefault(c, c) for c in cells], dtype=object))
        else:
            self.parts.append(numbers)

    def series(self) -> pd.Series:
        if self.text:
            parts = [p if p.dtype == object else _as_texts(p) for p in self.parts]
            whole = np.concatenate([np.empty(0, dtype=object), *parts])
            return pd.Series(whole, dtype=object)
        return pd.Series(np.concatenate([np.empty(0, dtype=np.int64), *self.parts]))


def _as_texts(numbers: np.ndarray) -> np.ndarray:
    texts = np.empty(len(numbers), dtype=object)
    texts[:] = [str(number) for number in numbers.tolist()]
    return texts


def whole_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """`[M]` int64 of texts `[M]`, or None unless each is the usual form of a whole number: then
    the texts could be had back from the numbers, and no two of them become one."""
    try:
        numbers = np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    # int() also reads "007", " 7" and "1_0".
    usual = all(str(n) == text for n, text in zip(numbers.tolist(), texts, strict=True))
    return numbers if usual else None
