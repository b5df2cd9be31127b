"""Labelled texts from the rows of a table, and detection of their columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from unspool.data.files import Layout
from unspool.data.rows import Row, find_column, guess_text_and_label
from unspool.errors import DataError, option

__all__ = ["LABEL_NAMES", "TEXT_NAMES", "LabelledText", "find_label_column", "find_text_columns", "labelled_texts"]

TEXT_NAMES = ("text", "sentence", "question", "tokens", "words", "review", "content")
"""Usual names of the column of texts."""
LABEL_NAMES = ("label", "labels", "class", "category", "intent", "sentiment", "target", "tag", "tags")
"""Usual names of the column of labels."""


class LabelledText(NamedTuple):
    """A text and its labels: one label, or any number with the setting `several`."""

    where: str
    value: str | list[str]
    """A text, or a list of words."""
    labels: tuple[str, ...]


def find_text_columns(
    sample: Sequence[Row], text: str | None, label: str | None, columns: Sequence[str], layout: Layout
) -> tuple[str, str]:
    """Find the columns of texts and labels in a sample of rows, by their usual names, else by content.

    Args:
        sample: Rows of the table, at least one.
        text: Name or number, from 1, of the column of texts; None: detect it.
        label: Name or number, from 1, of the column of labels; None: detect it.
        columns: The two columns of other data of the task; they come before the usual names.
        layout: How the table was read, for messages.

    Returns:
        The names of the columns of texts and of labels.

    Raises:
        DataError: If the columns are ambiguous, or a column in the arguments is missing.
    """
    names, where = list(sample[0].values), sample[0].where
    form = layout.files.get(where.rpartition(":")[0])
    before = columns if len(columns) == 2 and set(columns) <= set(names) else (None, None)
    one, other = (
        find_column(names, setting, where, layout=form) if setting is not None else earlier or _usual(names, usual)
        for setting, earlier, usual in zip((text, label), before, (TEXT_NAMES, LABEL_NAMES), strict=True)
    )
    if one is None and other is None:
        try:
            return guess_text_and_label(sample)
        except DataError as error:
            message = error.message.removeprefix(f"{error.where}: ")
            raise DataError(f"{message} (read with {form})" if form else message, error.where) from None
    if one is not None and other is not None:
        return one, other
    others = [name for name in names if name not in (one, other)]
    if len(others) != 1:
        what = "text" if one is None else "label"
        read = f" (read with {form})" * bool(form)
        raise DataError(
            f"can't tell which column holds the {what} among {', '.join(names)}{read}; pass {option(what, 'NAME')}",
            where,
        )
    return one or others[0], other or others[0]


def find_label_column(
    names: Sequence[str], taken: Sequence[str], label: str | None, where: str, form: str | None
) -> str:
    """Find the column of labels: the one asked for, else by its usual name, else the only other column.

    Args:
        names: Names of all columns.
        taken: Columns of the values.
        label: Name or number, from 1, of the column; None: detect it.
        where: Place of the table, for messages.
        form: How the table was read, for messages.

    Raises:
        DataError: If the column is unclear or missing.
    """
    if label is not None:
        return find_column(names, label, where, layout=form)
    others = [name for name in names if name not in taken]
    usual = [name for name in others if name.lower() in LABEL_NAMES]
    if not usual and len(others) != 1:
        raise DataError(
            f"can't tell which column holds the label among {', '.join(names)}; pass {option('label', 'NAME')}", where
        )
    return (usual or others)[0]


def labelled_texts(
    rows: Iterable[Row | DataError], text: str, label: str, separator: str | None
) -> Iterator[LabelledText | DataError]:
    """Yield a labelled text, or an error, for each row.

    Args:
        rows: Rows, and the errors of bad rows.
        text: The column of texts.
        label: The column of labels.
        separator: Separator of several labels in one cell; None: a text has one label.
    """
    for row in rows:
        yield row if isinstance(row, DataError) else _labelled(row, text, label, separator)


def _usual(names: Iterable[str], usual: Sequence[str]) -> str | None:
    return next((name for name in names if name.lower() in usual), None)


def _labelled(row: Row, text_column: str, label_column: str, separator: str | None) -> LabelledText | DataError:
    for name in (text_column, label_column):
        if name not in row.values and not (name == label_column and separator is not None):
            return DataError(f"there is no column {name!r} here; the columns are {', '.join(row.values)}", row.where)
    text, label = row.values[text_column], row.values.get(label_column)
    for name, value in ((text_column, text), (label_column, label)):
        if isinstance(value, float) and not math.isfinite(value):
            missing = f"column {name!r} is {value}, as tables write a missing value; expected a text or a number"
            return DataError(missing, row.where)
    if not text or (isinstance(text, str) and not text.strip()):
        return DataError(f"column {text_column!r} is empty; expected a text", row.where)
    if separator is None and (label is None or (isinstance(label, str) and not label.strip())):
        return DataError(f"column {label_column!r} is empty; expected a label", row.where)
    if separator is None and isinstance(label, list):
        return DataError(f"column {label_column!r} holds a list of labels; train with {option('several')}", row.where)
    words = [str(word) for word in text] if isinstance(text, list) else str(text)
    return LabelledText(row.where, words, _label_names(label, separator))


def _label_names(label: object, separator: str | None) -> tuple[str, ...]:
    if separator is None:
        return (str(label).strip(),)
    parts = label if isinstance(label, list) else str("" if label is None else label).split(separator)
    return tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))
