"""Reader of delimited tables: TSV, and CSV with any delimiter."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

from unspool.data.files import decode_line, name_of, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.data.tables import Decision, csv_rows, delimiter_name, find_delimiter, has_header
from unspool.errors import DataError, option

__all__ = ["FORMS"]

T = TypeVar("T")

_USUAL = {"tsv": "\t", "csv": ","}
_SAMPLE_ROWS, _SAMPLE_SIZE = 1000, 1 << 20  # most rows and characters that decide header and delimiter


def _table(path: str, options: FormOptions, *, form: str) -> Iterator[Row | DataError]:
    """Yield the rows of a table; the first line decides the number of cells."""
    lines = numbered_lines(path)
    sample = _first_items(lines, lambda line: len(line[1]))
    texts = [raw.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace") for _, raw in sample if raw.strip()]
    mark = options.delimiter or find_delimiter(texts, _USUAL[form], quotes=form == "csv") or _USUAL[form]
    read = _split_rows if mark == "\t" and form == "tsv" else _quoted_rows
    rows = read(name_of(path), chain(sample, lines), mark)
    beginning = _first_items(rows, lambda row: sum(map(len, row[1])) if isinstance(row[1], list) else 0)
    good = [cells for _, cells in beginning if isinstance(cells, list)]
    columns: list[str] = []
    start = ""
    for where, cells in chain(beginning, rows):
        if isinstance(cells, DataError):
            yield cells
            continue
        if not columns:
            start, decision = where, _header_of(options, cells, good)
            columns = _column_names(cells, where) if decision.header else [str(n) for n in range(1, len(cells) + 1)]
            line = "header line" if decision.header else "no header line"
            options.layout.files[name_of(path)] = f"delimiter {delimiter_name(mark)}, {line} ({decision.reason})"
            if decision.header:
                continue
        if len(cells) == len(columns):
            yield Row(where, dict(zip(columns, cells, strict=True)))
        else:
            expected = f"expected {len(columns)} as in {start}, delimiter {delimiter_name(mark)}"
            hint = f"; a text with {delimiter_name(mark)} in it needs quotes" if read is _quoted_rows else ""
            yield DataError(f"{len(cells)} cell{'s' * (len(cells) != 1)}, {expected}: {_start(cells)}{hint}", where)


def _header_of(options: FormOptions, first: Sequence[str], rows: Sequence[Sequence[str]]) -> Decision:
    """Decide whether the first row of a table is its header; `rows` are the first rows."""
    if options.header != "auto":
        return Decision(options.header == "yes", f"{option('header', options.header)}")
    if any(cell.strip().casefold() in options.names for cell in first):
        return Decision(True, "it names a column of this task")
    return has_header([row for row in rows if len(row) == len(first)] or [first])


def _first_items(items: Iterator[T], size_of: Callable[[T], int]) -> list[T]:
    """Take the sample of a table from an iterator: its first items."""
    first: list[T] = []
    size = 0
    while len(first) < _SAMPLE_ROWS and size < _SAMPLE_SIZE and (item := next(items, None)) is not None:
        first.append(item)
        size += size_of(item)
    return first


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
"""The `file:line` of a row, and its cells or its error."""


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
    """Iterator over the decoded lines of a file; unlike a generator, it continues after a line that is not UTF-8."""

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
            yield where, DataError(f"not a CSV row: {error}; write a quote inside quotes twice", where)
        except DataError as error:
            yield where, error
        else:
            if cells:
                yield where, cells


FORMS = (
    Form(
        name="tsv",
        suffixes=(".tsv", ".tab"),
        yields="rows",
        help="a table with a tab between cells",
        read=partial(_table, form="tsv"),
    ),
    Form(
        name="csv",
        suffixes=(".csv",),
        yields="rows",
        help="a table with a comma, or another delimiter, between cells",
        read=partial(_table, form="csv"),
    ),
)
