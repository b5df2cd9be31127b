r"""Paths of connectionist temporal classification (CTC): collapsing, forward scores and alignments.

A path has one unit, or the blank, per frame. The output of a path drops repeated units, then blanks. The probability of
an output is the sum over its paths:

.. math:: p(y \mid x) = \sum_{\pi : B(\pi) = y} \prod_t p(\pi_t \mid x)

Source: Graves et al. 2006, "Connectionist temporal classification", sections 3.1 and 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError

__all__ = ["align", "check_frames", "collapse", "forward_score", "greedy"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def collapse(path: Sequence[int] | Ints, *, blank: int = 0) -> list[int]:
    """Return the output of a path: repeated units count once, blanks are dropped.

    Args:
        path: One unit per frame, (frames,).
        blank: The blank.
    """
    row = np.asarray(path, dtype=np.int64)
    changes = np.ones(len(row), dtype=np.bool_)
    changes[1:] = row[1:] != row[:-1]
    return [int(unit) for unit in row[changes & (row != blank)]]


def greedy(log_probabilities: Floats, *, blank: int = 0) -> tuple[list[int], float]:
    """Return the output of the most probable path, and the log-probability of this path, in nats.

    Args:
        log_probabilities: Log-probability of each unit at each frame, (frames, units).
        blank: The blank.
    """
    check_frames(log_probabilities, blank)
    path = log_probabilities.argmax(1)
    return collapse(path, blank=blank), float(log_probabilities.max(1).sum(dtype=np.float64))


def forward_score(log_probabilities: Floats, output: Sequence[int], *, blank: int = 0) -> float:
    """Return the log-probability of an output, summed over its paths, in nats; -inf if there are too few frames.

    Source: Graves et al. 2006, equations 5 to 8.

    Args:
        log_probabilities: Log-probability of each unit at each frame, (frames, units).
        output: Units, without blanks.
        blank: The blank.
    """
    check_frames(log_probabilities, blank)
    if not len(log_probabilities):
        return -math.inf if len(output) else 0.0
    states, skips = _states(output, blank)
    frames = log_probabilities[:, states].astype(np.float64)
    row = np.full(len(states), -np.inf)
    row[:2] = frames[0, :2]
    for frame in frames[1:]:
        total = row.copy()
        total[1:] = np.logaddexp(total[1:], row[:-1])
        total[2:] = np.logaddexp(total[2:], np.where(skips[2:], row[:-2], -np.inf))
        row = total + frame
    return float(np.logaddexp.reduce(row[-2:]))


def align(log_probabilities: Floats, output: Sequence[int], *, blank: int = 0) -> list[tuple[int, int]]:
    """Return the frames of each unit of an output on its most probable path: the first, and the one after the last.

    Args:
        log_probabilities: Log-probability of each unit at each frame, (frames, units).
        output: Units, without blanks.
        blank: The blank.

    Raises:
        ShapeError: If the output needs more frames than there are.
    """
    check_frames(log_probabilities, blank)
    if not len(output):
        return []
    states, skips = _states(output, blank)
    frames = log_probabilities[:, states].astype(np.float64)
    needed = len(output) + sum(one == two for one, two in pairwise(output))
    if len(frames) < needed:
        raise ShapeError(f"{len(frames)} frames came; an output of {len(output)} units needs at least {needed}")
    row = np.full(len(states), -np.inf)
    row[:2] = frames[0, :2]
    steps = np.zeros(frames.shape, dtype=np.int8)  # how many states the path went on
    for number, frame in enumerate(frames[1:], start=1):
        choices = np.full((3, len(states)), -np.inf)
        choices[0] = row
        choices[1, 1:] = row[:-1]
        choices[2, 2:] = np.where(skips[2:], row[:-2], -np.inf)
        steps[number] = choices.argmax(0)
        row = choices.max(0) + frame
    state = len(states) - 1 if row[-1] > row[-2] else len(states) - 2
    spans = [(0, 0)] * len(output)
    for number in range(len(frames) - 1, -1, -1):
        if state % 2:
            unit = state // 2
            end = spans[unit][1] or number + 1
            spans[unit] = number, end
        state -= int(steps[number, state])
    return spans


def check_frames(log_probabilities: Floats, blank: int) -> None:
    """Refuse anything but a matrix with a column for the blank.

    Raises:
        ShapeError: If the shape is not (frames, units), with the blank among the units.
    """
    shape = np.shape(log_probabilities)
    if len(shape) != 2 or not 0 <= blank < shape[1]:
        raise ShapeError(
            f"log-probabilities have shape {shape}; expected (frames, units), with unit {blank}, the blank"
        )


def _states(output: Sequence[int], blank: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the units of the states, blanks between all units, and whether a state may follow the one two before."""
    states = np.full(2 * len(output) + 1, blank, dtype=np.int64)
    states[1::2] = output
    skips = np.zeros(len(states), dtype=np.bool_)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return states, skips
