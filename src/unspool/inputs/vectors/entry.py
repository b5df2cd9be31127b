"""Catalog entry of the input `vectors`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from unspool.data.files import Layout
from unspool.data.labelled import LABEL_NAMES
from unspool.data.rows import Row
from unspool.data.vectors import LabelledVector, find_number_columns, labelled_vectors
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["ENTRY"]


def _find(
    sample: Sequence[Row], text: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> LabelledColumns | None:
    if text is not None:
        return None
    if before is not None and {*before.values, before.label} <= set(sample[0].values):
        return before
    columns = find_number_columns(sample, label, LABEL_NAMES, layout)
    return None if columns is None else LabelledColumns(tuple(columns[0]), columns[1])


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledVector | DataError]:
    return labelled_vectors(rows, columns.values, columns.label, separator)


ENTRY = InputEntry(
    name="vectors",
    order=10,
    fitted="FittedVectors",
    file="vectors.json",
    network="feedforward",
    find=_find,
    read=_read,
    describe=lambda columns: {"numbers": f"{len(columns.values)} columns", "label": columns.label},
)
