"""Checks of what a trace holds: names, maps, arrays and JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError, UsageError
from unspool.inspection.maps import Map

__all__ = ["checked_map", "checked_name", "frozen", "not_finite", "plain", "refuse_twice"]

Array = NDArray[np.float32]


def checked_name(name: object) -> str:
    """Return the name of an array or map; raise `UsageError` unless it is a line of printable text."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UsageError(f"the name of an array is a line of printable text such as 'layer 1 / forget', not {name!r}")
    return name


def checked_map(name: str, matrix: object) -> Map:
    """Return a map; raise `UsageError` for anything else."""
    if not isinstance(matrix, Map):
        raise UsageError(f"{name!r} is a {type(matrix).__name__}; a trace takes maps as Map(values, rows, columns)")
    return matrix


def refuse_twice(names: Sequence[str]) -> None:
    """Raise `UsageError` if a name occurs twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"every array and map needs a name of its own, but {twice[0]!r} occurs twice")


def frozen(name: str, values: Any, tokens: int) -> Array:
    """Return a read-only float32 copy, (tokens, units); raise `ShapeError` for another number of rows."""
    array = np.array(values, dtype=np.float32, order="C")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != tokens or array.shape[1] == 0:
        raise ShapeError(
            f"{name!r} has shape {np.shape(values)}; {tokens} tokens need ({tokens}, units) or ({tokens},)"
        )
    array[np.isnan(array)] = np.nan  # a single NaN pattern, so that files read back equal bits
    array.flags.writeable = False
    return array


def not_finite(name: str, array: Array) -> str | None:
    """Return a note that counts the non-finite values of an array; None if there are none."""
    count = array.size - int(np.isfinite(array).sum())
    return f"{name}: {count} of {array.size} values are not finite" if count else None


def plain(value: Any, where: str) -> Any:
    """Convert a value to plain JSON values; a non-finite number becomes None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(inner, f"{where}[{key!r}]") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    raise UsageError(f"{where} is a {type(value).__name__}; a trace takes text, numbers, lists and dicts keyed by text")
