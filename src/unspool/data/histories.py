"""Reader of histories: tables of user, item and time, or one history a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, NamedTuple

from unspool.data.files import Layout, Paths, Reader, find_files
from unspool.data.forms import FormOptions, form_by_suffix, form_named, forms_of
from unspool.data.history_names import HISTORY_NAMES, ITEM_NAMES, TIME_NAMES, USER_NAMES
from unspool.data.rows import Header, Row, Side, find_column, find_sides, form_by_content, read_rows
from unspool.data.text import Line
from unspool.errors import DataError, option

__all__ = ["UserEvents", "histories_of_rows", "read_histories"]

_SAMPLE = 1000  # rows for column detection
_EARLIEST = 1e8  # seconds since 1970 (March 1973) from which a number looks like a time


class UserEvents(NamedTuple):
    """Events of one user: one event of a table, or the whole history of a line."""

    where: str
    user: str
    items: tuple[str, ...]
    """Items, oldest first."""
    time: float | None = None
    """Seconds since 1970, or any other number that orders events; None: the order of the file counts."""


class _Columns(NamedTuple):
    user: str | None
    item: str
    time: str | None
    whole: bool
    """Whether `item` holds whole histories."""


def read_histories(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    before: Layout | None = None,
    skip_bad: bool = False,
) -> Reader[UserEvents]:
    """Read histories from tables with an event a row, or from lines: a user, then the items, oldest first.

    Cells of a line stand between tabs, or between blanks where the line has no tab.

    Args:
        paths: Files, folders or globs.
        format: `tsv`, `csv`, `jsonl`, `parquet`, or `text` for lines; None: by suffix, or else by content.
        header: Whether tables of text begin with column names: `auto`, `yes` or `no`.
        delimiter: Delimiter of the cells of tables; None: detect it by content.
        user: Column of the user: a name, or a number from 1; None: detect it.
        item: Column of the item, likewise.
        time: Column of the time, likewise; a table without one is in the order of time.
        before: Layout of the task's earlier data; its columns come before the usual names.
        skip_bad: Skip bad rows and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if a column is missing, or a row lacks
            a user, an item or a time.
    """
    if format is not None:
        form_named(format, "rows", "lines")
    files = find_files(paths)
    if format in forms_of("lines") or (format is None and not _is_table(files[0], delimiter)):
        return _read_lines(files, skip_bad=skip_bad)
    earlier = () if before is None else before.columns_of("user", "item", "time")
    names = {name for name in (user, item, time, *earlier) if name and not name.isdecimal()}
    names |= {*USER_NAMES, *ITEM_NAMES, *TIME_NAMES, *HISTORY_NAMES}
    rows = read_rows(paths, format=format, header=header, delimiter=delimiter, names=names, skip_bad=skip_bad)
    return histories_of_rows(rows, user=user, item=item, time=time, before=before)


def histories_of_rows(
    rows: Reader[Row],
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    before: Layout | None = None,
) -> Reader[UserEvents]:
    """Read events, or whole histories, from rows; see `read_histories`."""

    def events(items: Iterator[Row | DataError]) -> Iterator[UserEvents | DataError]:
        sample = list(islice(items, _SAMPLE))
        good = [row for row in sample if isinstance(row, Row)]
        if not good:
            yield from (row for row in sample if isinstance(row, DataError))
            return
        columns = _find(good, (user, item, time), before, rows.layout)
        roles = {"user": columns.user, "history" if columns.whole else "item": columns.item, "time": columns.time}
        rows.layout.columns |= {role: name for role, name in roles.items() if name is not None}
        for row in chain(sample, items):
            if isinstance(row, DataError):
                yield row
                continue
            try:
                yield _whole(row, columns) if columns.whole else _event(row, columns)
            except DataError as error:
                yield error

    return rows.transform(events)


def _is_table(file: str, delimiter: str | None) -> bool:
    return form_by_suffix(file, "rows") is not None or form_by_content(file, delimiter) is not None


def _read_lines(files: list[str], *, skip_bad: bool) -> Reader[UserEvents]:
    layout = Layout(dict.fromkeys(files, "a history a line: the user, then the items"))

    def read(file: str) -> Iterator[UserEvents | DataError]:
        for line in forms_of("lines")["text"].read(file, FormOptions()):
            if isinstance(line, DataError):
                yield line
            elif isinstance(line, Line) and line.text.strip():
                cells = [cell for cell in line.text.split("\t" if "\t" in line.text else None) if cell.strip()]
                if len(cells) > 1:
                    yield UserEvents(line.where, cells[0].strip(), tuple(cell.strip() for cell in cells[1:]))
                else:
                    message = (
                        f"one cell, {cells[0]!r:.40}; expected a user, then the items, with blanks or tabs between"
                    )
                    yield DataError(message, line.where)

    return Reader(files, read, skip_bad=skip_bad, layout=layout)


def _find(
    sample: Sequence[Row], settings: tuple[str | None, str | None, str | None], before: Layout | None, layout: Layout
) -> _Columns:
    """Find the columns in a sample of rows: by settings, by earlier data, by their usual names, else by content."""
    names, where = list(sample[0].values), sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    earlier = {} if before is None else {role: name for role, name in before.columns.items() if name in names}
    user, item, time = (
        find_column(names, setting, where, layout=form) if setting is not None else earlier.get(role)
        for setting, role in zip(settings, ("user", "item", "time"), strict=True)
    )
    whole = earlier.get("history") or _usual(names, HISTORY_NAMES)
    if whole is not None and (item is None or item == whole):
        return _Columns(user or _usual([name for name in names if name != whole], USER_NAMES), whole, None, True)
    if time is None:
        others = [name for name in names if name not in (user, item)]
        time = _usual(others, TIME_NAMES) or _by_content(sample, others)
    if time is not None and len(names) < 3:
        raise DataError(
            f"the columns are {', '.join(names)}; expected a user and an item beside the time {time!r} "
            f"({option('user', 'NAME')}, {option('item', 'NAME')})",
            where,
        )
    sides = Side("user", USER_NAMES, user), Side("item", ITEM_NAMES, item)
    return _Columns(*find_sides([name for name in names if name != time], *sides, where, layout=form), time, False)


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    lower = {name.casefold(): name for name in names}
    return next((lower[name] for name in usual if name in lower), None)


def _by_content(sample: Sequence[Row], names: Sequence[str]) -> str | None:
    """Return the last column whose values all look like times: late dates as numbers, or dates in ISO form."""
    return next(
        (name for name in reversed(names) if all(_looks_like_a_time(row.values.get(name)) for row in sample)), None
    )


def _looks_like_a_time(value: Any) -> bool:
    try:
        seconds = _seconds(value, "")
    except DataError:
        return False
    return seconds >= _EARLIEST or (isinstance(value, str) and "-" in value.strip()[1:])


def _event(row: Row, columns: _Columns) -> UserEvents:
    assert columns.user is not None
    time = None if columns.time is None else _seconds(_cell(row, columns.time), row.where)
    return UserEvents(row.where, _name(row, columns.user, "user"), (_name(row, columns.item, "item"),), time)


def _whole(row: Row, columns: _Columns) -> UserEvents:
    value = _cell(row, columns.item)
    cells = value if isinstance(value, list) else str(value or "").split("\t" if "\t" in str(value) else None)
    items = tuple(_text(cell) for cell in cells)
    if not items or not all(items):
        raise DataError(f"column {columns.item!r} holds {value!r:.40}; expected a list of items", row.where)
    user = row.where if columns.user is None else _name(row, columns.user, "user")
    return UserEvents(row.where, user, items)


def _cell(row: Row, column: str) -> Any:
    if column not in row.values:
        raise DataError(f"there is no column {column!r} here; the columns are {', '.join(row.values)}", row.where)
    return row.values[column]


def _name(row: Row, column: str, role: str) -> str:
    text = _text(_cell(row, column))
    if not text:
        raise DataError(f"the {role} is empty (column {column!r}); expected a name or a number", row.where)
    return text


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _seconds(value: Any, where: str) -> float:
    """Return a time as a number: seconds since 1970 of a date, a number unchanged."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    with suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            return number
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise DataError(
        f"the time {value!r:.40} is no number and no date; expected seconds, or a date such as 2026-11-30 18:05", where
    )
