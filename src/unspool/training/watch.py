"""The loss of each update, read from the device as seldom as it allows, and checked for being finite."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.training.distributed import World

__all__ = ["NotFinite", "Seen", "Watch"]


class Seen(NamedTuple):
    """One update, once its numbers have been read."""

    update: int
    count: int  # type: ignore[assignment]
    """Targets, of all processes."""
    total: float
    """Loss summed over them, in nats."""
    norm: float | None
    """Norm of the gradient before clipping; None where it is not clipped."""


class NotFinite(Exception):  # noqa: N818 - turned into a TrainingError by the loop, which knows the rest
    """An update's loss or gradient is infinite or not a number."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        super().__init__(seen)


class Watch:
    """Losses and gradient norms that are still on the device.

    On a CPU each number is there already and is looked at in its own update. A GPU would have to be waited for, so
    its numbers are read together: at each log line, and before anything is saved.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[tuple[int, int, Tensor, Tensor | None]] = []

    def add(self, update: int, count: int, total: Tensor, norm: Tensor | None) -> None:
        """Note an update's numbers without waiting for them: this process's total, everybody's count."""
        self._pending.append((update, count, total, norm))

    def read(self) -> list[Seen]:
        """Read all that was noted since the last time.

        Raises:
            NotFinite: At the first update whose loss or gradient is not finite.
        """
        if not self._pending:
            return []
        pending, self._pending = self._pending, []
        totals = self._world.sum(_values([total for _, _, total, _ in pending]))
        norms = iter(_values([norm for *_, norm in pending if norm is not None]))
        read = []
        for (update, count, _, norm), total in zip(pending, totals, strict=True):
            seen = Seen(update, count, total, None if norm is None else next(norms))
            if not (math.isfinite(seen.total) and math.isfinite(seen.norm or 0.0)):
                raise NotFinite(seen)
            read.append(seen)
        return read


def _values(scalars: list[Tensor]) -> list[float]:
    if len(scalars) == 1:
        return [float(scalars[0])]
    return torch.stack([scalar.double() for scalar in scalars]).tolist() if scalars else []
