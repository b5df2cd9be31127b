"""What every model's loss returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Loss"]


class Loss(NamedTuple):
    """The loss of one batch."""

    total: Tensor
    """Sum over the targets, in nats, a scalar."""
    count: int  # type: ignore[assignment]
    """How many targets it sums over."""
    carry: Any = None
    """State for the next batch, nested tuples of tensors; None where batches stand alone."""
