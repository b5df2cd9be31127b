"""Labelled feature vectors from tables whose columns are numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from unspool.data.files import Layout
from unspool.data.rows import Row, find_column
from unspool.errors import DataError

__all__ = ["LabelledVector", "find_number_columns", "is_number", "label_names", "labelled_vectors", "vector_of"]


class LabelledVector(NamedTuple):
    """A row of numbers and its labels."""

    where: str
    value: tuple[float, ...]
    """The numbers, one for each column."""
    labels: tuple[str, ...]


def find_number_columns(
    sample: Sequence[Row], label: str | None, usual: Sequence[str], layout: Layout | None = None
) -> tuple[list[str], str] | None:
    """Find the label column of a table, and the columns of numbers: all others, if most cells of each are numbers.

    Args:
        sample: Rows of the table.
        label: Column of the label: a name, or a number from 1. None: a column with a usual name, or else the last.
        usual: Usual names of the column of labels.
        layout: How the table was read, for messages.

    Returns:
        The columns of numbers, and the column of labels. None if another column is not numeric, or there is only one.

    Raises:
        DataError: If `label` names no column.
    """
    names = list(sample[0].values)
    where = sample[0].where
    form = layout.files.get(where.rpartition(":")[0]) if layout is not None else None
    if label is not None:
        chosen = find_column(names, label, where, layout=form)
    else:
        chosen = next((name for name in names if name.lower() in usual), names[-1])
    columns = [name for name in names if name != chosen]
    if len(columns) == 1 and all(_is_vector(row.values.get(columns[0])) for row in sample):
        return columns, chosen
    if len(columns) < 2 or not all(_is_numeric(name, sample) for name in columns):
        return None
    return columns, chosen


def _is_numeric(column: str, sample: Sequence[Row]) -> bool:
    """Whether most cells of a column are numbers; the others are then errors, not texts."""
    return 2 * sum(is_number(row.values.get(column)) for row in sample) > len(sample)


def _is_vector(value: object) -> bool:
    """Return whether a cell holds a list of numbers."""
    numbers = isinstance(value, list | tuple) and len(value) > 0
    return numbers and all(not isinstance(part, str) and is_number(part) for part in value)  # type: ignore[attr-defined]


def is_number(value: object) -> bool:
    """Return whether a cell of a table is a finite number."""
    if isinstance(value, bool) or value is None:
        return False
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def labelled_vectors(
    rows: Iterable[Row | DataError], columns: Sequence[str], label: str, separator: str | None
) -> Iterator[LabelledVector | DataError]:
    """Yield a labelled vector, or an error, for each row.

    Args:
        rows: Rows, and the errors of bad rows.
        columns: The columns of numbers, in order.
        label: The column of labels.
        separator: Separator of several labels in one cell; None: a row has one label.
    """
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            yield LabelledVector(row.where, vector_of(row, columns), label_names(row, label, separator))
        except DataError as error:
            yield error


def vector_of(row: Row, columns: Sequence[str]) -> tuple[float, ...]:
    """Return the numbers of a row, in the order of the columns.

    Raises:
        DataError: If a column is missing, or holds no finite number.
    """
    missing = next((name for name in columns if name not in row.values), None)
    if missing is not None:
        raise DataError(f"there is no column {missing!r} here; the columns are {', '.join(row.values)}", row.where)
    if len(columns) == 1 and _is_vector(row.values[columns[0]]):
        return tuple(map(float, row.values[columns[0]]))
    bad = next((name for name in columns if not is_number(row.values[name])), None)
    if bad is not None:
        raise DataError(f"column {bad!r} is {row.values[bad]!r:.40}; expected a finite number", row.where)
    return tuple(float(row.values[name]) for name in columns)


def label_names(row: Row, label: str, separator: str | None) -> tuple[str, ...]:
    """Return the label of a row; with a separator, any number of labels.

    Raises:
        DataError: If the column is missing, or holds another number of labels than one without a separator.
    """
    if label not in row.values:
        raise DataError(f"there is no column {label!r} here; the columns are {', '.join(row.values)}", row.where)
    value = row.values[label]
    listed = value if isinstance(value, list) else [value]
    texts = ["" if each is None else _label_text(each) for each in listed]
    if separator is not None:
        texts = list(chain.from_iterable(text.split(separator) for text in texts))
        return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if len(texts) != 1 or not texts[0].strip():
        raise DataError(f"column {label!r} holds {value!r:.40}; expected one label", row.where)
    return (texts[0].strip(),)


def _label_text(value: object) -> str:
    """Return a label as text; a whole number has no decimal point, whatever its type."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
