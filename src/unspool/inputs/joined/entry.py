"""Catalog entry of the input `joined`: several columns of a table, each a text, an image or a sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, tee
from typing import Any

from unspool.data.files import Layout
from unspool.data.labelled import find_label_column
from unspool.data.rows import Row, find_column
from unspool.errors import DataError, option
from unspool.inputs.audio.entry import ENTRY as AUDIO
from unspool.inputs.entry import InputEntry, LabelledColumns
from unspool.inputs.images.entry import ENTRY as IMAGES
from unspool.inputs.joined.values import JoinedValue, LabelledJoined
from unspool.inputs.text.entry import ENTRY as TEXT

__all__ = ["ENTRY"]

_PARTS = (IMAGES, AUDIO, TEXT)
_SAMPLE = 20  # rows whose cells decide on the input of a column


def _find(
    sample: Sequence[Row], text: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> LabelledColumns | None:
    names, where = list(sample[0].values), sample[0].where
    if before is not None and {*before.values, before.label} <= set(names):
        return before
    if text is None or "," not in text or text in names:
        return None
    form = layout.files.get(where.rpartition(":")[0])
    columns = [find_column(names, name.strip(), where, layout=form) for name in text.split(",")]
    if len(set(columns)) < len(columns):
        raise DataError(f"{option('text', text)} names a column twice; name each once", where)
    return LabelledColumns(tuple(columns), find_label_column(names, columns, label, where, form))


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledJoined | DataError]:
    rows = iter(rows)
    sample = list(islice(rows, _SAMPLE))
    good = [row for row in sample if isinstance(row, Row)]
    entries = [_entry_of(good, column, columns.label) for column in columns.values] if good else []
    kinds = tuple(entry.name for entry in entries)
    copies = tee(chain(sample, rows), max(1, len(entries)))
    if not entries:
        yield from (row for row in copies[0] if isinstance(row, DataError))
        return
    readers = [
        entry.read(copy, LabelledColumns((column,), columns.label), separator, settings)
        for entry, copy, column in zip(entries, copies, columns.values, strict=True)
    ]
    for parts in zip(*readers, strict=True):
        errors = [part for part in parts if isinstance(part, DataError)]
        if errors:
            yield errors[0]
        else:
            value = JoinedValue(kinds, tuple(part.value for part in parts))
            yield LabelledJoined(parts[0].where, value, parts[0].labels)


def _entry_of(sample: Sequence[Row], column: str, label: str) -> InputEntry:
    """Return the input of a column: the first that its cells fit; texts take any."""
    for entry in _PARTS:
        if entry.find(sample, column, label, None, Layout()) is not None:
            return entry
    raise DataError(f"column {column!r} holds neither texts nor paths of images or sounds", sample[0].where)


ENTRY = InputEntry(
    name="joined",
    order=1,
    fitted="FittedJoined",
    file="joined.json",
    network="auto",
    find=_find,
    read=_read,
    describe=lambda columns: {"inputs": ", ".join(columns.values), "label": columns.label},
)
