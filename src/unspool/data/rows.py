"""Rows with columns: TSV, CSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import chain
from statistics import fmean
from typing import Any, Literal, NamedTuple

import msgspec

from unspool.data.files import Paths, Reader, decode_line, find_files, name_of, numbered_lines, suffix_of
from unspool.errors import DataError, MissingExtraError
from unspool.settings import nearest

__all__ = [
    "ROW_FORMATS",
    "Header",
    "Row",
    "Side",
    "find_column",
    "find_sides",
    "guess_text_and_label",
    "read_json_lines",
    "read_rows",
]

Header = Literal["auto", "yes", "no"]

ROW_FORMATS = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Form of a table by the last part of its name."""


class Row(NamedTuple):
    """One row; columns without a header are named `1`, `2`, ..."""

    where: str
    values: dict[str, Any]


def read_rows(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    names: AbstractSet[str] = frozenset(),
    skip_bad: bool = False,
) -> Reader[Row]:
    """Read rows from TSV, CSV, JSON lines or Parquet, each file by its suffix.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl` or `parquet`, whatever the suffix says.
        header: Whether TSV and CSV begin with column names; `auto` says yes where the first line has one of `names`.
        names: Column names the caller looks for, in any case.
        skip_bad: Leave bad rows out and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown format; while reading, if a row is bad.
    """
    if format is not None and format not in ROW_FORMATS.values():
        known = sorted(set(ROW_FORMATS.values()))
        raise DataError(f"format {format!r} is none of {', '.join(known)}{nearest(format, known)}")
    files = find_files(paths, suffixes=None if format else ROW_FORMATS.keys())
    formats = {file: format or _format_of(file) for file in files}
    wanted = frozenset(name.casefold() for name in names)
    readers: dict[str, Callable[[str], Iterator[Row | DataError]]] = {
        "tsv": partial(_tsv, header=header, names=wanted),
        "csv": partial(_csv, header=header, names=wanted),
        "jsonl": read_json_lines,
        "parquet": _parquet,
    }
    return Reader(files, lambda file: readers[formats[file]](file), skip_bad=skip_bad)


def find_column(columns: Iterable[str], wanted: str | int, where: str | None = None) -> str:
    """Find a column by its name, in any case, or by its number from 1.

    Raises:
        DataError: If there is no such column; the message lists those there are.
    """
    names = list(columns)
    text = str(wanted)
    if text in names:
        return text
    same = [name for name in names if name.casefold() == text.casefold()]
    if len(same) == 1:
        return same[0]
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return names[int(text) - 1]
    raise DataError(f"there is no column {text!r}; the columns are {', '.join(names)}{nearest(text, names)}", where)


class Side(NamedTuple):
    """One of the two columns of a table of pairs."""

    name: str
    """What it holds, for messages: source, answer."""
    usual: tuple[str, ...]
    """Names by which it is found, in any case, the likeliest first."""
    wanted: str | None = None
    """The name or number, from 1, that was asked for."""


def find_sides(columns: Sequence[str], one: Side, other: Side, where: str, *, besides: str = "") -> tuple[str, str]:
    """Find the two columns of a table of pairs: those asked for, those with a usual name, or the first that are left.

    Args:
        columns: All names.
        one: The side that comes first where columns have no usual names.
        other: The other one.
        where: For messages.
        besides: A column that is neither, whatever happens.

    Raises:
        DataError: If there are fewer than two columns, one that was asked for is missing, or both are the same.
    """
    if len(columns) < 2:
        raise DataError(f"one column only ({columns[0]}), expected {_a(one.name)} and {_a(other.name)}", where)
    first = find_column(columns, one.wanted, where) if one.wanted else None
    second = find_column(columns, other.wanted, where) if other.wanted else None
    first = first or _usual([name for name in columns if name != second], one.usual)
    second = second or _usual([name for name in columns if name != first], other.usual)
    if first == second is not None:
        raise DataError(f"{one.name} and {other.name} are both read from column {first!r}", where)
    others = [name for name in columns if name not in (first, second, besides)]
    if len(others) < (first is None) + (second is None):
        raise DataError(f"expected {_a(one.name)} and {_a(other.name)}; the columns are {', '.join(columns)}", where)
    return first or others.pop(0), second or others[0]


def _a(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _usual(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    lower = {name.casefold(): name for name in columns}
    return next((lower[name] for name in wanted if name in lower), None)


def guess_text_and_label(rows: Sequence[Row]) -> tuple[str, str]:
    """Guess from a sample of rows which column is the text (the longest) and which the label (few, short values).

    Raises:
        DataError: If there are fewer than two columns, or none of the others looks like a label.
    """
    if not rows:
        raise DataError("there are no rows to guess the columns from")
    names = list(rows[0].values)
    values = {name: [_as_text(row.values.get(name)) for row in rows] for name in names}
    lengths = {name: fmean(map(len, values[name])) for name in names}
    text = max(names, key=lengths.__getitem__)
    distinct = {name: len(set(values[name])) for name in names if name != text}
    most = max(2, len(rows) // 2)
    labels = [name for name in distinct if distinct[name] <= most and 0 < lengths[name] <= 60]
    if not labels:
        raise DataError(
            f"can't tell which column is the label among {', '.join(names)}; name the columns", rows[0].where
        )
    return text, min(labels, key=distinct.__getitem__)


def read_json_lines(path: str) -> Iterator[Row | DataError]:
    """Yield one row per JSON object, one object per line; blank lines are left out."""
    decode = msgspec.json.Decoder().decode
    for number, raw in numbered_lines(path):
        if not raw.strip():
            continue
        where = f"{name_of(path)}:{number}"
        try:
            values = decode(decode_line(raw, where))
        except DataError as error:
            yield error
        except msgspec.DecodeError as error:
            yield DataError(f"expected one JSON object per line: {error}", where)
        else:
            if isinstance(values, dict):
                yield Row(where, values)
            else:
                yield DataError(f'expected a JSON object like {{"text": ...}}, got {type(values).__name__}', where)


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _format_of(path: str) -> str:
    suffix = suffix_of(path)
    if suffix not in ROW_FORMATS:
        known = ", ".join(sorted(ROW_FORMATS))
        hint = nearest(suffix, ROW_FORMATS)
        raise DataError(
            f"the name does not tell the form (expected {known}){hint}; say which, as format=tsv", name_of(path)
        )
    return ROW_FORMATS[suffix]


class _Table:
    """Names the cells of each line of a table; the first line decides how many there are."""

    def __init__(self, header: Header, names: AbstractSet[str]) -> None:
        self.header, self.wanted = header, names
        self.columns: list[str] = []
        self.first = ""

    def row(self, cells: list[str], where: str) -> Row | DataError | None:
        """The row, what is wrong with it, or None for the header; raises `DataError` if the header is no good."""
        if not self.columns:
            self.first = where
            if self.header == "yes" or (
                self.header == "auto" and any(c.strip().casefold() in self.wanted for c in cells)
            ):
                self.columns = [cell.strip() or str(number) for number, cell in enumerate(cells, 1)]
                twice = {name for name in self.columns if self.columns.count(name) > 1}
                if twice:
                    raise DataError(f"the header names the column {min(twice)!r} twice", where)
                return None
            self.columns = [str(number) for number in range(1, len(cells) + 1)]
        if len(cells) != len(self.columns):
            expected = f"expected {len(self.columns)} as in {self.first}"
            hint = "; a CSV text with commas stands in quotes; skip_bad leaves such rows out"
            return DataError(f"{len(cells)} cell{'s' * (len(cells) != 1)}, {expected}: {_start(cells)}{hint}", where)
        return Row(where, dict(zip(self.columns, cells, strict=True)))


def _start(cells: list[str]) -> str:
    text = " | ".join(cells)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _tsv(path: str, header: Header, names: AbstractSet[str]) -> Iterator[Row | DataError]:
    table = _Table(header, names)
    for number, raw in numbered_lines(path):
        if not raw.strip():
            continue
        where = f"{name_of(path)}:{number}"
        try:
            line = decode_line(raw, where)
        except DataError as error:
            yield error
            continue
        row = table.row(line.split("\t"), where)
        if row is not None:
            yield row


class _Lines:
    """The decoded lines of a file; unlike a generator, it can go on after one that is not UTF-8."""

    def __init__(self, path: str) -> None:
        self.number = 0
        self._name, self._lines = name_of(path), numbered_lines(path)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, raw = next(self._lines)
        return decode_line(raw, f"{self._name}:{self.number}") + "\n"


def _csv(path: str, header: Header, names: AbstractSet[str]) -> Iterator[Row | DataError]:
    csv.field_size_limit(2**31 - 1)
    table = _Table(header, names)
    lines = _Lines(path)
    reader = csv.reader(lines, strict=True)
    while True:
        where = f"{name_of(path)}:{lines.number + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield DataError(f"not a CSV row: {error}; quotes inside quotes are written twice", where)
        except DataError as error:
            yield error
        else:
            row = table.row(cells, where) if cells else None
            if row is not None:
                yield row


def _parquet(path: str) -> Iterator[Row | DataError]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "pyarrow", "parquet") from None
    if path == "-":
        raise DataError("Parquet can't be read from standard input; name a file")
    try:
        with pq.ParquetFile(path) as file:
            batches = (batch.to_pylist() for batch in file.iter_batches(batch_size=4096))
            for number, values in enumerate(chain.from_iterable(batches), 1):
                yield Row(f"{path}:{number}", values)
    except pa.ArrowException as error:
        raise DataError(f"not a readable Parquet file: {error}", where=path) from None
