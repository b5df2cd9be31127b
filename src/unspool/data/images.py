"""Images: files that are decoded when a batch needs them, pixels in memory, and features from other programs."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from unspool.data.arrays import open_array
from unspool.data.image_names import IMAGE_SUFFIXES
from unspool.errors import DataError, MissingExtraError

__all__ = ["FeatureGrid", "Image", "Picture", "image_of", "picture_of_row", "read_image", "resized"]

Pixels = NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # those without code or external programs
_MOST_PIXELS = 50_000_000  # of one image: 150 MB decoded
_WIDEST = 65_536  # features of a cell


@dataclass(frozen=True, eq=False)
class Picture:
    """A still image, grey or in colour: a file, or pixels in memory."""

    name: str
    """Path of the file, or a name for messages."""
    width: int
    """Width in pixels, as people see the image: after its EXIF orientation."""
    height: int
    """Height in pixels."""
    channels: int
    """1: grey. 3: colour, as red, green, blue."""
    stored: Pixels | None = field(default=None, repr=False)
    """Pixels in memory, (height, width) or (height, width, channels); None: they are in the file `name`."""
    file_digest: str = field(default="", repr=False)
    """Hash of the file."""

    @property
    def digest(self) -> str:
        """Hash of the content: of the file, or of size and pixels."""
        if self.stored is None:
            return self.file_digest
        size = np.array([self.height, self.width, self.channels], "<i8").tobytes()
        return hashlib.sha256(size + self.stored.tobytes()).hexdigest()

    def pixels(self) -> Pixels:
        """Return the pixels, uint8 (height, width, channels); a file is decoded.

        Raises:
            DataError: If the file has changed and is no longer an image of this size.
        """
        if self.stored is not None:
            return self.stored.reshape(self.height, self.width, self.channels)
        pixels = _decode_file(self.name)[0]
        if pixels.shape != (self.height, self.width, self.channels):
            raise DataError("the image has changed since it was read; start again", self.name)
        return pixels

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class FeatureGrid:
    """An image as a grid of feature vectors from another program, such as the last layer of a trained network."""

    values: NDArray[np.float32] = field(repr=False)
    """(rows, columns, features)."""
    name: str = "features"
    """Path of the file, or a name for messages."""

    @property
    def digest(self) -> str:
        """Hash of the values."""
        size = np.array(self.values.shape, "<i8").tobytes()
        return hashlib.sha256(size + self.values.tobytes()).hexdigest()

    def __str__(self) -> str:
        return self.name


Image = Picture | FeatureGrid
"""One input of a model that reads images."""


def image_of(value: Any, where: str) -> Image:
    """Convert a value to an image.

    Args:
        value: A path, the bytes of an image file, an array, or an image. An array of whole numbers between 0 and 255
            holds pixels, (height, width) or (height, width, channels) with 1, 3 or 4 channels. An array of
            floating-point numbers holds features, (features,) or (rows, columns, features). An image of Pillow is
            converted to pixels.
        where: Place of the value, for messages.

    Raises:
        DataError: If the value is no image, or the image is damaged, empty, animated or too large.
        MissingExtraError: If a file needs the extra `image`.
    """
    if isinstance(value, Picture | FeatureGrid):
        return value
    if isinstance(value, str | os.PathLike):
        return read_image(value)
    if isinstance(value, bytes | bytearray):
        return _picture(_decoded(io.BytesIO(bytes(value)), where), where)
    if hasattr(value, "getbands") and hasattr(value, "convert"):  # an image of Pillow
        return _picture(_flat(value, where), where)
    if hasattr(value, "__array__") or isinstance(value, list | tuple):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.zeros(0, object)
        return _image_of_array(array, where, where)
    raise DataError(f"{type(value).__name__} came; expected a path of an image, or an array of pixels", where)


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read an image file, or a NumPy array with one image or its features (`.npy`).

    A file is decoded once, to find damage, and again whenever its pixels are needed.

    Raises:
        DataError: If the file is missing, no image, damaged, empty, animated or too large.
        MissingExtraError: If the extra `image` is missing.
    """
    name = os.fspath(path)
    try:
        if name.lower().endswith(".npy"):
            return _image_of_array(open_array(name), name, name)
        pixels, digest = _decode_file(name)
    except FileNotFoundError:
        raise DataError("no such file", name) from None
    except (PermissionError, IsADirectoryError) as error:
        raise DataError(f"can't read the file: {error.strerror}", name) from None
    height, width, channels = pixels.shape
    return Picture(name, width, height, channels, file_digest=digest)


def picture_of_row(numbers: Sequence[float], width: int, height: int, where: str) -> Picture:
    """Return a grey picture of the pixels of a row, from left to right and from top to bottom.

    Raises:
        DataError: If a number is not a whole number between 0 and 255, or the count does not fit.
    """
    array = np.asarray(numbers, np.float64)
    if len(array) != width * height:
        raise DataError(f"{len(array)} pixels came; expected {width} x {height} = {width * height}", where)
    bad = np.flatnonzero((array < 0) | (array > 255) | (array != np.rint(array)))
    if len(bad):
        raise DataError(f"pixel {bad[0] + 1} is {array[bad[0]]:g}; expected a whole number between 0 and 255", where)
    return Picture(where, width, height, 1, array.astype(np.uint8).reshape(height, width))


def resized(pixels: Pixels, width: int, height: int, box: tuple[float, float, float, float] | None = None) -> Pixels:
    """Resize an image by linear interpolation, with antialiasing.

    Args:
        pixels: uint8 (height, width, channels).
        width: New width in pixels.
        height: New height in pixels.
        box: Part of the image to resize: left, top, right and bottom, in pixels. None: all of it.

    Raises:
        MissingExtraError: If the extra `image` is missing.
    """
    pillow = _pillow("resizing images")
    image = pillow.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    changed = image.resize((width, height), pillow.Resampling.BILINEAR, box=box)
    return np.asarray(changed).reshape(height, width, pixels.shape[2])


def _picture(pixels: Pixels, name: str) -> Picture:
    height, width, channels = pixels.shape
    return Picture(name, width, height, channels, pixels)


def _image_of_array(array: NDArray[Any], where: str, name: str) -> Image:
    if array.dtype.kind == "f" and array.ndim in (1, 3) and array.size:
        return _features(array, where, name)
    if (
        array.dtype.kind not in "iu"
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise DataError(
            f"an array of type {array.dtype} and shape {array.shape} came; expected whole numbers, (height, width) or "
            f"(height, width, channels) with 1, 3 or 4 channels; or features, floating-point numbers, (features,) or "
            f"(rows, columns, features)",
            where,
        )
    if not array.size:
        raise DataError(f"the image is empty: its shape is {array.shape}", where)
    if array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            raise DataError(f"pixels from {array.min()} to {array.max()} came; expected 0 to 255", where)
        array = array.astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 4:
        array = _on_white(array)
    height, width = array.shape[:2]
    _refuse_large(width, height, where)
    return Picture(name, width, height, 1 if array.ndim == 2 else array.shape[2], array)


def _features(array: NDArray[Any], where: str, name: str) -> FeatureGrid:
    values = array.reshape(1, 1, -1) if array.ndim == 1 else array
    if values.shape[2] > _WIDEST:
        raise DataError(f"{values.shape[2]:,} features came; expected at most {_WIDEST:,}", where)
    with np.errstate(over="ignore"):
        plain = values if values.dtype == np.float32 else values.astype(np.float32)
    if not np.isfinite(plain).all():
        raise DataError("the features hold a number that is not finite", where)
    return FeatureGrid(plain, name)


def _pillow(purpose: str) -> Any:
    try:
        from PIL import Image as pillow  # noqa: N813 - a module
    except ImportError:
        raise MissingExtraError(purpose, "Pillow", "image") from None
    return pillow


def _decode_file(name: str) -> tuple[Pixels, str]:
    """Return the pixels of a file, and the hash of its bytes."""
    with open(name, "rb") as file:
        content = file.read()
    if not content:
        raise DataError("the file is empty", name)
    return _decoded(io.BytesIO(content), name), hashlib.sha256(content).hexdigest()


def _decoded(content: IO[bytes], where: str) -> Pixels:
    """Decode an image file: uint8 (height, width, 1 or 3), upright, without transparency."""
    pillow = _pillow(f"reading {where}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damage, which errors below name
        pillow.init()
        try:
            with pillow.open(content, formats=[form for form in _FORMATS if form in pillow.OPEN]) as image:
                _refuse_large(image.width, image.height, where)
                if image.format != "MPO" and getattr(image, "is_animated", False):
                    raise DataError("the file holds several images, as an animation; save one of them", where)
                return _flat(image, where)
        except DataError:
            raise
        except pillow.DecompressionBombError:
            raise DataError(_TOO_LARGE, where) from None
        except pillow.UnidentifiedImageError:
            content.seek(0)
            raise DataError(
                f"no image: the file begins with {content.read(12)!r}; expected one of {', '.join(IMAGE_SUFFIXES)}",
                where,
            ) from None
        except MemoryError:
            raise DataError("the image does not fit into memory", where) from None
        except Exception as error:  # decoders of a hundred forms raise what they like
            raise DataError(f"the image is damaged: {' '.join(str(error).split())[:200]}", where) from None


_TOO_LARGE = f"the image has too many pixels; expected at most {_MOST_PIXELS // 1_000_000} million: scale it down"


def _refuse_large(width: int, height: int, where: str) -> None:
    if width * height > _MOST_PIXELS:
        raise DataError(f"the image is {width:,} x {height:,} pixels large: {_TOO_LARGE.split(': ')[0]}", where)


def _flat(image: Any, where: str) -> Pixels:
    """Return the pixels of an image of Pillow: upright, on white where it is transparent, grey or RGB."""
    from PIL import ImageOps

    _refuse_large(image.width, image.height, where)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError("the image holds floating-point numbers; expected 8 or 16 bits a channel", where)
    if image.mode.startswith("I"):  # 16 bits, which Pillow keeps in 16 or 32
        return (np.asarray(image, np.int64).clip(0, 65_535) // 257).astype(np.uint8)[:, :, None]
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.array(image.convert("L"))[:, :, None]
    is_grey = image.mode in ("1", "L", "LA", "La")
    if is_grey or "transparency" in image.info or image.mode in ("PA", "RGBA", "RGBa"):
        flat = _on_white(np.array(image.convert("RGBA")))
        return flat[:, :, :1].copy() if is_grey else flat
    return np.array(image.convert("RGB"))


def _on_white(pixels: NDArray[np.uint8]) -> Pixels:
    """Put an image with transparency, uint8 (height, width, 4), on white."""
    share = pixels[:, :, 3:].astype(np.float32) / 255
    return np.rint(pixels[:, :, :3] * share + 255 * (1 - share)).astype(np.uint8)
