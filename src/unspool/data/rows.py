"""Rows with columns: TSV, CSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import chain
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeVar

from unspool.data.files import (
    Layout,
    Paths,
    Reader,
    decode_json,
    decode_line,
    find_files,
    is_stream,
    name_of,
    numbered_lines,
    open_bytes,
    suffix_of,
)
from unspool.data.parquet import read_parquet
from unspool.data.tables import Decision, csv_rows, delimiter_character, delimiter_name, find_delimiter, has_header
from unspool.errors import DataError, option
from unspool.settings import nearest

__all__ = [
    "JSON_LINES",
    "ROW_FORMATS",
    "Header",
    "Row",
    "Side",
    "find_column",
    "find_sides",
    "form_by_content",
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

JSON_LINES = "JSON lines"
"""What a reader's layout says of a file whose rows may differ in their columns."""

_USUAL = {"tsv": "\t", "csv": ","}
_BEGINNING = 1 << 16  # bytes by which the form of a file is judged
_SAMPLE_ROWS, _SAMPLE_SIZE = 1000, 1 << 20  # rows and characters by which a table is judged


T = TypeVar("T")


class Row(NamedTuple):
    """One row; columns without a header are named `1`, `2`, ..."""

    where: str
    values: dict[str, Any]


def read_rows(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    names: AbstractSet[str] = frozenset(),
    skip_bad: bool = False,
) -> Reader[Row]:
    """Read rows from TSV, CSV, JSON lines or Parquet, each file by its suffix, or else by its content.

    Cells of TSV are what stands between two tabs; a table with another delimiter is read as CSV, with quotes.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl` or `parquet`, whatever the suffix says.
        header: Whether tables of text begin with column names; `auto` says yes where the first line has one of
            `names`, and otherwise decides by content.
        delimiter: What parts cells: one character or `tab`; None: a tab with the format `tsv`, or else the one that
            the suffix promises, unless another parts the lines evenly and that one does not.
        names: Column names the caller looks for, in any case.
        skip_bad: Leave bad rows out and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown format, or the delimiter is none; while reading, if a row
            is bad.
    """
    if format is not None and format not in ROW_FORMATS.values():
        known = sorted(set(ROW_FORMATS.values()))
        raise DataError(f"format {format!r} is none of {', '.join(known)}{nearest(format, known)}")
    mark = ("\t" if format == "tsv" else None) if delimiter is None else delimiter_character(delimiter)
    files = find_files(paths, suffixes=None if format else ROW_FORMATS.keys())
    formats = {file: format or _format_of(file, mark) for file in files}
    layout = Layout()
    table = partial(_table, style=_Style(header, mark, frozenset(map(str.casefold, names))), layout=layout)
    readers: dict[str, Callable[[str], Iterator[Row | DataError]]] = {
        "tsv": partial(table, form="tsv"),
        "csv": partial(table, form="csv"),
        "jsonl": partial(read_json_lines, layout=layout),
        "parquet": partial(_parquet, layout=layout),
    }
    return Reader(files, lambda file: readers[formats[file]](file), skip_bad=skip_bad, layout=layout)


def find_column(
    columns: Iterable[str], wanted: str | int, where: str | None = None, *, layout: str | None = None
) -> str:
    """Find a column by its name, in any case, or by its number from 1.

    Args:
        columns: All names.
        wanted: The name or number.
        where: For messages.
        layout: How the table was read, for messages.

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
    hint = nearest(text, names) or f" (read with {layout})" * bool(layout)
    raise DataError(f"there is no column {text!r}; the columns are {', '.join(names)}{hint}", where)


class Side(NamedTuple):
    """One of the two columns of a table of pairs."""

    name: str
    """What it holds, for messages: source, answer."""
    usual: tuple[str, ...]
    """Names by which it is found, in any case, the likeliest first."""
    wanted: str | None = None
    """The name or number, from 1, that was asked for."""


def find_sides(
    columns: Sequence[str], one: Side, other: Side, where: str, *, besides: str = "", layout: str | None = None
) -> tuple[str, str]:
    """Find the two columns of a table of pairs: those asked for, those with a usual name, or the first that are left.

    Args:
        columns: All names.
        one: The side that comes first where columns have no usual names.
        other: The other one.
        where: For messages.
        besides: A column that is neither, whatever happens.
        layout: How the table was read, for messages.

    Raises:
        DataError: If there are fewer than two columns, one that was asked for is missing, or both are the same.
    """
    if len(columns) < 2:
        read = f"; read with {layout}" * bool(layout)
        came = f"one column only ({columns[0]})" if columns else "no column"
        raise DataError(f"{came}, expected {_a(one.name)} and {_a(other.name)}{read}", where)
    first = find_column(columns, one.wanted, where, layout=layout) if one.wanted else None
    second = find_column(columns, other.wanted, where, layout=layout) if other.wanted else None
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


def read_json_lines(path: str, layout: Layout | None = None) -> Iterator[Row | DataError]:
    """Yield one row per JSON object, one object per line; blank lines are left out."""
    if layout is not None:
        layout.files[name_of(path)] = JSON_LINES
    for number, raw in numbered_lines(path):
        if not raw.strip():
            continue
        where = f"{name_of(path)}:{number}"
        try:
            values = decode_json(decode_line(raw, where), where)
        except DataError as error:
            yield error
        else:
            if isinstance(values, dict):
                yield Row(where, values)
            else:
                yield DataError(f'expected a JSON object like {{"text": ...}}, got {type(values).__name__}', where)


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def form_by_content(path: str, delimiter: str | None = None) -> str | None:
    """Tell the form of a table by its beginning; None where the file looks like no table, or can be read only once."""
    beginning = b"" if is_stream(path) else _beginning_of(path)
    if beginning.startswith(b"PAR1"):
        return "parquet"
    lines = beginning.decode("utf-8-sig", errors="replace").splitlines()
    lines = [line for line in lines[: -1 if len(beginning) == _BEGINNING else None] if line.strip()]
    if lines and lines[0].lstrip().startswith("{"):
        return "jsonl"
    if (
        len(lines) > 1
        and not beginning.startswith(b"PK")
        and (mark := delimiter or find_delimiter(lines, None, quotes=True))
    ):
        return "tsv" if mark == "\t" else "csv"
    return None


def _format_of(path: str, delimiter: str | None) -> str:
    """The form of a file by its name, or else by its content."""
    suffix = suffix_of(path)
    if form := ROW_FORMATS.get(suffix) or form_by_content(path, delimiter):
        return form
    known = ", ".join(sorted(ROW_FORMATS))
    hint = "; save a spreadsheet as CSV" if suffix in (".xls", ".xlsx", ".ods") else nearest(suffix, ROW_FORMATS)
    raise DataError(
        f"the name does not tell the form (expected {known}), and neither does the content{hint}; "
        f"say which: {option('format', 'tsv')}",
        name_of(path),
    )


def _beginning_of(path: str) -> bytes:
    with open_bytes(path) as stream:
        return stream.read(_BEGINNING)


@dataclass(frozen=True)
class _Style:
    """What the caller says of tables of text."""

    header: Header
    delimiter: str | None
    names: frozenset[str]
    """Column names that are looked for, in lower case."""

    def header_of(self, first: Sequence[str], rows: Sequence[Sequence[str]]) -> Decision:
        """Whether the first row of a table is its header; `rows` are its first rows."""
        if self.header != "auto":
            return Decision(self.header == "yes", f"{option('header', self.header)}")
        if any(cell.strip().casefold() in self.names for cell in first):
            return Decision(True, "it names a column that is looked for")
        return has_header([row for row in rows if len(row) == len(first)] or [first])


def _table(path: str, *, form: str, style: _Style, layout: Layout) -> Iterator[Row | DataError]:
    """Yield the rows of a table of text; the first line decides how many cells there are."""
    lines = numbered_lines(path)
    sample = _taken(lines, lambda line: len(line[1]))
    texts = [raw.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace") for _, raw in sample if raw.strip()]
    mark = style.delimiter or find_delimiter(texts, _USUAL[form], quotes=form == "csv") or _USUAL[form]
    read = _split_rows if mark == "\t" and form == "tsv" else _quoted_rows
    rows = read(name_of(path), chain(sample, lines), mark)
    beginning = _taken(rows, lambda row: sum(map(len, row[1])) if isinstance(row[1], list) else 0)
    good = [cells for _, cells in beginning if isinstance(cells, list)]
    columns: list[str] = []
    start = ""
    for where, cells in chain(beginning, rows):
        if isinstance(cells, DataError):
            yield cells
            continue
        if not columns:
            start, decision = where, style.header_of(cells, good)
            columns = _column_names(cells, where) if decision.header else [str(n) for n in range(1, len(cells) + 1)]
            line = "header line" if decision.header else "no header line"
            layout.files[name_of(path)] = f"delimiter {delimiter_name(mark)}, {line} ({decision.reason})"
            if decision.header:
                continue
        if len(cells) == len(columns):
            yield Row(where, dict(zip(columns, cells, strict=True)))
        else:
            expected = f"expected {len(columns)} as in {start}, delimiter {delimiter_name(mark)}"
            hint = f"; a text with {delimiter_name(mark)} in it stands in quotes" if read is _quoted_rows else ""
            yield DataError(f"{len(cells)} cell{'s' * (len(cells) != 1)}, {expected}: {_start(cells)}{hint}", where)


def _taken(items: Iterator[T], size_of: Callable[[T], int]) -> list[T]:
    """The first items, as many as a table is judged by."""
    taken: list[T] = []
    size = 0
    while len(taken) < _SAMPLE_ROWS and size < _SAMPLE_SIZE and (item := next(items, None)) is not None:
        taken.append(item)
        size += size_of(item)
    return taken


def _column_names(cells: Sequence[str], where: str) -> list[str]:
    names = [cell.strip() or str(number) for number, cell in enumerate(cells, 1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"the header names the column {min(twice)!r} twice", where)
    return names


def _start(cells: list[str]) -> str:
    text = " | ".join(cells)
    return repr(text if len(text) <= 60 else text[:57] + "...")


Cells = tuple[str, list[str] | DataError]
"""Where a row stands, and its cells, or what is wrong with it."""


def _split_rows(name: str, lines: Iterable[tuple[int, bytes]], delimiter: str) -> Iterator[Cells]:
    for number, raw in lines:
        if not raw.strip():
            continue
        where = f"{name}:{number}"
        try:
            yield where, decode_line(raw, where).split(delimiter)
        except DataError as error:
            yield where, error


class _Lines:
    """The decoded lines of a file; unlike a generator, it can go on after one that is not UTF-8."""

    def __init__(self, name: str, lines: Iterable[tuple[int, bytes]]) -> None:
        self.number = 0
        self._name, self._lines = name, iter(lines)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, raw = next(self._lines)
        return decode_line(raw, f"{self._name}:{self.number}") + "\n"


def _quoted_rows(name: str, lines: Iterable[tuple[int, bytes]], delimiter: str) -> Iterator[Cells]:
    texts = _Lines(name, lines)
    reader = csv_rows(texts, delimiter)
    while True:
        where = f"{name}:{texts.number + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, DataError(f"not a CSV row: {error}; quotes inside quotes are written twice", where)
        except DataError as error:
            yield where, error
        else:
            if cells:
                yield where, cells


def _parquet(path: str, *, layout: Layout) -> Iterator[Row | DataError]:
    layout.files[path] = "Parquet"
    for where, values in read_parquet(path):
        yield Row(where, values) if isinstance(values, dict) else values
