"""Data of the task `caption`: images with their captions, from tables, caption files or memory; imports no torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Image, Layout, Reader, Row, RowsInMemory, Sample, image_of, read_text, split
from unspool.data.image_names import IMAGE_NAMES
from unspool.data.rows import Side, find_sides, read_rows
from unspool.errors import DataError
from unspool.inputs.files import path_beside
from unspool.tasks.caption.settings import CAPTION_NAMES, CaptionerSettings, CaptionSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["CaptionedExamples", "CaptionedImage", "open_data", "samples"]


class CaptionedImage(NamedTuple):
    """An image and one or more captions of it, as one row holds them."""

    where: str
    image: Image
    captions: tuple[str, ...]


@dataclass(frozen=True)
class CaptionedExamples(Examples):
    """Images, each with all of its captions."""

    images: list[Image]
    captions: list[tuple[str, ...]]
    where: list[str]
    """Place of the first caption of each image."""

    @classmethod
    def of(cls, reader: Iterable[CaptionedImage]) -> Self:
        """Read all rows of a reader; rows with the same image form one example."""
        examples = cls([], [], [])
        places: dict[int, int] = {}  # by the identity of the image, which a reader keeps for rows of the same path
        for each in reader:
            place = places.setdefault(id(each.image), len(examples.images))
            if place == len(examples.images):
                examples.images.append(each.image)
                examples.captions.append(each.captions)
                examples.where.append(each.where)
            else:
                examples.captions[place] += each.captions
        return examples

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the images at some indices."""
        return type(self)(*([column[i] for i in places] for column in (self.images, self.captions, self.where)))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the images, each with all of its captions; see `Examples.divide`."""
        rest, held_out = split(len(self.images), fraction, seed)
        return self.take(rest), self.take(held_out)

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash the images and captions; see `Examples.fingerprint`."""
        if not paths:
            return None
        whole = hashlib.sha256()
        for image, captions in zip(self.images, self.captions, strict=True):
            whole.update("\n".join((image.digest, *captions, "")).encode())
        return whole.hexdigest()

    def sizes(self) -> dict[str, int]:
        """Return the number of images and of captions."""
        return {"images": len(self.images), "captions": sum(map(len, self.captions))}

    def samples(self) -> Iterator[Sample]:
        """Yield each caption."""
        return samples(map(CaptionedImage, self.where, self.images, self.captions))


def open_data(
    settings: CaptionerSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[CaptionedImage]:
    """Open images with captions for reading.

    A table holds paths, relative to its folder, and captions: one caption a row, several rows for several captions of
    an image, or a list of captions in a row. A folder without tables holds images, each with its captions in a text
    file of the same name, a caption a line.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    if isinstance(source, RowsInMemory):
        rows = source.reader(skip_bad=options["skip_bad"])
    else:
        earlier = () if before is None else (*before.columns_of("image"), *before.columns_of("caption"))
        wanted = (*IMAGE_NAMES, *CAPTION_NAMES, data.image_column, data.caption_column, *earlier)
        names = {name for name in wanted if name and not name.isdecimal()}
        rows = read_rows(source, **options, names=names, whole_files=True)
    return rows.map(_Columns(data, rows.layout).captioned)


def samples(examples: Iterable[CaptionedImage]) -> Iterator[Sample]:
    """Convert captions to samples for summaries and checks."""
    for each in examples:
        for caption in each.captions:
            yield Sample(each.where, (caption,))


class _Columns:
    """The columns of images and captions, detected in the first row of each file."""

    def __init__(self, data: CaptionSettings, layout: Layout) -> None:
        self._sides = (
            Side("image path", IMAGE_NAMES, data.image_column),
            Side("caption", CAPTION_NAMES, data.caption_column),
        )
        self._layout, self._folder = layout, data.images
        self._by_file: dict[str, tuple[str, str]] = {}
        self._images: dict[str, Image] = {}

    def captioned(self, row: Row) -> CaptionedImage | DataError:
        """Return the image and the captions of a row, or the error of a bad row."""
        try:
            if row.values.get("image") == row.where:  # the file itself is the example
                self._layout.files[str(Path(row.where).parent.parent)] = "images, each with a text file"
                return CaptionedImage(row.where, image_of(row.where, row.where), _beside(row.where))
            image, caption = self._columns(row)
            texts = _captions(row.values.get(caption), caption, row.where)
            return CaptionedImage(row.where, self._image(row.values.get(image), image, row.where), texts)
        except DataError as error:
            return error

    def _columns(self, row: Row) -> tuple[str, str]:
        file = row.where.rpartition(":")[0]
        if file not in self._by_file:
            image, caption = find_sides(list(row.values), *self._sides, row.where, layout=self._layout.files.get(file))
            self._by_file[file] = image, caption
            self._layout.columns |= {"image": image, "caption": caption}
        return self._by_file[file]

    def _image(self, value: Any, column: str, where: str) -> Image:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise DataError(f"column {column!r} is empty; expected the path of an image", where)
        if not isinstance(value, str | os.PathLike):
            return image_of(value, where)
        path = self._path(os.fspath(value), where)
        if path not in self._images:
            try:
                self._images[path] = image_of(path, where)
            except DataError as error:
                raise DataError(error.message, where) from None
        return self._images[path]

    def _path(self, value: str, where: str) -> str:
        """Return the path of an image: in the folder of images, or relative to its table or to `images` beside it."""
        if self._folder is not None:
            return str(Path(self._folder) / value.strip())
        path = path_beside(value, where)
        inside = path_beside(os.path.join("images", value.strip()), where)
        return inside if not os.path.exists(path) and os.path.exists(inside) else path


def _captions(value: Any, column: str, where: str) -> tuple[str, ...]:
    """Return the caption in a cell, or the captions if it holds a list."""
    if isinstance(value, list | tuple) and value:
        return tuple(caption for each in value for caption in _captions(each, column, where))
    if not isinstance(value, str):
        came = "no text" if value is None or value == [] else f"{type(value).__name__} {value!r:.40}"
        raise DataError(f"column {column!r} holds {came}; expected a caption, or a list of captions", where)
    text = " ".join(value.split())
    if not text:
        raise DataError(f"column {column!r} is empty; expected the caption of the image", where)
    return (text,)


def _beside(path: str) -> tuple[str, ...]:
    """Return the captions of an image in a text file of the same name."""
    file = Path(path).with_suffix(".txt")
    if not file.exists():
        hint = "; or pass a table with columns image and caption"
        raise DataError(f"there is no caption of the image; expected it in {file.name} beside it{hint}", path)
    lines = [line for line in "".join(read_text(str(file))).splitlines() if line.strip()]
    return _captions(lines or "", "caption", str(file))
