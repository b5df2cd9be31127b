"""Baseline for series: nearest neighbour by dynamic time warping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unspool.tasks.parts.metrics import classification_scores

__all__ = ["nearest_by_warping", "warping_baseline", "warping_distances"]

_MOST_CELLS = 2e9  # of all alignment tables

Features = NDArray[np.float32]


def warping_baseline(
    train: Sequence[Features],
    gold: NDArray[np.int64],
    held_out: Sequence[Features],
    right: NDArray[np.int64],
    classes: int,
) -> dict[str, float] | None:
    """Return the scores of the nearest neighbour; None for large data.

    Args:
        train: Standardised training series, (steps, channels) each.
        gold: Their classes, (series,).
        held_out: Other series.
        right: Their classes.
        classes: Number of classes.
    """
    if float(sum(map(len, train))) * sum(map(len, held_out)) > _MOST_CELLS:
        return None
    return classification_scores(right, gold[nearest_by_warping(train, held_out)], classes)


def nearest_by_warping(train: Sequence[Features], others: Sequence[Features]) -> NDArray[np.int64]:
    """Return the index of the nearest training series of each other series, under dynamic time warping."""
    return np.array([int(warping_distances(each, train).argmin()) for each in others])


def warping_distances(series: Features, others: Sequence[Features]) -> NDArray[np.float64]:
    r"""Return the dynamic time warping distance of a series to others of any length, over all channels at once.

    .. math:: D_{ij} = \lVert x_i - y_j \rVert^2 + \min(D_{i-1,j}, D_{i,j-1}, D_{i-1,j-1})

    The distance is the last :math:`D`, without a window. Source: Sakoe and Chiba 1978. All others advance together, one
    anti-diagonal at a time.

    Args:
        series: (steps, channels).
        others: (steps, channels) each.
    """
    lengths = np.array([len(each) for each in others])
    most, steps = int(lengths.max()), len(series)
    padded = np.zeros((len(others), most, series.shape[1]), np.float64)
    for place, each in enumerate(others):
        padded[place, : len(each)] = each
    squares = np.square(padded).sum(-1)[:, None] + np.square(series, dtype=np.float64).sum(-1)[:, None]
    cost = np.maximum(squares - 2 * np.einsum("ic,njc->nij", series.astype(np.float64), padded), 0)
    before = np.full((len(others), steps + 1), np.inf)  # anti-diagonals by row, shifted by one
    last = before.copy()
    last[:, 0] = 0.0
    distances = np.full(len(others), np.inf)
    for diagonal in range(steps + most - 1):
        rows = np.arange(max(0, diagonal - most + 1), min(steps, diagonal + 1))
        columns = diagonal - rows
        corner = last[:, rows] if diagonal else np.zeros((len(others), 1))
        here = np.full_like(before, np.inf)
        here[:, rows + 1] = cost[:, rows, columns] + np.minimum(
            np.minimum(before[:, rows], before[:, rows + 1]) if diagonal else np.inf, corner
        )
        ended = np.flatnonzero(lengths - 1 == diagonal - (steps - 1))
        distances[ended] = here[ended, steps]
        last, before = before, here
        if not diagonal:
            last[:, 0] = np.inf
    return distances
