"""Catalog entry of the input `series`: labelled series in rows, in cells, in long tables, or a file each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from unspool.data.files import Layout
from unspool.data.labelled import LABEL_NAMES
from unspool.data.rows import Row, find_column
from unspool.data.series_names import COUNT_NAMES, ID_NAMES, TIME_NAMES
from unspool.data.vectors import is_number
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["ENTRY", "FOLDER", "STEP_NAMES", "SeriesLabelled", "earlier_columns"]

STEP_NAMES = re.compile(r"(t|time|step|timestep|t_|step_)(\d+)", re.IGNORECASE)
"""Names of columns for the steps of a series: t0, t1, ..."""
_FEWEST_STEPS = 8  # numbered columns of a row that is a series
FOLDER = "folder"
"""Name in place of the label column if folders are the labels."""


@dataclass(frozen=True)
class SeriesLabelled(LabelledColumns):
    """Columns of labelled series."""

    id: str | None = None
    """Column that tells series apart in a long table."""


def _find(
    sample: Sequence[Row], column: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> SeriesLabelled | None:
    """Detect series that no other input would read rightly: cells of lists, and columns numbered by time."""
    names = list(sample[0].values)
    where = sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    if before is not None:
        return earlier_columns(sample, before)
    chosen = find_column(names, label, where, layout=form) if label is not None else None
    if column is not None:
        names = [find_column(names, column, where, layout=form), *([chosen] if chosen else [])]
    lists = [name for name in names if name != chosen and _is_series(name, sample)]
    if lists:
        others = [name for name in sample[0].values if name != lists[0]]
        usual = [name for name in others if name.lower() in LABEL_NAMES]
        return SeriesLabelled((lists[0],), chosen or next(iter(usual or others), FOLDER))
    steps = [name for name in names if STEP_NAMES.fullmatch(name)]
    rest = [name for name in names if name not in steps]
    if len(steps) >= _FEWEST_STEPS and len(rest) == 1 and _in_order(steps):
        return SeriesLabelled(tuple(steps), chosen or rest[0])
    return None


def _find_chosen(
    sample: Sequence[Row], column: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> SeriesLabelled | None:
    """Detect series in tables that may hold something else: long tables, files, and columns of numbers."""
    columns = _find(sample, column, label, before, layout)
    if columns is not None:
        return columns
    names, where = list(sample[0].values), sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    chosen = find_column(names, label, where, layout=form) if label is not None else None
    usual = [name for name in names if name.lower() in LABEL_NAMES]
    labels = chosen or next(iter(usual), None)
    ids = [name for name in names if name.lower() in ID_NAMES and name != labels]
    times = [name for name in names if name.lower() in (*TIME_NAMES, *COUNT_NAMES)]
    numbers = [name for name in names if name not in (labels, *ids, *times) and _is_numeric(name, sample)]
    if not numbers:
        return None
    if ids and labels is not None:
        return SeriesLabelled(tuple(numbers), labels, ids[0])
    if labels is None and names == [str(number) for number in range(1, len(names) + 1)] and len(names) > _FEWEST_STEPS:
        return SeriesLabelled(tuple(names[1:]), names[0])  # as the UCR archive has them: the label, then the steps
    if labels is None:
        return SeriesLabelled(tuple(numbers), FOLDER)
    return SeriesLabelled(tuple(numbers), labels)


def earlier_columns(sample: Sequence[Row], before: LabelledColumns) -> SeriesLabelled | None:
    """Return the columns of earlier data in a table, with its id column if it has one; None if they are missing."""
    names = list(sample[0].values)
    if not set(before.values) <= set(names):
        steps = [name for name in names if name != before.label and STEP_NAMES.fullmatch(name)]
        longer = len(steps) >= 1 and all(map(STEP_NAMES.fullmatch, before.values))
        return SeriesLabelled(tuple(steps), before.label) if longer else None
    if before.label != FOLDER and before.label not in names:
        return None
    ids = [name for name in names if name.lower() in ID_NAMES and name not in (*before.values, before.label)]
    is_row = len(before.values) == 1 and _is_series(before.values[0], sample)
    return SeriesLabelled(before.values, before.label, ids[0] if ids and not is_row else None)


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
    matches = [STEP_NAMES.fullmatch(name) for name in steps]
    numbers = [int(match[2]) for match in matches if match]
    return all(other == one + 1 for one, other in pairwise(numbers))


def _is_numeric(name: str, sample: Sequence[Row]) -> bool:
    return 2 * sum(is_number(row.values.get(name)) for row in sample) > len(sample)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[Any]:
    from unspool.inputs.series.reading import labelled_series

    return labelled_series(rows, columns, separator)


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
