"""Geometry of images: the size that a network reads, how images are brought to it, and orders of their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unspool.data.images import Picture, resized

__all__ = ["fitted_pixels", "grid_boxes", "permutation", "permutation_hash", "usual_size"]

_LARGEST_KEPT, _LONGER_SIDE = 128, 64  # pixels

Pixels = NDArray[np.uint8]


def usual_size(pictures: Sequence[Picture]) -> tuple[int, int]:
    """Return width and height for a network: the common size, or the median shape with 64 pixels on the longer side."""
    sizes = {(picture.width, picture.height) for picture in pictures}
    first = next(iter(sizes))
    if len(sizes) == 1 and max(first) <= _LARGEST_KEPT:
        return first
    ratio = float(np.exp(np.median([np.log(picture.width / picture.height) for picture in pictures])))
    short = max(1, round(_LONGER_SIDE * min(ratio, 1 / ratio)))
    return (_LONGER_SIDE, short) if ratio >= 1 else (short, _LONGER_SIDE)


def fitted_pixels(pixels: Pixels, width: int, height: int, channels: int, fit: str) -> Pixels:
    """Bring an image to a size and to grey or colour.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        width: New width in pixels.
        height: New height in pixels.
        channels: 1 for grey (ITU-R BT.601 luma), 3 for colour.
        fit: `crop`, `pad` or `stretch`, for an image of another shape.
    """
    pixels = _with_channels(pixels, channels)
    came_height, came_width = pixels.shape[:2]
    if (came_width, came_height) == (width, height):
        return pixels
    if fit == "stretch":
        return resized(pixels, width, height)
    scales = width / came_width, height / came_height
    scale = max(scales) if fit == "crop" else min(scales)
    if fit == "crop":
        left, top = (came_width - width / scale) / 2, (came_height - height / scale) / 2
        left, top = max(left, 0.0), max(top, 0.0)
        return resized(pixels, width, height, (left, top, came_width - left, came_height - top))
    inner_width = min(width, max(1, round(came_width * scale)))
    inner_height = min(height, max(1, round(came_height * scale)))
    whole = np.zeros((height, width, channels), np.uint8)
    x, y = (width - inner_width) // 2, (height - inner_height) // 2
    whole[y : y + inner_height, x : x + inner_width] = resized(pixels, inner_width, inner_height)
    return whole


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(luma).astype(np.uint8)[:, :, None]


def grid_boxes(rows: int, columns: int) -> NDArray[np.float32]:
    """Return the box of each cell of a grid, row by row: left, top, right, bottom, as shares of width and height.

    Returns:
        float32 (rows · columns, 4), between 0 and 1.
    """
    top, left = np.divmod(np.arange(rows * columns), columns)
    return np.stack([left / columns, top / rows, (left + 1) / columns, (top + 1) / rows], 1).astype(np.float32)


@lru_cache(maxsize=4)
def permutation(seed: int, size: int) -> NDArray[np.int64]:
    """Return a permutation that anyone can compute again: places by ascending SHA-256 of `seed:place`.

    No library's random numbers are in it, whose order may change between versions.

    Returns:
        The place that each step reads, int64 (size,).
    """
    order = np.array(sorted(range(size), key=lambda place: hashlib.sha256(f"{seed}:{place}".encode()).digest()))
    order.setflags(write=False)
    return order


def permutation_hash(order: NDArray[np.int64]) -> str:
    """Return the first 12 digits of the SHA-256 of a permutation, as little-endian int32."""
    return hashlib.sha256(order.astype("<i4").tobytes()).hexdigest()[:12]
