"""Catalog entry of the input `text`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from unspool.data.files import Layout
from unspool.data.labelled import LabelledText, find_text_columns, labelled_texts
from unspool.data.rows import Row
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["ENTRY"]


def _find(
    sample: Sequence[Row], text: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> LabelledColumns:
    columns = (*before.values, before.label) if before is not None else ()
    values, labels = find_text_columns(sample, text, label, columns, layout)
    return LabelledColumns((values,), labels)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledText | DataError]:
    return labelled_texts(rows, columns.values[0], columns.label, separator)


ENTRY = InputEntry(
    name="text",
    fitted="FittedText",
    file="vocabulary.json",
    network="recurrent",
    find=_find,
    read=_read,
    describe=lambda columns: {"text": columns.values[0], "label": columns.label},
)
