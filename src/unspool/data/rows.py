"""Table reader for TSV, CSV, JSON lines and Parquet: rows, columns and detection of both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeVar

from unspool.data.files import (
    Layout,
    Paths,
    Reader,
    find_files,
    is_stream,
    name_of,
    open_bytes,
    suffix_of,
)
from unspool.data.forms import Form, FormOptions, form_named, form_of_examples, forms_of, suffixes_of
from unspool.data.tables import delimiter_character, find_delimiter
from unspool.errors import DataError, option
from unspool.settings import nearest

__all__ = [
    "JSON_LINES",
    "Header",
    "Row",
    "Side",
    "find_column",
    "find_sides",
    "form_by_content",
    "guess_text_and_label",
    "read_rows",
]

Header = Literal["auto", "yes", "no"]

JSON_LINES = "JSON lines"
"""Layout of a file of JSON lines, whose rows may differ in their columns."""

_BEGINNING = 1 << 16  # bytes at the beginning of a file that decide its form


T = TypeVar("T")


class Row(NamedTuple):
    """One row of a table; without a header, the names of columns are `1`, `2`, ..."""

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
    whole_files: bool = False,
    labels: str | None = None,
) -> Reader[Row]:
    """Read rows from TSV, CSV, JSON lines or Parquet, each file by its suffix, or else by its content.

    TSV has no quotes: a cell is the text between two tabs. A table with another delimiter is CSV, with quotes.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl` or `parquet`; None: by suffix, or else by content.
        header: Whether tables of text begin with column names: `auto`, `yes` or `no`. `auto` takes a first line with
            one of `names` for a header, and otherwise decides by content.
        delimiter: One character or `tab`. None: a tab with the format `tsv`; otherwise the delimiter of the suffix,
            unless only another one gives rows of equal length.
        names: Column names that the caller looks for, in any case.
        skip_bad: Skip bad rows and count them in the reader's `skipped`.
        whole_files: Also accept files that are examples themselves: one each, such as sounds and images, whose rows
            hold the path and the name of the folder, or an array of them. In a folder with tables, the tables alone
            are read.
        labels: Name of the file of labels beside an array of examples; None: by its usual names.

    Raises:
        DataError: If a file is missing, empty or of unknown format, or `delimiter` is invalid; while reading, if a row
            is bad.
    """
    form = None if format is None else form_named(format, "rows")
    mark = ("\t" if format == "tsv" else None) if delimiter is None else delimiter_character(delimiter)
    single = suffixes_of("files") if whole_files and form is None else {}
    files = _table_files(paths, single) if form is None else find_files(paths)
    layout = Layout()
    options = FormOptions(
        layout=layout, header=header, delimiter=mark, names=frozenset(map(str.casefold, names)), labels=labels
    )
    forms = {
        file: form or (form_of_examples(file, options) if single else None) or _form_of(file, mark) for file in files
    }
    return Reader(files, lambda file: forms[file].read(file, options), skip_bad=skip_bad, layout=layout)


def _table_files(paths: Paths, single: Mapping[str, Form]) -> list[str]:
    """List tables; a folder without tables gives its files that are one example each, by their suffixes."""
    tables = suffixes_of("rows").keys()
    if not single:
        return find_files(paths, suffixes=tables)
    files: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        try:
            files += find_files(path, suffixes=tables)
        except DataError:
            if not os.path.isdir(path):
                raise
            files += find_files(path, suffixes=[*tables, *single])
    return files or find_files(paths, suffixes=tables)


def find_column(
    columns: Iterable[str], wanted: str | int, where: str | None = None, *, layout: str | None = None
) -> str:
    """Find a column by its name, in any case, or by its number from 1.

    Args:
        columns: All names.
        wanted: The name or number of the column.
        where: `file:line`, for messages.
        layout: How the table was read, for messages.

    Raises:
        DataError: If there is no such column; the message lists the columns.
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
    """Name of the side for messages: source, answer."""
    usual: tuple[str, ...]
    """Usual names of the column, in any case, the likeliest first."""
    wanted: str | None = None
    """Name or number, from 1, of the column; None: detect it."""


def find_sides(
    columns: Sequence[str], one: Side, other: Side, where: str, *, besides: str = "", layout: str | None = None
) -> tuple[str, str]:
    """Find the two columns of a table of pairs: by `wanted`, by a usual name, or else the first other columns.

    Args:
        columns: All names.
        one: The side that comes first where columns have no usual names.
        other: The other side.
        where: `file:line`, for messages.
        besides: Name of a column that is neither side.
        layout: How the table was read, for messages.

    Returns:
        The names of both columns.

    Raises:
        DataError: If there are fewer than two columns, a wanted column is missing, or both sides are the same column.
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


def _usual(columns: Sequence[str], usual: Sequence[str]) -> str | None:
    lower = {name.casefold(): name for name in columns}
    return next((lower[name] for name in usual if name in lower), None)


def guess_text_and_label(rows: Sequence[Row]) -> tuple[str, str]:
    """Guess from a sample of rows which column is the text (the longest) and which the label (few, short values).

    Raises:
        DataError: If there are fewer than two columns, or no other column looks like a label.
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


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def form_by_content(path: str, delimiter: str | None = None) -> str | None:
    """Detect the form of a table by its beginning; None if the file is no table, or can be read only once."""
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


def _form_of(path: str, delimiter: str | None) -> Form:
    """Return the form of a file by its name, or else by its content."""
    suffix, suffixes = suffix_of(path), suffixes_of("rows")
    if form := suffixes.get(suffix):
        return form
    if name := form_by_content(path, delimiter):
        return forms_of("rows")[name]
    expected = ", ".join(sorted(suffixes))
    hint = "; save a spreadsheet as CSV" if suffix in (".xls", ".xlsx", ".ods") else nearest(suffix, suffixes)
    raise DataError(
        f"the form is unclear from the name (expected {expected}) and from the content{hint}; "
        f"name the form: {option('format', 'tsv')}",
        name_of(path),
    )


def _beginning_of(path: str) -> bytes:
    with open_bytes(path) as stream:
        return stream.read(_BEGINNING)
