"""Catalog of inputs: discovers the input folders, and reads labelled values from rows; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from unspool.data.files import Layout, Paths, Reader
from unspool.data.image_names import IMAGE_NAMES
from unspool.data.labelled import LABEL_NAMES, TEXT_NAMES
from unspool.data.rows import Header, Row, read_rows
from unspool.data.sound_names import SOUND_NAMES
from unspool.discovery import discover_entries
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["INPUTS", "labelled_rows", "read_labelled"]

_SAMPLE = 1000  # rows for column detection


INPUTS: Mapping[str, InputEntry] = discover_entries("unspool.inputs", "entry")
"""All inputs by name, in the order of detection."""


def read_labelled(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    column: str | None = None,
    label: str | None = None,
    separator: str | None = None,
    before: Layout | None = None,
    settings: Any = None,
    skip_bad: bool = False,
    input: str | None = None,
    labels: str | None = None,
) -> Reader[Any]:
    """Read labelled values from tables, arrays, or folders of sounds or images; see `read_rows` and `labelled_rows`."""
    earlier = () if before is None else (*before.values, *before.columns_of("label"))
    names = {name for name in (column, label, *earlier) if name and not name.isdecimal()}
    names |= {*TEXT_NAMES, *LABEL_NAMES, *SOUND_NAMES, *IMAGE_NAMES}
    rows = read_rows(
        paths,
        format=format,
        header=header,
        delimiter=delimiter,
        names=names,
        skip_bad=skip_bad,
        whole_files=True,
        labels=labels,
    )
    return labelled_rows(
        rows, column=column, label=label, separator=separator, before=before, settings=settings, input=input
    )


def labelled_rows(
    rows: Reader[Row],
    *,
    column: str | None = None,
    label: str | None = None,
    separator: str | None = None,
    before: Layout | None = None,
    settings: Any = None,
    input: str | None = None,
) -> Reader[Any]:
    """Read labelled values from rows, with the first input whose columns the table contains.

    Reading sets `input` and the columns in the reader's layout.

    Args:
        rows: Rows with value columns and one label column.
        column: Column of the value: a name, or a number from 1; detected if omitted.
        label: Column of the label: a name, or a number from 1; detected if omitted.
        separator: Separator between several labels in one cell; None: one label per example.
        before: Input and columns of the task's earlier data; the rows are read the same way.
        settings: Settings of the task, for inputs with settings of their own.
        input: Name of the input; None: the first whose columns the table contains.

    Returns:
        A reader of named tuples with `where`, `value` and `labels`. Iteration raises `DataError` if no column fits.
    """
    chosen: list[tuple[InputEntry, LabelledColumns]] = []

    def values(items: Iterator[Row | DataError]) -> Iterator[Any]:
        sample = list(islice(items, _SAMPLE))
        good = [item for item in sample if isinstance(item, Row)]
        if good and not chosen:
            chosen.append(_find(good, column, label, before, rows.layout, input))
            entry, columns = chosen[0]
            rows.layout.input, rows.layout.values = entry.name, columns.values
            rows.layout.columns |= entry.describe(columns)
        if not chosen:
            return (item for item in sample if isinstance(item, DataError))
        entry, columns = chosen[0]
        return entry.read(chain(sample, items), columns, separator, settings)

    return rows.transform(values)


def _find(
    sample: list[Row],
    column: str | None,
    label: str | None,
    before: Layout | None,
    layout: Layout,
    input: str | None,
) -> tuple[InputEntry, LabelledColumns]:
    earlier = None
    entries = list(INPUTS.values()) if input is None else [INPUTS[input]]
    if before is not None and before.input and "label" in before.columns:
        entries = [INPUTS[before.input]]
        earlier = LabelledColumns(before.values, before.columns["label"])
    for entry in entries:
        find = entry.find if input is None else entry.find_chosen or entry.find
        columns = find(sample, column, label, earlier, layout)
        if columns is not None:
            return entry, columns
    before_this = "" if earlier is None else " as the training data did"
    raise DataError(
        f"the columns do not hold {entries[-1].name}{before_this}; they are {', '.join(sample[0].values)}",
        sample[0].where,
    )
