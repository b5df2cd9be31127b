"""Mean ablation: clamp units of a cell at their means at every step, and record the states of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.cells import Cell

__all__ = ["Clamp", "StateRecorder", "quantities", "state_parts"]


class Clamp:
    """Step editor that sets units to fixed values after every step: `with edit_steps(cell, Clamp({"h": {3: 0.1}}))`.

    Source: mean ablation, as in Lakretz et al. 2019, N19-1002, section 4.1, who set units to zero. The output of the
    step is clamped too if it is the state itself, as in most cells.

    Args:
        values: For each part of the state by name, the value of each unit by index. A complex number clamps a complex
            part.
    """

    def __init__(self, values: Mapping[str, Mapping[int, complex]]) -> None:
        self.values = values

    def step(self, cell: Cell[Any], x: Tensor, state: Any, context: Sequence[Tensor]) -> tuple[Tensor, Any]:
        """Make the step of the cell, and clamp the units."""
        output, new = cell.step(x, state, *context)
        parts = {name: _clamped(getattr(new, name), values) for name, values in self.values.items()}
        for name, clamped in parts.items():
            if output is getattr(new, name):
                output = clamped
        return output, new._replace(**parts)


class StateRecorder:
    """Watcher that keeps the states of a cell until they are taken.

    Args:
        parts: Names of the parts of the state to keep.
        reverse: Whether the cell runs from the last token to the first.
    """

    def __init__(self, parts: Sequence[str], *, reverse: bool = False) -> None:
        self.parts, self.reverse = tuple(parts), reverse
        self._values: dict[str, list[Tensor]] = {name: [] for name in self.parts}

    def add(self, name: str, value: Tensor) -> None:
        """Store the state after one step, (batch, units)."""
        if name in self._values:
            self._values[name].append(value.detach())

    def take(self) -> dict[str, NDArray[Any]]:
        """Return the states since the last call by part, (time, batch, units) in the order of the text."""
        arrays = {}
        for name, values in self._values.items():
            stacked = torch.stack(values[::-1] if self.reverse else values)
            arrays[name] = stacked.cpu().numpy() if stacked.is_complex() else stacked.float().cpu().numpy()
            self._values[name] = []
        return arrays


def _clamped(part: Tensor, values: Mapping[int, complex]) -> Tensor:
    clamped = part.clone(memory_format=torch.contiguous_format)
    rows = clamped.view(len(part), -1)
    for unit, value in values.items():
        number: Any = value if part.is_complex() else complex(value).real
        rows[:, unit] = number
    return clamped


def state_parts(cell: Cell[Any]) -> dict[str, tuple[int, bool]]:
    """Return the parts of a cell's state by name: the number of units, and whether they are complex numbers."""
    state = cell.initial_state(1)
    return {name: (part[0].numel(), part.is_complex()) for name, part in state._asdict().items()}


def quantities(name: str, array: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Return one array per real quantity: a complex part has `name real` and `name imaginary`, as in a `Trace`."""
    if not np.iscomplexobj(array):
        return {name: array}
    return {f"{name} real": array.real.astype(np.float32), f"{name} imaginary": array.imag.astype(np.float32)}
