"""Drawing of filled shapes and digits on a canvas, with smooth edges, in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "Box", "box_of", "coverage"]

Array = NDArray[np.floating[Any]]

_STROKE = 0.3  # width of the strokes of a digit or a ring, in parts of its half size
_SEGMENTS: Mapping[str, str] = {"two": "abged", "four": "fgbc", "seven": "abc"}
_ENDS: Mapping[str, tuple[float, float, float, float]] = {  # x and y of both ends of a stroke, in half sizes
    "a": (-0.55, -0.85, 0.55, -0.85),
    "b": (0.55, -0.85, 0.55, 0.0),
    "c": (0.55, 0.0, 0.55, 0.85),
    "d": (-0.55, 0.85, 0.55, 0.85),
    "e": (-0.55, 0.0, -0.55, 0.85),
    "f": (-0.55, -0.85, -0.55, 0.0),
    "g": (-0.55, 0.0, 0.55, 0.0),
}

SHAPES = ("circle", "square", "triangle", "cross", "ring", *_SEGMENTS)
"""Names of the things that can be drawn."""


class Box(NamedTuple):
    """A rectangle in a picture, in pixels; right and bottom are outside."""

    left: float
    top: float
    right: float
    bottom: float


def coverage(shape: str, size: int, x: float, y: float, radius: float) -> Array:
    """Return the share of each pixel that a shape covers, between 0 and 1, (size, size).

    Args:
        shape: One of `SHAPES`.
        size: Height and width of the canvas, in pixels.
        x: Column of the centre, in pixels.
        y: Row of the centre, in pixels.
        radius: Half the size of the shape, in pixels.
    """
    across: Array = (np.arange(size) + 0.5 - x) / radius
    down: Array = (np.arange(size) + 0.5 - y) / radius
    outside = _distance(shape, across[None, :], down[:, None]) * radius  # of a pixel's centre from the edge, in pixels
    covered: Array = np.clip(0.5 - outside, 0.0, 1.0)
    return covered


def box_of(covered: Array) -> Box:
    """Return the smallest box around the pixels that are at least half covered."""
    rows, columns = np.flatnonzero(covered.max(1) >= 0.5), np.flatnonzero(covered.max(0) >= 0.5)
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def _distance(shape: str, x: Array, y: Array) -> Array:
    """Return the signed distance of points from the edge of a shape, negative inside, in half sizes.

    Far from the edge, the distance of polygons is a lower bound.
    """
    from_centre: Array = np.hypot(x, y)
    from_axes: Array = np.maximum(np.abs(x), np.abs(y))
    if shape == "circle":
        return from_centre - 1
    if shape == "ring":
        middle: Array = np.abs(from_centre - (1 - _STROKE))
        return middle - _STROKE
    if shape == "square":
        return from_axes - 0.9
    if shape == "triangle":
        slope = 2 / np.hypot(2, 1)
        triangle: Array = np.maximum(y - 0.9, (np.abs(x) - (y + 0.9) / 1.8) * slope)
        return triangle
    if shape == "cross":
        thick = 0.34
        upright = np.maximum(np.abs(x) - thick, np.abs(y) - 1)
        cross: Array = np.minimum(upright, np.maximum(np.abs(x) - 1, np.abs(y) - thick))
        return cross
    nearest: Array = np.min([_from_stroke(x, y, *_ENDS[name]) for name in _SEGMENTS[shape]], axis=0)
    return nearest - _STROKE * 0.6


def _from_stroke(x: Array, y: Array, x1: float, y1: float, x2: float, y2: float) -> Array:
    """Return the distance of points from a line between two ends."""
    across, down = x2 - x1, y2 - y1
    along = np.clip(((x - x1) * across + (y - y1) * down) / (across**2 + down**2), 0, 1)
    distance: Array = np.hypot(x - x1 - along * across, y - y1 - along * down)
    return distance
