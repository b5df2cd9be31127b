"""Attention inside boxes: how much of a captioner's weight lies on the object that a word names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mass_inside"]

Boxes = Sequence[Sequence[float]]


def mass_inside(weights: ArrayLike, cells: ArrayLike, boxes: Boxes) -> float:
    """Return the share of the attention weights that lies inside some boxes, between 0 and 1.

    The weight of a cell is spread evenly over its area.

    Args:
        weights: Weight of each cell, (cells,).
        cells: Box of each cell: left, top, right, bottom, (cells, 4).
        boxes: Boxes that do not overlap, in the units of `cells`.
    """
    shares, grid = np.asarray(weights, np.float64), np.asarray(cells, np.float64)
    inside = np.zeros(len(grid))
    for box in boxes:
        inside += _overlap(grid[:, 0], grid[:, 2], box[0], box[2]) * _overlap(grid[:, 1], grid[:, 3], box[1], box[3])
    areas = (grid[:, 2] - grid[:, 0]) * (grid[:, 3] - grid[:, 1])
    return float((shares * inside / areas).sum() / shares.sum())


def _overlap(starts: NDArray[np.float64], ends: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    overlap: NDArray[np.float64] = np.clip(np.minimum(ends, high) - np.maximum(starts, low), 0, None)
    return overlap
