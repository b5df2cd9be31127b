"""Retention: how much of each token remains in the last state, computed from recorded gates.

A gated cell updates its state by `s_t = keep_t ⊙ s_{t-1} + write_t`. The part of token `t` in the last state is
`write_t` times every later `keep`. Cells name their gates differently, and some keep the old state where `z` is 1,
others where it is 0. So this module tries pairs of gates against the recorded states, and accepts a pair only if it
reproduces them.
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
_TOLERANCE = 1e-3  # relative to the largest state: far above float32 rounding, far below the error of a wrong pair


def is_gate(quantity: str, array: Array) -> bool:
    """Return whether an array is a gate: all finite values between 0 and 1, and no state or candidate by name."""
    if quantity.removeprefix("state.") in (*HIDDEN_STATES, *CELL_STATES, *CANDIDATES):
        return False
    finite = array[np.isfinite(array)]
    return bool(finite.size) and bool((finite >= 0).all() and (finite <= 1).all())


def is_backward(place: str) -> bool:
    """Return whether a layer runs backwards, by the name of its place."""
    return any(word in ("backward", "reverse", "backwards", "reversed") for word in place.lower().split())


def change(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """Return the change of the hidden state at each token, the mean over units of `|h_t - h_{t-1}|`, (tokens,).

    The state before the first token counts as zero. None without a recorded hidden state.
    """
    hidden = _find(arrays, HIDDEN_STATES)
    if hidden is None or not len(hidden):
        return None
    states = hidden[::-1].astype(np.float64) if backward else hidden.astype(np.float64)
    with np.errstate(invalid="ignore"):
        movement = np.abs(np.diff(states, axis=0, prepend=0.0)).mean(axis=1)
    return np.asarray(movement[::-1] if backward else movement)


def keeping(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """Return the fraction of the old state that each token keeps, (tokens, units); None if no gates reproduce it."""
    parts = _keep_and_write(arrays, backward=backward)
    return None if parts is None else parts[0]


def remaining(arrays: Mapping[str, Array], *, backward: bool = False) -> NDArray[np.float64] | None:
    """Return the fraction of the last state that each token wrote, (tokens,); sums to 1.

    Absolute values are summed over units, so that opposite contributions count for both tokens. None if no pair of
    recorded gates reproduces `s_t = keep ⊙ s_{t-1} + write`.
    """
    parts = _keep_and_write(arrays, backward=backward)
    if parts is None:
        return None
    keep, writes = (part[::-1] for part in parts) if backward else parts
    later = np.cumprod(np.concatenate([keep[1:], np.ones_like(keep[:1])])[::-1], axis=0)[::-1]
    left = np.abs(later * writes).sum(axis=1)
    share = left / left.sum() if left.sum() > 0 else left
    return np.asarray(share[::-1] if backward else share)


def _keep_and_write(
    arrays: Mapping[str, Array], *, backward: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    state = _find(arrays, CELL_STATES)
    if state is None:
        state = _find(arrays, HIDDEN_STATES)
    candidate = _find(arrays, CANDIDATES)
    if state is None or candidate is None or len(state) < 2 or state.shape != candidate.shape:
        return None
    if not np.isfinite(state).all() or not np.isfinite(candidate).all():
        return None
    before, now = (state[1:], state[:-1]) if backward else (state[:-1], state[1:])
    steps = slice(None, -1) if backward else slice(1, None)  # the trace lacks the state before the first step
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


def _find(arrays: Mapping[str, Array], names: tuple[str, ...]) -> Array | None:
    for quantity, array in arrays.items():
        if quantity.removeprefix("state.") in names:
            return array
    return None
