"""Losses and gradient norms of updates, read from the device rarely and checked to be finite."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.training.distributed import World

__all__ = ["NotFinite", "UpdateLoss", "Watch"]


class UpdateLoss(NamedTuple):
    """Loss and gradient norm of one update, on the host."""

    update: int
    count: int  # type: ignore[assignment]
    """Number of targets, over all processes."""
    total: float
    """Sum of the loss over the targets, in nats."""
    norm: float | None
    """Gradient norm before clipping; None without clipping."""


class NotFinite(Exception):  # noqa: N818 - the loop turns it into a TrainingError
    """The loss or the gradient of an update is infinite or NaN."""

    def __init__(self, loss: UpdateLoss) -> None:
        self.loss = loss
        super().__init__(loss)


class Watch:
    """Queue of losses and gradient norms that are still on the device.

    On a CPU the loop reads them after each update. Reading from a GPU waits for it, so the loop reads them together:
    at each log line and before each checkpoint.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[tuple[int, int, Tensor, Tensor | None]] = []

    def add(self, update: int, count: int, total: Tensor, norm: Tensor | None) -> None:
        """Queue the numbers of an update without waiting: the total of this process, the count of all processes."""
        self._pending.append((update, count, total, norm))

    def read(self) -> list[UpdateLoss]:
        """Read all numbers in the queue, and empty it.

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
            loss = UpdateLoss(update, count, total, None if norm is None else next(norms))
            if not (math.isfinite(loss.total) and math.isfinite(loss.norm or 0.0)):
                raise NotFinite(loss)
            read.append(loss)
        return read


def _values(scalars: list[Tensor]) -> list[float]:
    if len(scalars) == 1:
        return [float(scalars[0])]
    return torch.stack([scalar.double() for scalar in scalars]).tolist() if scalars else []
