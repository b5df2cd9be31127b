"""Collects what a cell records, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool.errors import CellError, ShapeError
from unspool.inspection.trace import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Recording"]


class Recording:
    """A watcher: hand it to `watch(cell, recording)`, run the cell, then ask for what it recorded.

    The values are copied as they come, out of the gradient graph, and stay on their device.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Keep one value of one step, (batch, units)."""
        self._values.setdefault(name, []).append(value.detach().clone())

    @property
    def names(self) -> tuple[str, ...]:
        """What was recorded, in the order it first came."""
        return tuple(self._values)

    def stacked(self) -> dict[str, Tensor]:
        """Everything recorded, each (steps, batch, units), in the order the steps ran.

        Raises:
            CellError: If some name was recorded at more steps than another.
            ShapeError: If a name came with different shapes at different steps.
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
        """The arrays that a `Trace` takes, of one sequence of the batch.

        Args:
            place: Where the cell stands, such as `layer 1 forward`; the arrays are named `place / name`.
            column: Which sequence of the batch.
            length: How many steps of it are real; all if omitted.
            reverse: Whether the cell ran from the last token to the first; the result stands in token order either way.

        Returns:
            Float32 arrays, (length, units) each. Of a complex value the real and the imaginary part, as
            `place / name real` and `place / name imaginary`.
        """
        arrays = {}
        for name, values in self.stacked().items():
            in_order = values.flip(0) if reverse else values  # a backward run begins in the padding
            for quantity, part in _real_parts(name, in_order[:length, column]).items():
                arrays[f"{place} / {quantity}"] = part.float().cpu().numpy()
        return arrays


def _real_parts(name: str, values: Tensor) -> dict[str, Tensor]:
    if not values.is_complex():
        return {name: values}
    return {f"{name} real": values.real, f"{name} imaginary": values.imag}
