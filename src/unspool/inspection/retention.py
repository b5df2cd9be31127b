"""Which words are still in the state at the end: read off the gates, and only where the numbers bear it out.

A gated cell moves its state `s` by `s_t = keep_t ⊙ s_{t-1} + write_t`. What token `t` wrote, times every later `keep`,
is what is left of it in the last state. Cells name their gates as they like, and some let the old state through where
`z` is one, others where it is zero; so the gates are not trusted by name, but tried against the recorded states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.trace import Array

__all__ = ["CANDIDATES", "CELL_STATES", "HIDDEN_STATES", "change", "is_backward", "is_gate", "keeping", "remaining"]

HIDDEN_STATES = ("h", "hidden", "state")
CELL_STATES = ("c", "cell", "memory")
CANDIDATES = ("candidate", "n", "g", "new")
_TOLERANCE = 1e-3  # of the largest state; float32 rounding is far below, a wrong pair of gates far above


def is_gate(quantity: str, array: Array) -> bool:
    """Whether an array is a gate: all its finite values between 0 and 1, and not the state of the cell by name."""
    if quantity.removeprefix("state.") in (*HIDDEN_STATES, *CELL_STATES, *CANDIDATES):
        return False
    finite = array[np.isfinite(array)]
    return bool(finite.size) and bool((finite >= 0).all() and (finite <= 1).all())


def is_backward(place: str) -> bool:
    """Whether a layer reads from the last token to the first, by the name of its place."""
    return any(word in ("backward", "reverse", "backwards", "reversed") for word in place.lower().split())


def change(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """How far each token moved the hidden state: the mean over units of `|h_t - h_{t-1}|`, (tokens,).

    The state before the first token is taken as zero. None if no hidden state was recorded.
    """
    hidden = _named(arrays, HIDDEN_STATES)
    if hidden is None or not len(hidden):
        return None
    states = hidden[::-1].astype(np.float64) if backward else hidden.astype(np.float64)
    with np.errstate(invalid="ignore"):
        moved = np.abs(np.diff(states, axis=0, prepend=0.0)).mean(axis=1)
    return np.asarray(moved[::-1] if backward else moved)


def keeping(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """How much of the old state each token let stand, (tokens, units); None if the numbers don't tell."""
    found = _kept_and_written(arrays, backward=backward)
    return None if found is None else found[0]


def remaining(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """Of all that is left in the last state, the share that each token wrote, (tokens,); sums to 1.

    Absolute values are summed over units, so that what one word adds and another takes away counts for both.
    None if the recorded gates and states don't move as `s_t = keep ⊙ s_{t-1} + write`.
    """
    found = _kept_and_written(arrays, backward=backward)
    if found is None:
        return None
    keep, written = (part[::-1] for part in found) if backward else found
    later = np.cumprod(np.concatenate([keep[1:], np.ones_like(keep[:1])])[::-1], axis=0)[::-1]
    left = np.abs(later * written).sum(axis=1)
    share = left / left.sum() if left.sum() > 0 else left
    return np.asarray(share[::-1] if backward else share)


def _kept_and_written(
    arrays: Mapping[str, Array], *, backward: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    state = _named(arrays, CELL_STATES)
    if state is None:
        state = _named(arrays, HIDDEN_STATES)
    candidate = _named(arrays, CANDIDATES)
    if state is None or candidate is None or len(state) < 2 or state.shape != candidate.shape:
        return None
    if not np.isfinite(state).all() or not np.isfinite(candidate).all():
        return None
    before, now = (state[1:], state[:-1]) if backward else (state[:-1], state[1:])
    steps = slice(None, -1) if backward else slice(1, None)  # the first step's old state is not in the trace
    gates = [gate.astype(np.float64) for gate in _gates(arrays, state.shape)]
    for keep in gates:
        for write in gates:
            gap = np.abs(keep[steps] * before + write[steps] * candidate[steps] - now).max()
            if gap <= _TOLERANCE * np.abs(state).max():
                return keep, write * candidate
    return None


def _gates(arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Iterator[Array]:
    for quantity, array in arrays.items():
        if is_gate(quantity, array) and array.shape == shape and np.isfinite(array).all():
            yield array
            yield 1 - array


def _named(arrays: Mapping[str, Array], names: tuple[str, ...]) -> Array | None:
    for quantity, array in arrays.items():
        if quantity.removeprefix("state.") in names:
            return array
    return None
