"""The numbers that every view shows: a few columns per place, one number per token, and the same in words."""

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

_ROUNDING = 1e-5  # a softmax over one place may be a little more than 1
_HINTS = {
    "input": ("written least at {low}", "most at {high}"),
    "output": ("shown least at {low}", "most at {high}"),
    "reset": ("the past used least for {low}", "most for {high}"),
}


class Column(NamedTuple):
    """One number per token: what a gate did on average over its units, or what became of the state."""

    title: str
    values: NDArray[np.float64]
    """One per token."""
    high: float
    """The value of a full bar; the empty bar is 0."""
    kind: str
    """`gate`, `change`, `left` or `size`."""


def columns(trace: Trace, place: str) -> list[Column]:
    """What to show of one place: its gates, how far the state moved, and what is left of each token at the end.

    A place without gates shows the mean size of what it recorded instead.
    """
    arrays, backward = trace.at(place), is_backward(place)
    gates = {quantity: array for quantity, array in arrays.items() if is_gate(quantity, array)}
    found = [Column(quantity, _mean(array), 1.0, "gate") for quantity, array in gates.items()]
    if not gates:
        sizes = {quantity: _mean(np.abs(array)) for quantity, array in arrays.items()}
        found = [Column(f"|{quantity}|", values, _top(values), "size") for quantity, values in sizes.items()]
    if (moved := change(arrays, backward=backward)) is not None:
        found.append(Column("change", moved, _top(moved), "change"))
    if (left := remaining(arrays, backward=backward)) is not None:
        found.append(Column("left", left, _top(left), "left"))
    return found


def legend(shown: list[Column], units: int) -> str:
    """One line that says how to read the columns; a gate of a single unit is a share, such as a hop's of a sentence."""
    kinds = {column.kind for column in shown}
    gates = f"gates: mean of {_many(units)}, from 0 (shut) to 1 (open)" if units > 1 else "full bar = 1"
    parts = [gates] if "gate" in kinds else []
    if any(column.title == "forget" for column in shown):
        parts.append("forget: the share kept")
    if "size" in kinds:
        parts.append(f"|…|: mean size over {_many(units)}, full bar = largest")
    if "change" in kinds:
        parts.append("change: mean |h(t) - h(t-1)|, full bar = largest")
    if "left" in kinds:
        parts.append("left: share of the last state that this token wrote, sums to 1")
    return "; ".join(parts)


def sentences(trace: Trace, place: str) -> list[str]:
    """What the columns say, in words: where most was forgotten and kept, what moved the state, what was left of it."""
    if len(trace.tokens) < 2:
        return []
    arrays, backward = trace.at(place), is_backward(place)
    keep, found = keeping(arrays, backward=backward), []
    if keep is None and "forget" in arrays:
        keep = arrays["forget"].astype(np.float64)
    if keep is not None:
        found.append(_kept(trace, keep, backward=backward))
    for column in columns(trace, place):
        low, high = _ends(trace, column.values)
        if not high or low == high:
            continue
        if column.kind == "gate" and column.title != "forget":
            least, most = _HINTS.get(column.title, ("lowest at {low}", "highest at {high}"))
            found.append(f"{column.title}: {least.format(low=low)}, {most.format(high=high)}.")
        elif column.kind == "change":
            found.append(f"The state moved most at {high}, least at {low}.")
        elif column.kind == "left":
            found.append(f"Of what the last state holds, most was written at {high}, least at {low}.")
    return found


def scale(quantity: str, array: Array) -> tuple[float, float]:
    """The ends of the colour scale: 0 to 1 for a gate, -1 to 1 for a state, wider and even where values pass these."""
    return (0.0, 1.0) if is_gate(quantity, array) else _even(array)


def extent(values: Array) -> tuple[float, float]:
    """The ends of a map's colour scale: 0 to 1 for shares, as attention is; else as for a state."""
    finite = values[np.isfinite(values)]
    return (0.0, 1.0) if bool(((finite >= 0) & (finite <= 1 + _ROUNDING)).all()) else _even(values)


def lookups(shown: Map) -> list[str]:
    """Where each row of a map looked, in words: `the 0.93, house 0.05`; a repeated token with its position."""
    names = [visible(token) for token in shown.columns]
    counts = Counter(shown.columns)
    for index, token in enumerate(shown.columns):
        if counts[token] > 1:
            names[index] += f" ({index + 1})"
    rows = (shown.strongest(row) for row in range(len(shown.rows)))
    return [", ".join(f"{names[column]} {value:.2f}" for column, value in found) for found in rows]


def _even(array: Array) -> tuple[float, float]:
    finite = np.abs(array[np.isfinite(array)])
    top = max(1.0, float(finite.max(initial=0.0)))
    return -top, top


def _kept(trace: Trace, keep: NDArray[np.float64], *, backward: bool) -> str:
    means = keep.mean(axis=1)
    means[-1 if backward else 0] = np.nan  # nothing was there to forget before the first token was read
    low, high = _ends(trace, means, "kept ")
    if not high:
        return "What came before was kept about equally at every token."
    return f"What came before was forgotten most at {low}, least at {high}."


def _ends(trace: Trace, values: NDArray[np.float64], what: str = "") -> tuple[str, str]:
    """The tokens of the lowest and the highest value, in quotes with the value; a repeated token with its position."""
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
    """The widest array's units."""
    return max((array.shape[1] for array in arrays.values()), default=0)
