"""Catalog entry of the input `audio`: a column of paths of sound files, or a folder of files for each label."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unspool.data.files import Layout, Paths, Reader, find_files
from unspool.data.labelled import LABEL_NAMES
from unspool.data.rows import Row, find_column
from unspool.data.sound_names import LONGEST_SOUND, SOUND_NAMES, SOUND_SUFFIXES, is_sound_file
from unspool.data.unlabelled import Unlabelled, read_unlabelled
from unspool.data.vectors import label_names
from unspool.errors import DataError, option
from unspool.inputs.entry import InputEntry, LabelledColumns

if TYPE_CHECKING:
    from unspool.data.sounds import Sound

__all__ = ["ENTRY", "LabelledSound", "path_beside", "read_sound_paths"]

_SAMPLE = 20  # rows whose cells decide


class LabelledSound(NamedTuple):
    """A sound and its labels."""

    where: str
    value: Sound
    labels: tuple[str, ...]


def path_beside(path: str, where: str) -> str:
    """Return the path of a sound that a table or list names: relative to the folder of that file.

    Args:
        path: The path in the table.
        where: Place in the table, `file:line`; of data in memory, the path is relative to the working directory.
    """
    table, _, line = where.rpartition(":")
    folder = os.path.dirname(table) if line.isdecimal() else ""
    return str(Path(folder) / Path(path.strip()).expanduser())


def read_sound_paths(paths: Paths, *, format: str | None = None, columns: Sequence[str] = ()) -> Reader[Unlabelled]:
    """Open sounds without labels for reading: sound files, folders of them, and tables or lists of their paths.

    Args:
        paths: Sound files, folders, globs, lists with a path a line, tables, or `-`.
        format: Form of the lists and tables; None: by suffix, or else a path a line.
        columns: The columns of a table that may hold the paths.

    Raises:
        DataError: If a file is missing, empty or of another form.
    """
    files: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        files += find_files(path, suffixes=SOUND_SUFFIXES if os.path.isdir(path) else None)

    def read(file: str) -> Iterator[Unlabelled | DataError]:
        if format is None and is_sound_file(file):
            yield Unlabelled(file, file)
            return
        for line in read_unlabelled([file], format=format, columns=columns, usual=SOUND_NAMES, kinds=("lines", "rows")):
            yield line if line.is_blank else Unlabelled(line.where, path_beside(str(line.value), line.where))

    return Reader(files, read, skip_bad=None)


def _find(
    sample: Sequence[Row], column: str | None, label: str | None, before: LabelledColumns | None, layout: Layout
) -> LabelledColumns | None:
    names, where = list(sample[0].values), sample[0].where
    if before is not None and {*before.values, before.label} <= set(names):
        return before
    form = layout.files.get(where.rpartition(":")[0])
    values = None if column is None else find_column(names, column, where, layout=form)
    candidates = names if values is None else [values]
    rows = sample[:_SAMPLE]
    sounds = [name for name in candidates if 2 * sum(_is_sound(row.values.get(name)) for row in rows) > len(rows)]
    if not sounds:
        return None
    values = sounds[0]
    if label is not None:
        return LabelledColumns((values,), find_column(names, label, where, layout=form))
    others = [name for name in names if name != values]
    usual = [name for name in others if name.lower() in LABEL_NAMES]
    if not usual and len(others) != 1:
        raise DataError(
            f"can't tell which column holds the label among {', '.join(names)}; pass {option('label', 'NAME')}", where
        )
    return LabelledColumns((values,), (usual or others)[0])


def _is_sound(value: object) -> bool:
    from unspool.data.sounds import FeatureFrames, Recording

    return isinstance(value, Recording | FeatureFrames) or is_sound_file(value)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledSound | DataError]:
    longest = settings.audio.longest if hasattr(settings, "audio") else LONGEST_SOUND
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            labels = label_names(row, columns.label, separator)
            yield LabelledSound(row.where, _sound(row, columns.values[0], longest), labels)
        except DataError as error:
            yield error


def _sound(row: Row, column: str, longest: float) -> Sound:
    from unspool.data.sounds import sound_of

    value = row.values.get(column)
    if isinstance(value, str):
        if not value.strip():
            raise DataError(f"column {column!r} is empty; expected the path of a sound", row.where)
        path = value if value == row.where else path_beside(value, row.where)
        try:
            return sound_of(path, row.where, longest=longest)
        except DataError as error:
            if row.where in (path, error.where):
                raise
            raise DataError(error.message, row.where) from None
    return sound_of(value, row.where, longest=longest)


ENTRY = InputEntry(
    name="audio",
    order=5,
    fitted="FittedAudio",
    file="audio.json",
    network="convolutional",
    find=_find,
    read=_read,
    describe=lambda columns: {"audio": columns.values[0], "label": columns.label},
)
