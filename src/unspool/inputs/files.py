"""Inputs that are files: columns of paths in tables, lists of paths, folders of class folders, bytes in Base64."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unspool.data.files import Layout, Paths, Reader, find_files, suffix_of
from unspool.data.labelled import find_label_column
from unspool.data.rows import Row, find_column
from unspool.data.unlabelled import Unlabelled, read_unlabelled
from unspool.data.vectors import label_names
from unspool.errors import DataError
from unspool.inputs.entry import LabelledColumns

__all__ = ["LabelledFile", "find_path_column", "from_base64", "path_beside", "read_file_paths", "read_labelled_files"]

_SAMPLE = 20  # rows whose cells decide


class LabelledFile(NamedTuple):
    """The content of a file, such as a sound or an image, and its labels."""

    where: str
    value: Any
    labels: tuple[str, ...]


def path_beside(path: str, where: str) -> str:
    """Return the path of a file that a table or list names: relative to the folder of that table.

    Args:
        path: The path in the table.
        where: Place in the table, `file:line`; of data in memory, the path is relative to the working directory.
    """
    table, _, line = where.rpartition(":")
    folder = os.path.dirname(table) if line.isdecimal() else ""
    return str(Path(folder) / Path(path.strip()).expanduser())


def read_file_paths(
    paths: Paths,
    *,
    suffixes: Sequence[str],
    usual: Sequence[str],
    format: str | None = None,
    columns: Sequence[str] = (),
) -> Reader[Unlabelled]:
    """Open inputs without labels for reading: the files themselves, folders of them, tables or lists of their paths.

    Args:
        paths: Files, folders, globs, lists with a path a line, tables, or `-`.
        suffixes: Suffixes of the files that are inputs themselves.
        usual: Usual names of the column of paths.
        format: Form of the lists and tables; None: by suffix, or else a path a line.
        columns: The columns of a table that may hold the paths.

    Raises:
        DataError: If a file is missing, empty or of another form.
    """
    files: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        files += find_files(path, suffixes=suffixes if os.path.isdir(path) else None)

    def read(file: str) -> Iterator[Unlabelled | DataError]:
        if format is None and suffix_of(file) in suffixes:
            yield Unlabelled(file, file)
            return
        for line in read_unlabelled([file], format=format, columns=columns, usual=usual, kinds=("lines", "rows")):
            yield line if line.is_blank else Unlabelled(line.where, path_beside(str(line.value), line.where))

    return Reader(files, read, skip_bad=None)


def find_path_column(
    sample: Sequence[Row],
    column: str | None,
    label: str | None,
    before: LabelledColumns | None,
    layout: Layout,
    is_value: Callable[[object], bool],
) -> LabelledColumns | None:
    """Find the column of paths and the column of labels in a sample of rows.

    Args:
        sample: Rows of the table, at least one.
        column: Name or number, from 1, of the column of paths; None: the first with paths in most of its cells.
        label: Name or number, from 1, of the column of labels; None: by its usual name, or the only other column.
        before: The columns of earlier data; they come first.
        layout: How the table was read, for messages.
        is_value: Whether a cell names a file of this input, or holds its content.

    Returns:
        The columns; None if no column holds such files.

    Raises:
        DataError: If the column of labels is unclear, or a column in the arguments is missing.
    """
    names, where = list(sample[0].values), sample[0].where
    if before is not None and {*before.values, before.label} <= set(names):
        return before
    form = layout.files.get(where.rpartition(":")[0])
    values = None if column is None else find_column(names, column, where, layout=form)
    candidates = names if values is None else [values]
    rows = sample[:_SAMPLE]
    holding = [name for name in candidates if 2 * sum(is_value(row.values.get(name)) for row in rows) > len(rows)]
    if not holding:
        return None
    columns = (holding[0],)
    return LabelledColumns(columns, find_label_column(names, columns, label, where, form))


def read_labelled_files(
    rows: Iterable[Row | DataError],
    columns: LabelledColumns,
    separator: str | None,
    read: Callable[[Any, str], Any],
    noun: str,
) -> Iterator[LabelledFile | DataError]:
    """Yield the content of the file that each row names, with its labels, or an error.

    Args:
        rows: Rows, and the errors of bad rows.
        columns: The columns of paths and labels.
        separator: Separator of several labels in one cell; None: a file has one label.
        read: Function that reads a path, or converts a value; its second argument is the value's place.
        noun: A noun for the content, with its article, for messages: a sound.
    """
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            labels = label_names(row, columns.label, separator)
            yield LabelledFile(row.where, _content(row, columns.values[0], read, noun), labels)
        except DataError as error:
            yield error


def _content(row: Row, column: str, read: Callable[[Any, str], Any], noun: str) -> Any:
    value = row.values.get(column)
    if not isinstance(value, str):
        return read(value, row.where)
    if not value.strip():
        raise DataError(f"column {column!r} is empty; expected the path of {noun}", row.where)
    path = value if value == row.where else path_beside(value, row.where)
    try:
        return read(path, row.where)
    except DataError as error:
        if row.where in (path, error.where):
            raise
        raise DataError(error.message, row.where) from None


def from_base64(value: Any, where: str, noun: str) -> bytes:
    """Decode the bytes of a file from a request.

    Args:
        value: Text in Base64.
        where: Place of the value, for messages.
        noun: The kind of file, for messages: a WAV file.

    Raises:
        DataError: If the value is no Base64.
    """
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise DataError(f"the text is no Base64; expected the bytes of {noun} in Base64", where) from None
