"""Views of a memory that a cell reads and writes by attention: maps of the heads, contents, path of the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unspool.errors import UsageError
from unspool.inspection.maps import Map
from unspool.inspection.trace import Array, Trace
from unspool.settings import nearest

__all__ = [
    "HeadPath",
    "head_maps",
    "head_path",
    "heads_of",
    "memory_contents",
    "memory_map",
    "memory_maps",
    "memory_places",
]

_NO_MEMORY = "this trace has no memory with heads; a Turing machine has one (the cell ntm)"


def heads_of(cell: object) -> dict[str, int]:
    """Return the number of heads of a cell by kind, `read` and `write`; empty for a cell without heads."""
    counts = {kind: getattr(cell, f"{kind}_heads", 0) for kind in ("read", "write")}
    return {kind: count for kind, count in counts.items() if isinstance(count, int) and count > 0}


def head_maps(
    arrays: Mapping[str, Array], place: str, tokens: Sequence[str], heads: Mapping[str, int]
) -> dict[str, Map]:
    """Return the weights of every head over the slots, (steps, slots): `layer 1 / read head 1`, ...

    Args:
        arrays: Recorded arrays by name. `layer 1 / read_weights` is (steps, heads * slots), head by head.
        place: Place of the cell, such as `layer 1`.
        tokens: Tokens of the steps.
        heads: Number of heads by kind.
    """
    maps = {}
    for kind, count in heads.items():
        weights = arrays.get(f"{place} / {kind}_weights")
        if weights is None or weights.shape[1] % count:
            continue
        slots = _numbered("slot", weights.shape[1] // count)
        for number, values in enumerate(np.split(weights, count, axis=1), start=1):
            maps[f"{place} / {kind} head {number}"] = Map(values, tuple(tokens), slots)
    return maps


def memory_places(trace: Trace) -> list[str]:
    """Return the places of a trace that have a memory with heads, such as `layer 1`."""
    return [place for place in trace.places if f"{place} / memory" in trace.arrays and _heads_at(trace, place)]


def memory_contents(trace: Trace, place: str | None = None) -> Array:
    """Return the contents of a memory after each step, (steps, slots, width).

    Args:
        trace: Trace of a network with a memory.
        place: Place of the memory; the first if omitted.

    Raises:
        UsageError: If there is no such memory.
    """
    places = memory_places(trace)
    if not places:
        raise UsageError(_NO_MEMORY)
    place = places[0] if place is None else place
    if place not in places:
        raise UsageError(f"{place!r} has no memory{nearest(place, places)}; there are {', '.join(places)}")
    slots = len(_heads_at(trace, place)[0].columns)
    return trace.arrays[f"{place} / memory"].reshape(len(trace.tokens), slots, -1)


def memory_map(trace: Trace, step: int, place: str | None = None) -> Map:
    """Return the contents of a memory after one step as a map, (slots, width); steps count from 0.

    Raises:
        UsageError: If there is no such memory or step.
    """
    contents = memory_contents(trace, place)
    if not 0 <= step < len(contents):
        raise UsageError(f"there is no step {step + 1}; the trace has steps 1 to {len(contents)}")
    slots, width = contents.shape[1:]
    return Map(contents[step], _numbered("slot", slots), _numbered("", width))


def memory_maps(trace: Trace, step: int) -> dict[str, Map]:
    """Return the contents of every memory after one step, by name: `layer 1 / memory after step 3`.

    Raises:
        UsageError: If there is no memory, or no such step; steps count from 0.
    """
    if not (places := memory_places(trace)):
        raise UsageError(_NO_MEMORY)
    return {f"{place} / memory after step {step + 1}": memory_map(trace, step, place) for place in places}


class HeadPath(NamedTuple):
    """Slots that the heads of a machine visit while it copies."""

    written: tuple[int, ...]
    """Slot of the largest weight of the write head at each input, from 0."""
    read: tuple[int, ...]
    """Slot of the largest weight of the read head at each answer, from 0."""
    direction: int
    """Slots that the write head moves from input to input: 1 or -1, the more frequent of the two."""
    lag: int
    """Inputs between a vector and the step that writes its slot: 0, or 1 if the machine writes one step later."""
    advances: float
    """Share of the steps from input to input in which the write head moves exactly one slot, between 0 and 1."""
    retraces: float
    """Share of the answers at which the read head is at the slot written for the same vector, between 0 and 1."""

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**self._asdict(), "written": list(self.written), "read": list(self.read)}


def head_path(trace: Trace, inputs: int, place: str = "layer 1") -> HeadPath:
    """Measure whether a copying machine writes slot after slot, and reads the same slots in the same order.

    The exercise has `inputs` vectors, one sign, and as many answers. Slots lie in a ring.

    Args:
        trace: Trace of one exercise of `copy`, by a machine with one read and one write head.
        inputs: Number of vectors to copy, at least 2.
        place: Place of the cell.

    Raises:
        UsageError: If the trace has another number of steps, or no heads at this place.
    """
    if inputs < 2 or len(trace.tokens) != 2 * inputs + 1:
        raise UsageError(f"a copy of {inputs} vectors has {2 * inputs + 1} steps, and the trace {len(trace.tokens)}")
    slots = len(trace.map(f"{place} / write head 1").columns)
    write = trace.map(f"{place} / write head 1").values.argmax(1)
    read = trace.map(f"{place} / read head 1").values.argmax(1)[inputs + 1 :]
    moves = np.diff(write[:inputs])
    shares = {way: float(((moves - way) % slots == 0).mean()) for way in (1, -1)}
    direction = max(shares, key=lambda way: shares[way])
    matches = {lag: float((read == write[lag : inputs + lag]).mean()) for lag in (0, 1)}
    lag = max(matches, key=lambda lag: matches[lag])
    return HeadPath(
        tuple(write[:inputs].tolist()), tuple(read.tolist()), direction, lag, shares[direction], matches[lag]
    )


def _heads_at(trace: Trace, place: str) -> list[Map]:
    return [trace.maps[name] for kind in ("read", "write") if (name := f"{place} / {kind} head 1") in trace.maps]


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name} {number}".strip() for number in range(1, count + 1))
