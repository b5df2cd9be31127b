"""Catalog entry of the input `images`: paths of image files, folders of them for each label, arrays, rows of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from unspool.data.files import Layout, Paths, Reader
from unspool.data.image_names import IMAGE_NAMES, IMAGE_SUFFIXES, is_image_file
from unspool.data.labelled import LABEL_NAMES
from unspool.data.rows import Row
from unspool.data.unlabelled import Unlabelled
from unspool.data.vectors import find_number_columns, label_names, vector_of
from unspool.errors import DataError, option
from unspool.inputs.entry import InputEntry, LabelledColumns
from unspool.inputs.files import LabelledFile, find_path_column, read_file_paths, read_labelled_files

__all__ = ["ENTRY", "read_image_paths"]


def read_image_paths(paths: Paths, *, format: str | None = None, columns: Sequence[str] = ()) -> Reader[Unlabelled]:
    """Open images without labels for reading: image files, folders of them, and tables or lists of their paths.

    Args:
        paths: Image files, folders, globs, lists with a path a line, tables, or `-`.
        format: Form of the lists and tables; None: by suffix, or else a path a line.
        columns: The columns of a table that may hold the paths.

    Raises:
        DataError: If a file is missing, empty or of another form.
    """
    suffixes = (*IMAGE_SUFFIXES, ".npy")
    return read_file_paths(paths, suffixes=suffixes, usual=IMAGE_NAMES, format=format, columns=columns)


def _find(
    sample: Sequence[Row],
    column: str | None,
    label: str | None,
    before: LabelledColumns | None,
    layout: Layout,
) -> LabelledColumns | None:
    return find_path_column(sample, column, label, before, layout, _is_image)


def _is_image(value: object) -> bool:
    from unspool.data.images import FeatureGrid, Picture

    return isinstance(value, Picture | FeatureGrid) or is_image_file(value)


def _find_chosen(
    sample: Sequence[Row],
    column: str | None,
    label: str | None,
    before: LabelledColumns | None,
    layout: Layout,
) -> LabelledColumns | None:
    """Find columns that only the user's word makes images: paths of `.npy` files, and rows of pixels."""

    def is_array(value: object) -> bool:
        return _is_image(value) or (isinstance(value, str) and value.lower().endswith(".npy"))

    if column is None and (numbers := find_number_columns(sample, label, LABEL_NAMES, layout)) is not None:
        return before or LabelledColumns(tuple(numbers[0]), numbers[1])
    return find_path_column(sample, column, label, before, layout, is_array)


def _read(
    rows: Iterable[Row | DataError], columns: LabelledColumns, separator: str | None, settings: Any
) -> Iterator[LabelledFile | DataError]:
    from unspool.data.images import image_of

    if len(columns.values) == 1:
        return read_labelled_files(rows, columns, separator, image_of, "an image")
    return _pixels(rows, columns, separator, None if settings is None else settings.image.width_and_height)


def _pixels(
    rows: Iterable[Row | DataError],
    columns: LabelledColumns,
    separator: str | None,
    size: tuple[int, int] | None,
) -> Iterator[LabelledFile | DataError]:
    from unspool.data.images import picture_of_row

    side = math.isqrt(len(columns.values))
    if size is None and side * side != len(columns.values):
        raise DataError(
            f"{len(columns.values)} columns of pixels are no square image; pass {option('resolution', '64x96')}"
        )
    width, height = size or (side, side)
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            labels = label_names(row, columns.label, separator)
            picture = picture_of_row(vector_of(row, columns.values), width, height, row.where)
            yield LabelledFile(row.where, picture, labels)
        except DataError as error:
            yield error


ENTRY = InputEntry(
    name="images",
    order=3,
    fitted="FittedImages",
    file="images.json",
    network="convolutional",
    find=_find,
    find_chosen=_find_chosen,
    read=_read,
    describe=lambda columns: {
        "images": columns.values[0] if len(columns.values) == 1 else f"{len(columns.values)} columns",
        "label": columns.label,
    },
)
