"""Columns of traces, maps and gradients for data frames: plain dictionaries that `pandas.DataFrame` takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from unspool.inspection.gradients import Gradients
    from unspool.inspection.maps import Map
    from unspool.inspection.trace import Array, Trace

__all__ = ["Columns", "gradient_columns", "long_columns", "map_columns", "means_columns", "unit_columns"]

Columns = dict[str, Any]
"""Column names, each with one value per row: a list or a numpy array. All columns have equal length."""
_PER_TOKEN = {"tags": "tag", "tag_probabilities": "tag probability", "surprise": "surprise"}


def means_columns(trace: Trace) -> Columns:
    """Return one row per token: the token, its tag and surprise if there are any, and the mean of each array."""
    per_token = {title: list(trace.prediction[key]) for key, title in _PER_TOKEN.items() if key in trace.prediction}
    return {"token": list(trace.tokens), **per_token, **{name: trace.summary(name) for name in trace.arrays}}


def unit_columns(trace: Trace, name: str) -> Columns:
    """Return one row per token: the token, and every unit of one array."""
    array = trace.array(name)
    return {"token": list(trace.tokens), **{f"unit {unit}": array[:, unit] for unit in range(array.shape[1])}}


def long_columns(tokens: Iterable[str], arrays: Mapping[str, Array]) -> Columns:
    """Return one row per number of all arrays: array, position, token, unit, value."""
    listed = np.array(list(tokens), dtype=object)
    parts: dict[str, list[Any]] = {"array": [], "position": [], "token": [], "unit": [], "value": []}
    for name, array in arrays.items():
        positions, units = np.indices(array.shape)
        parts["array"].append(np.full(array.size, name, dtype=object))
        parts["position"].append(positions.ravel())
        parts["token"].append(listed[positions.ravel()])
        parts["unit"].append(units.ravel())
        parts["value"].append(array.ravel())
    return {title: np.concatenate(values) if values else np.zeros(0) for title, values in parts.items()}


def gradient_columns(gradients: Gradients, names: Iterable[str]) -> Columns:
    """Return one row per loss and step of some arrays: array, loss, loss name, step, token, distance, norm."""
    parts: dict[str, list[Any]] = {
        title: [] for title in ("array", "loss", "loss name", "step", "token", "distance", "norm")
    }
    tokens, losses = (np.array(each, dtype=object) for each in (gradients.tokens, gradients.losses))
    for name in names:
        norms = gradients.array(name)
        rows, steps = (part.ravel() for part in np.indices(norms.shape))
        parts["array"].append(np.full(norms.size, name, dtype=object))
        parts["loss"].append(rows)
        parts["loss name"].append(losses[rows])
        parts["step"].append(steps)
        parts["token"].append(tokens[steps])
        parts["distance"].append(gradients.distances(name).ravel())
        parts["norm"].append(norms.ravel())
    return {title: np.concatenate(values) for title, values in parts.items()}


def map_columns(matrix: Map) -> Columns:
    """Return one row per cell of a map: row, row token, column, column token, value."""
    rows, columns = (part.ravel() for part in np.indices(matrix.values.shape))
    return {
        "row": rows,
        "row token": [matrix.rows[row] for row in rows],
        "column": columns,
        "column token": [matrix.columns[column] for column in columns],
        "value": matrix.values.ravel(),
    }
