"""Catalog entry of the input `series`: labelled series in rows, in cells, in long tables, or a file each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data.files import Layout, Paths, Reader
from unspool.data.labelled import LABEL_NAMES
from unspool.data.rows import Row, find_column, read_rows
from unspool.data.series import ID_NAMES, TIME_NAMES, number_of
from unspool.data.unlabelled import Unlabelled
from unspool.data.vectors import is_number, label_names
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["ENTRY", "LabelledSeries", "read_series", "series_value"]

_STEP_NAMES = re.compile(r"(t|time|step|timestep|t_|step_)(\d+)", re.IGNORECASE)
_FEWEST_STEPS = 8  # numbered columns of a row that is a series
_FOLDER = "folder"  # stands for the label column if folders are the labels

Value = NDArray[np.float32]


class LabelledSeries(NamedTuple):
    """A series and its labels."""

    where: str
    value: Value
    """NaN where missing, (steps, channels)."""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class _Columns(LabelledColumns):
    """Columns of labelled series."""

    id: str | None = None
    """Column that tells series apart in a long table."""


def series_value(cell: Any, where: str) -> Value:
    """Convert a list of numbers, or of lists of numbers, to a series, (steps, channels); None is a missing value.

    Raises:
        DataError: If the cell holds something else, an infinite number, or no number.
    """
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if not isinstance(cell, list | tuple) or not cell:
        raise DataError(f"{cell!r:.40} came; expected a list of numbers, or of lists of numbers", where)
    steps = [list(each) if isinstance(each, list | tuple) else [each] for each in cell]
    if len({len(each) for each in steps}) > 1:
        raise DataError("the steps of this series differ in their number of channels; expected as many each", where)
    values = np.array([[number_of(number, "series", where) for number in each] for each in steps], np.float32)
    return _without_end(values, where)


def _without_end(values: Value, where: str) -> Value:
    """Remove the missing steps at the end of a series."""
    seen = np.flatnonzero(~np.isnan(values).all(1))
    if not len(seen):
        raise DataError("there is no number in this series; expected at least one", where)
    return values[: int(seen[-1]) + 1]


def _find(
    sample: Sequence[Row], column: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> _Columns | None:
    """Detect series that no other input would read rightly: cells of lists, and columns numbered by time."""
    names = list(sample[0].values)
    where = sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    if before is not None:
        return _earlier(sample, before)
    chosen = find_column(names, label, where, layout=form) if label is not None else None
    if column is not None:
        names = [find_column(names, column, where, layout=form), *([chosen] if chosen else [])]
    lists = [name for name in names if name != chosen and _is_series(name, sample)]
    if lists:
        others = [name for name in sample[0].values if name != lists[0]]
        usual = [name for name in others if name.lower() in LABEL_NAMES]
        return _Columns((lists[0],), chosen or next(iter(usual or others), _FOLDER))
    steps = [name for name in names if _STEP_NAMES.fullmatch(name)]
    rest = [name for name in names if name not in steps]
    if len(steps) >= _FEWEST_STEPS and len(rest) == 1 and _in_order(steps):
        return _Columns(tuple(steps), chosen or rest[0])
    return None


def _find_chosen(
    sample: Sequence[Row], column: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> _Columns | None:
    """Detect series in tables that may hold something else: long tables, files, and columns of numbers."""
    found = _find(sample, column, label, before, layout)
    if found is not None:
        return found
    names, where = list(sample[0].values), sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    chosen = find_column(names, label, where, layout=form) if label is not None else None
    usual = [name for name in names if name.lower() in LABEL_NAMES]
    labels = chosen or next(iter(usual), None)
    ids = [name for name in names if name.lower() in ID_NAMES and name != labels]
    times = [name for name in names if name.lower() in TIME_NAMES]
    numbers = [name for name in names if name not in (labels, *ids, *times) and _is_numeric(name, sample)]
    if not numbers:
        return None
    if ids and labels is not None:
        return _Columns(tuple(numbers), labels, ids[0])
    if labels is None and names == [str(number) for number in range(1, len(names) + 1)] and len(names) > _FEWEST_STEPS:
        return _Columns(tuple(names[1:]), names[0])  # as the UCR archive has them: the label, then the steps
    if labels is None:
        return _Columns(tuple(numbers), _FOLDER)
    return _Columns(tuple(numbers), labels)


def _earlier(sample: Sequence[Row], before: LabelledColumns) -> _Columns | None:
    names = list(sample[0].values)
    if not set(before.values) <= set(names):
        steps = [name for name in names if name != before.label and _STEP_NAMES.fullmatch(name)]
        longer = len(steps) >= 1 and all(map(_STEP_NAMES.fullmatch, before.values))
        return _Columns(tuple(steps), before.label) if longer else None
    if before.label != _FOLDER and before.label not in names:
        return None
    ids = [name for name in names if name.lower() in ID_NAMES and name not in (*before.values, before.label)]
    is_row = len(before.values) == 1 and _is_series(before.values[0], sample)
    return _Columns(before.values, before.label, ids[0] if ids and not is_row else None)


def _is_series(name: str, sample: Sequence[Row]) -> bool:
    """Whether the cells of a column are lists of lists of numbers, or lists of numbers of unequal length."""
    cells = [row.values.get(name) for row in sample]
    filled = [cell for cell in cells if isinstance(cell, list) and cell]
    if 2 * len(filled) <= len(cells):
        return False
    if all(isinstance(step, list) for step in filled[0]):
        return all(is_number(cell) or cell is None for step in filled[0] for cell in step)
    numbers = all(is_number(cell) and not isinstance(cell, str) for cell in filled[0])
    return numbers and len({len(cell) for cell in filled}) > 1


def _in_order(steps: Sequence[str]) -> bool:
    matches = [_STEP_NAMES.fullmatch(name) for name in steps]
    numbers = [int(match[2]) for match in matches if match]
    return all(other == one + 1 for one, other in pairwise(numbers))


def _is_numeric(name: str, sample: Sequence[Row]) -> bool:
    return 2 * sum(is_number(row.values.get(name)) for row in sample) > len(sample)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledSeries | DataError]:
    """Yield the labelled series of one file."""
    id: str | None = getattr(columns, "id", None)
    steps = _is_a_step(columns)
    gathered: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            if id is not None:
                gathered.setdefault(str(row.values.get(id)), []).append(row)
            elif columns.label == _FOLDER and not isinstance(row.values.get(columns.values[0]), list):
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


def _is_a_step(columns: LabelledColumns) -> bool:
    return len(columns.values) > 1


def _labels(row: Row, columns: LabelledColumns, separator: str | None) -> tuple[str, ...]:
    if columns.label == _FOLDER and _FOLDER not in row.values:
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
        found = _earlier(good, LabelledColumns(tuple(columns), _FOLDER))
        if found is None:
            yield DataError(
                f"the columns of the series are missing: {', '.join(columns[:5])}; they are "
                f"{', '.join(list(good[0].values)[:10])}",
                good[0].where,
            )
            return
        row_each = all(map(_STEP_NAMES.fullmatch, found.values)) and len(found.values) > 1
        if row_each or all(name.isdecimal() for name in found.values):
            for item in good:
                yield Unlabelled(item.where, _value(item, found, steps=True))
            return
        for each in _read(listed, found, None, None):
            yield each if isinstance(each, DataError) else Unlabelled(each.where, each.value)

    return rows.transform(values)


ENTRY = InputEntry(
    name="series",
    order=8,
    fitted="FittedSeries",
    file="series.json",
    network="fcn",
    find=_find,
    find_chosen=_find_chosen,
    read=_read,
    describe=lambda columns: {
        "series": columns.values[0] if len(columns.values) == 1 else f"{len(columns.values)} columns",
        "label": columns.label,
    },
)
