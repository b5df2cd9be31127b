"""Catalog entry of the input `audio`: a column of paths of sound files, or a folder of files for each label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from unspool.data.files import Layout, Paths, Reader
from unspool.data.rows import Row
from unspool.data.sound_names import LONGEST_SOUND, SOUND_NAMES, SOUND_SUFFIXES, is_sound_file
from unspool.data.unlabelled import Unlabelled
from unspool.errors import DataError
from unspool.inputs.entry import InputEntry, LabelledColumns
from unspool.inputs.files import LabelledFile, find_path_column, read_file_paths, read_labelled_files

__all__ = ["ENTRY", "read_sound_paths"]


def read_sound_paths(paths: Paths, *, format: str | None = None, columns: Sequence[str] = ()) -> Reader[Unlabelled]:
    """Open sounds without labels for reading: sound files, folders of them, and tables or lists of their paths.

    Args:
        paths: Sound files, folders, globs, lists with a path a line, tables, or `-`.
        format: Form of the lists and tables; None: by suffix, or else a path a line.
        columns: The columns of a table that may hold the paths.

    Raises:
        DataError: If a file is missing, empty or of another form.
    """
    return read_file_paths(paths, suffixes=SOUND_SUFFIXES, usual=SOUND_NAMES, format=format, columns=columns)


def _find(
    sample: Sequence[Row],
    column: str | None,
    label: str | None,
    before: LabelledColumns | None,
    layout: Layout,
) -> LabelledColumns | None:
    return find_path_column(sample, column, label, before, layout, _is_sound)


def _is_sound(value: object) -> bool:
    from unspool.data.sounds import FeatureFrames, Recording

    return isinstance(value, Recording | FeatureFrames) or is_sound_file(value)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledFile | DataError]:
    from unspool.data.sounds import Sound, sound_of

    longest = settings.audio.longest if hasattr(settings, "audio") else LONGEST_SOUND

    def sound(value: Any, where: str) -> Sound:
        return sound_of(value, where, longest=longest)

    return read_labelled_files(rows, columns, separator, sound, "a sound")


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
