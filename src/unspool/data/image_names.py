"""Suffixes of image files and usual names of their column; imports no NumPy."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMAGE_NAMES", "IMAGE_SUFFIXES", "is_image_file"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of image files, in lower case."""

IMAGE_NAMES = ("image", "picture", "photo", "poster", "img", "path", "file", "filename")
"""Usual names of the column of paths of images."""


def is_image_file(value: object) -> bool:
    """Return whether a value is a file name with the suffix of an image file."""
    return isinstance(value, str | os.PathLike) and Path(os.fspath(value)).suffix.lower() in IMAGE_SUFFIXES
