"""Overview of a trace for all views: gate means, state change and retention per token, and sentences about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.maps import Map
from unspool.inspection.retention import change, is_backward, is_gate, keeping, remaining
from unspool.inspection.trace import Array, Trace, visible

__all__ = ["Column", "columns", "extent", "legend", "lookups", "scale", "sentences", "units"]

_ROUNDING = 1e-5  # a softmax may exceed 1 by rounding
_HINTS = {
    "input": ("written least at {low}", "most at {high}"),
    "output": ("shown least at {low}", "most at {high}"),
    "reset": ("the past used least for {low}", "most for {high}"),
}


class Column(NamedTuple):
    """One value per token: the mean of a gate, the change of the state, or the retention of a token."""

    title: str
    values: NDArray[np.float64]
    """One per token."""
    high: float
    """Value of a full bar; an empty bar is 0."""
    kind: str
    """`gate`, `change`, `left` or `size`."""


def columns(trace: Trace, place: str) -> list[Column]:
    """Return the columns of one place: gates, change of the state, and retention of each token in the last state.

    A place without gates has the mean absolute values of its arrays instead.
    """
    arrays, backward = trace.at(place), is_backward(place)
    gates = {quantity: array for quantity, array in arrays.items() if is_gate(quantity, array)}
    result = [Column(quantity, _mean(array), 1.0, "gate") for quantity, array in gates.items()]
    if not gates:
        sizes = {quantity: _mean(np.abs(array)) for quantity, array in arrays.items()}
        result = [Column(f"|{quantity}|", values, _top(values), "size") for quantity, values in sizes.items()]
    if (movement := change(arrays, backward=backward)) is not None:
        result.append(Column("change", movement, _top(movement), "change"))
    if (left := remaining(arrays, backward=backward)) is not None:
        result.append(Column("left", left, _top(left), "left"))
    return result


def legend(place_columns: list[Column], units: int) -> str:
    """Return one line that explains the columns; a gate of a single unit is a weight, such as that of a sentence."""
    kinds = {column.kind for column in place_columns}
    gates = f"gates: mean of {_many(units)}, from 0 (shut) to 1 (open)" if units > 1 else "full bar = 1"
    parts = [gates] if "gate" in kinds else []
    if any(column.title == "forget" for column in place_columns):
        parts.append("forget: the share kept")
    if "size" in kinds:
        parts.append(f"|…|: mean size over {_many(units)}, full bar = largest")
    if "change" in kinds:
        parts.append("change: mean |h(t) - h(t-1)|, full bar = largest")
    if "left" in kinds:
        parts.append("left: share of the last state that this token wrote, sums to 1")
    return "; ".join(parts)


def sentences(trace: Trace, place: str) -> list[str]:
    """Describe the columns in words: most and least forgetting, change of the state, and retention."""
    if len(trace.tokens) < 2:
        return []
    arrays, backward = trace.at(place), is_backward(place)
    keep, lines = keeping(arrays, backward=backward), []
    if keep is None and "forget" in arrays:
        keep = arrays["forget"].astype(np.float64)
    if keep is not None:
        lines.append(_retention(trace, keep, backward=backward))
    for column in columns(trace, place):
        low, high = _ends(trace, column.values)
        if not high or low == high:
            continue
        if column.kind == "gate" and column.title != "forget":
            least, most = _HINTS.get(column.title, ("lowest at {low}", "highest at {high}"))
            lines.append(f"{column.title}: {least.format(low=low)}, {most.format(high=high)}.")
        elif column.kind == "change":
            lines.append(f"The state moved most at {high}, least at {low}.")
        elif column.kind == "left":
            lines.append(f"Of what the last state holds, most was written at {high}, least at {low}.")
    return lines


def scale(quantity: str, array: Array) -> tuple[float, float]:
    """Return the ends of the colour scale: 0 to 1 for a gate, -1 to 1 for a state, wider for larger values."""
    return (0.0, 1.0) if is_gate(quantity, array) else _even(array)


def extent(values: Array) -> tuple[float, float]:
    """Return the ends of a map's colour scale: 0 to 1 for weights such as attention; else as for a state."""
    finite = values[np.isfinite(values)]
    return (0.0, 1.0) if bool(((finite >= 0) & (finite <= 1 + _ROUNDING)).all()) else _even(values)


def lookups(matrix: Map) -> list[str]:
    """Describe the largest weights of each row of a map: `the 0.93, house 0.05`; a repeated token has its position."""
    names = [visible(token) for token in matrix.columns]
    counts = Counter(matrix.columns)
    for index, token in enumerate(matrix.columns):
        if counts[token] > 1:
            names[index] += f" ({index + 1})"
    rows = (matrix.strongest(row) for row in range(len(matrix.rows)))
    return [", ".join(f"{names[column]} {value:.2f}" for column, value in pairs) for pairs in rows]


def _even(array: Array) -> tuple[float, float]:
    finite = np.abs(array[np.isfinite(array)])
    top = max(1.0, float(finite.max(initial=0.0)))
    return -top, top


def _retention(trace: Trace, keep: NDArray[np.float64], *, backward: bool) -> str:
    means = keep.mean(axis=1)
    means[-1 if backward else 0] = np.nan  # before the first token there is nothing to forget
    low, high = _ends(trace, means, "kept ")
    if not high:
        return "What came before was kept about equally at every token."
    return f"What came before was forgotten most at {low}, least at {high}."


def _ends(trace: Trace, values: NDArray[np.float64], what: str = "") -> tuple[str, str]:
    """Return the tokens with the lowest and the highest value, in quotes; a repeated token has its position."""
    finite = np.isfinite(values)
    if finite.sum() < 2 or np.ptp(values[finite]) == 0:
        return "", ""
    low, high = int(np.nanargmin(np.where(finite, values, np.nan))), int(np.nanargmax(np.where(finite, values, np.nan)))
    return _quoted(trace, low, values, what), _quoted(trace, high, values, what)


def _quoted(trace: Trace, index: int, values: NDArray[np.float64], what: str) -> str:
    token, value = trace.tokens[index], f"{what}{values[index]:.2f}"
    places = [f"token {index + 1}"] if trace.tokens.count(token) > 1 else []
    if what:
        return f"'{visible(token)}' ({', '.join([*places, value])})"
    return f"'{visible(token)}'{''.join(f' ({place})' for place in places)} {value}"


def _mean(array: Array) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(array.mean(axis=1, dtype=np.float64))


def _top(values: NDArray[np.float64]) -> float:
    return float(np.max(values[np.isfinite(values)], initial=0.0)) or 1.0


def _many(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"


def units(arrays: Mapping[str, Array]) -> int:
    """Return the number of units of the widest array."""
    return max((array.shape[1] for array in arrays.values()), default=0)
