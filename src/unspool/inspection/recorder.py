"""Recorder of a cell's intermediate values, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool.errors import CellError, ShapeError
from unspool.inspection.trace import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Recording"]


class Recording:
    """Watcher that stores the values of a cell: call `watch(cell, recording)` and run the cell.

    Values are detached copies on their device.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Store one value of one step, (batch, units)."""
        self._values.setdefault(name, []).append(value.detach().clone())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values, in order of first occurrence."""
        return tuple(self._values)

    def stacked(self) -> dict[str, Tensor]:
        """Return all values, each (steps, batch, units), in the order of the steps.

        Raises:
            CellError: If two names have different numbers of steps.
            ShapeError: If a name has different shapes at different steps.
        """
        import torch

        counts = {name: len(values) for name, values in self._values.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count} times" for name, count in counts.items())
            raise CellError(f"a cell records each name once in every step, but it recorded {listed}")
        for name, values in self._values.items():
            if len(shapes := {tuple(value.shape) for value in values}) > 1:
                raise ShapeError(f"a cell recorded {name!r} in several shapes: {', '.join(map(str, sorted(shapes)))}")
        return {name: torch.stack(values) for name, values in self._values.items()}

    def arrays(
        self, place: str, *, column: int = 0, length: int | None = None, reverse: bool = False
    ) -> dict[str, Array]:
        """Return arrays for a `Trace`, of one sequence of the batch.

        Args:
            place: Place of the cell, such as `layer 1 forward`; the names are `place / name`.
            column: Index of the sequence in the batch, from 0.
            length: Number of valid steps; all if omitted.
            reverse: Whether the cell ran from the last token to the first; results are in token order either way.

        Returns:
            Float32 arrays, (length, units) each. A complex value becomes `place / name real` and
            `place / name imaginary`.
        """
        arrays = {}
        for name, values in self.stacked().items():
            in_order = values.flip(0) if reverse else values  # a backward run starts in the padding
            for quantity, part in _real_parts(name, in_order[:length, column]).items():
                arrays[f"{place} / {quantity}"] = part.float().cpu().numpy()
        return arrays


def _real_parts(name: str, values: Tensor) -> dict[str, Tensor]:
    if not values.is_complex():
        return {name: values}
    return {f"{name} real": values.real, f"{name} imaginary": values.imag}
