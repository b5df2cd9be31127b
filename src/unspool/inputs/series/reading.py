"""Labelled and unlabelled series from rows: in cells, in columns, in long tables, or a file each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data.files import Paths, Reader
from unspool.data.rows import Row, read_rows
from unspool.data.series_tables import number_of, numbers_of_steps
from unspool.data.unlabelled import Unlabelled
from unspool.data.vectors import label_names
from unspool.errors import DataError
from unspool.inputs.entry import LabelledColumns
from unspool.inputs.series.entry import FOLDER, STEP_NAMES, earlier_columns

__all__ = ["LabelledSeries", "Value", "labelled_series", "read_series", "series_value"]

Value = NDArray[np.float32]


class LabelledSeries(NamedTuple):
    """A series and its labels."""

    where: str
    value: Value
    """NaN where missing, (steps, channels)."""
    labels: tuple[str, ...]


def series_value(cell: Any, where: str) -> Value:
    """Convert a list of numbers, or of lists of numbers, to a series, (steps, channels); None is a missing value.

    Raises:
        DataError: If the cell holds something else, an infinite number, or no number.
    """
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if not isinstance(cell, list | tuple) or not cell:
        raise DataError(f"{cell!r:.40} came; expected a list of numbers, or of lists of numbers", where)
    return _without_end(numbers_of_steps(cell, where).astype(np.float32), where)


def _without_end(values: Value, where: str) -> Value:
    """Remove the missing steps at the end of a series."""
    seen = np.flatnonzero(~np.isnan(values).all(1))
    if not len(seen):
        raise DataError("there is no number in this series; expected at least one", where)
    return values[: int(seen[-1]) + 1]


def labelled_series(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None
) -> Iterator[LabelledSeries | DataError]:
    """Yield the labelled series of one file, and the errors of bad ones.

    Args:
        rows: Rows of the file, and the errors of bad rows.
        columns: Columns of the series and of the label.
        separator: Separator of several labels; None: a series has one label.
    """
    id: str | None = getattr(columns, "id", None)
    steps = len(columns.values) > 1  # a column for each step
    gathered: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            if id is not None:
                gathered.setdefault(str(row.values.get(id)), []).append(row)
            elif columns.label == FOLDER and not isinstance(row.values.get(columns.values[0]), list):
                gathered.setdefault("", []).append(row)
            else:
                yield LabelledSeries(row.where, _value(row, columns, steps=steps), _labels(row, columns, separator))
        except DataError as error:
            yield error
    for each in gathered.values():
        try:
            labels = {_labels(row, columns, separator) for row in each}
            if len(labels) > 1:
                name = each[0].values.get(id or "")
                raise DataError(f"series {name!r} has several labels; expected one", each[0].where)
            value = np.concatenate([_step(row, columns) for row in each])
            yield LabelledSeries(each[0].where, _without_end(value, each[0].where), labels.pop())
        except DataError as error:
            yield error


def _labels(row: Row, columns: LabelledColumns, separator: str | None) -> tuple[str, ...]:
    if columns.label == FOLDER and FOLDER not in row.values:
        return (Path(row.where.rpartition(":")[0]).resolve().parent.name,)
    return label_names(row, columns.label, separator)


def _value(row: Row, columns: LabelledColumns, *, steps: bool) -> Value:
    """Return the series of a row: a cell with a list, or a column for each step."""
    if not steps:
        return series_value(row.values.get(columns.values[0]), row.where)
    values = np.array([number_of(row.values.get(name), name, row.where) for name in columns.values], np.float32)
    return _without_end(values[:, None], row.where)


def _step(row: Row, columns: LabelledColumns) -> Value:
    """Return one step of a long table, (1, channels)."""
    return np.array([[number_of(row.values.get(name), name, row.where) for name in columns.values]], np.float32)


def read_series(paths: Paths, *, format: str | None = None, columns: Sequence[str] = ()) -> Reader[Unlabelled]:
    """Open series without labels for reading, in the tables that hold labelled ones.

    Args:
        paths: Files, folders or globs.
        format: Form of the files; None: by suffix.
        columns: Columns of the series.

    Raises:
        DataError: If a file is missing, empty, or lacks a column.
    """
    rows = read_rows(paths, format=format, names=frozenset(name.casefold() for name in columns))

    def values(items: Iterator[Row | DataError]) -> Iterator[Unlabelled | DataError]:
        listed = list(items)
        good = [item for item in listed if isinstance(item, Row)]
        if not good:
            yield from (item for item in listed if isinstance(item, DataError))
            return
        used = earlier_columns(good, LabelledColumns(tuple(columns), FOLDER))
        if used is None:
            yield DataError(
                f"the columns of the series are missing: {', '.join(columns[:5])}; they are "
                f"{', '.join(list(good[0].values)[:10])}",
                good[0].where,
            )
            return
        row_each = all(map(STEP_NAMES.fullmatch, used.values)) and len(used.values) > 1
        if row_each or all(name.isdecimal() for name in used.values):
            for item in listed:
                yield item if isinstance(item, DataError) else Unlabelled(item.where, _value(item, used, steps=True))
            return
        for each in labelled_series(listed, used, None):
            yield each if isinstance(each, DataError) else Unlabelled(each.where, each.value)

    return rows.transform(values)
