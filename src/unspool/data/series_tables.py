"""Series from the rows of tables: long and wide tables, a series a row, and the detection of columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data.files import Layout, Reader
from unspool.data.rows import Row, find_column
from unspool.data.series import SeriesRow
from unspool.data.series_names import COUNT_NAMES, ID_NAMES, TIME_NAMES
from unspool.data.times import parse_time
from unspool.errors import DataError, option

__all__ = ["SeriesColumns", "number_of", "numbers_of_steps", "series_rows"]

Numbers = NDArray[np.float64]
TableLayout = Literal["auto", "long", "rows"]

_SAMPLE = 1000  # rows for the detection of columns
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "nat"}
_NUMBERED = re.compile(r"(.*?)(\d+)")
_FEWEST_STEPS = 8  # numbered columns of a table with a series a row


class SeriesColumns(NamedTuple):
    """Columns of a table of series."""

    layout: Literal["long", "rows"]
    """long: a row for each time, a column for each channel; rows: a row for each series, a column for each step."""
    time: str | None
    id: str | None
    channels: tuple[str, ...]
    """Columns of the numbers: the channels, or the steps if each row is a series."""
    covariates: tuple[str, ...] = ()
    """Columns that are known for the future as well."""


def series_rows(
    rows: Reader[Row],
    *,
    time: str | None = None,
    id: str | None = None,
    channels: str | None = None,
    covariates: str | None = None,
    layout: TableLayout = "auto",
    before: Layout | None = None,
    future: bool = False,
) -> Reader[SeriesRow]:
    """Read series from the rows of tables; reading sets the columns in the reader's layout.

    Args:
        rows: The rows.
        time: Column of times: a name, or a number from 1; `none` for no times. None: detected.
        id: Column that tells series apart; `none` for one series. None: detected.
        channels: Columns of the numbers, with commas between. None: all other columns of numbers.
        covariates: Columns that are known for the future as well, with commas between.
        layout: long, rows, or auto.
        before: Layout of the task's earlier data; the rows are read the same way.
        future: Whether the rows hold the known columns alone, for times to come.

    Returns:
        A reader; iteration raises `DataError` if no columns fit.
    """
    chosen: list[SeriesColumns] = []

    def values(items: Iterator[Row | DataError]) -> Iterator[SeriesRow | DataError]:
        sample = list(islice(items, _SAMPLE))
        good = [item for item in sample if isinstance(item, Row)]
        if good and not chosen:
            columns = _earlier_columns(before, good[0]) if before is not None and before.values else None
            columns = columns or _find(good, time, id, channels, covariates, layout, rows.layout)
            chosen.append(columns._replace(channels=()) if future else columns)
            _describe(columns, rows.layout)
        for item in chain(sample, items):
            yield item if isinstance(item, DataError) else _series_row(item, chosen[0])

    return rows.transform(values)


def _describe(columns: SeriesColumns, layout: Layout) -> None:
    layout.input = "series"
    layout.values = columns.channels if columns.layout == "long" else ("value",)
    layout.columns["layout"] = columns.layout
    for role, name in (("time", columns.time), ("id", columns.id)):
        if name is not None:
            layout.columns[role] = name
    if columns.covariates:
        layout.columns["known"] = ",".join(columns.covariates)
    if columns.layout == "long":
        layout.columns["channels"] = ",".join(columns.channels)


def _earlier_columns(before: Layout, row: Row) -> SeriesColumns | None:
    """Return the columns of earlier data; of tables with a series a row, the columns of this table."""
    columns = before.columns
    if columns.get("layout") == "rows":
        steps = tuple(name for name in row.values if name != columns.get("id"))
        return SeriesColumns("rows", None, columns.get("id"), steps)
    covariates = tuple(columns["known"].split(",")) if columns.get("known") else ()
    return SeriesColumns("long", columns.get("time"), columns.get("id"), before.values, covariates)


def _find(
    sample: Sequence[Row],
    time: str | None,
    id: str | None,
    channels: str | None,
    covariates: str | None,
    layout: TableLayout,
    read: Layout,
) -> SeriesColumns:
    """Detect the columns of a table by a sample of its rows."""
    names, where = list(sample[0].values), sample[0].where
    form = read.files.get(where.rpartition(":")[0])

    def named(text: str | None) -> str | None:
        return None if text is None or text == "none" else find_column(names, text, where, layout=form)

    def listed(text: str | None) -> tuple[str, ...]:
        return tuple(find_column(names, part.strip(), where, layout=form) for part in (text or "").split(",") if part)

    future = listed(covariates)
    if layout == "rows" or (layout == "auto" and time is None and channels is None and _is_series_a_row(sample)):
        column = named(id) or next((name for name in names if not _is_numeric(name, sample)), None)
        steps = tuple(name for name in names if name != column)
        return SeriesColumns("rows", None, None if id == "none" else column, steps)
    times = named(time) or (None if time == "none" else _time_column(names, sample))
    rest = [name for name in names if name not in (times, *future)]
    numeric = [name for name in rest if _is_numeric(name, sample)]
    column = named(id)
    if column is None and id != "none":
        usual = [name for name in rest if name.lower() in ID_NAMES and channels is None]
        texts = [name for name in rest if name not in numeric]
        column = next(iter(usual or texts), None)
        if not usual and len(texts) > 1 and channels is None:
            raise DataError(
                f"columns {', '.join(map(repr, texts[:4]))} hold no numbers; name the column that tells series apart: "
                f"{option('id', 'NAME')}, and those to forecast: {option('target', 'NAME,NAME')}",
                where,
            )
    counts = [name for name in numeric if name.lower() in COUNT_NAMES and len(numeric) > 1]
    chosen = listed(channels) or tuple(name for name in numeric if name != column and name not in counts)
    if not chosen:
        raise DataError(f"there is no column of numbers; the columns are {', '.join(names)}", where)
    return SeriesColumns("long", times, column, chosen, future)


def _is_series_a_row(sample: Sequence[Row]) -> bool:
    """Whether each row is a series: a list of numbers, or numbered columns after at most one other column."""
    names = list(sample[0].values)
    if any(isinstance(value, list) for value in sample[0].values.values()):
        return True
    numbers = [int(match[2]) for name in names if (match := _NUMBERED.fullmatch(name))]
    stems = {match[1] for name in names if (match := _NUMBERED.fullmatch(name))}
    in_order = all(two == one + 1 for one, two in pairwise(numbers))
    few = len(names) - len(numbers) <= 1 and len(stems) == 1 and len(numbers) >= _FEWEST_STEPS
    return in_order and few and (names[0] not in {"1", "0"} or not _is_numeric(names[0], sample))


def _time_column(names: Sequence[str], sample: Sequence[Row]) -> str | None:
    usual = [name for name in names if name.lower() in TIME_NAMES]
    for name in (*usual, *(name for name in names if name not in usual)):
        cells = [sample[0].values[name], sample[-1].values.get(name)]
        numeric = all(_is_number(cell) for cell in cells)
        if (name in usual or not numeric) and all(_is_time(cell) for cell in cells):
            return name
    return None


def _is_time(value: object) -> bool:
    try:
        parse_time(value)
    except DataError:
        return False
    return True


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _is_missing(value: object) -> bool:
    return value is None or str(value).strip().casefold() in _MISSING


def _is_numeric(column: str, sample: Sequence[Row]) -> bool:
    """Whether most of the filled cells of a column are numbers."""
    cells = [cell for row in sample if not _is_missing(cell := row.values.get(column))]
    return 2 * sum(map(_is_number, cells)) > len(cells) or not cells


def number_of(value: Any, column: str, where: str) -> float:
    """Return the number in a cell; NaN for a missing one.

    Raises:
        DataError: If the cell holds no number, or an infinite one.
    """
    if _is_missing(value):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"column {column!r} is {value!r:.40}; expected a number, or nothing for a missing one", where
        ) from None
    if math.isinf(number):
        raise DataError(f"column {column!r} is infinite; expected a finite number, or nothing for a missing one", where)
    return number


def numbers_of_steps(cells: Sequence[Any], where: str) -> Numbers:
    """Return the numbers of a list with a number or a list for each step, (steps, channels); NaN where missing.

    Raises:
        DataError: If the steps differ in their channels, or a cell holds no finite number.
    """
    steps = [each if isinstance(each, list | tuple) else [each] for each in cells]
    if len({len(each) for each in steps}) > 1:
        raise DataError("the steps of this series differ in their number of channels; expected as many each", where)
    return np.array([[number_of(cell, "series", where) for cell in each] for each in steps], float)


def _series_row(row: Row, columns: SeriesColumns) -> SeriesRow | DataError:
    try:
        name = ""
        if columns.id is not None:
            name = str(_cell(row, columns.id)).strip()
        if columns.layout == "rows":
            return SeriesRow(row.where, name or row.where, None, "step", _steps(row, columns), np.zeros(0))
        time, resolution = None, "step"
        if columns.time is not None:
            time, resolution = parse_time(_cell(row, columns.time), row.where)
        values, covariates = (
            np.array([number_of(_cell(row, each), each, row.where) for each in part])
            for part in (columns.channels, columns.covariates)
        )
        return SeriesRow(row.where, name, time, resolution, values, covariates)
    except DataError as error:
        return error


def _cell(row: Row, column: str) -> Any:
    if column not in row.values:
        raise DataError(f"there is no column {column!r} here; the columns are {', '.join(row.values)}", row.where)
    return row.values[column]


def _steps(row: Row, columns: SeriesColumns) -> Numbers:
    """Return the numbers of a series in one row, without the missing ones at its end."""
    nested = next((cell for cell in row.values.values() if isinstance(cell, list)), None)
    if nested is not None:
        return numbers_of_steps(nested, row.where)
    values = np.array([number_of(row.values.get(name), name, row.where) for name in columns.channels])
    filled = np.flatnonzero(~np.isnan(values))
    return values[: int(filled[-1]) + 1] if len(filled) else values[:0]
