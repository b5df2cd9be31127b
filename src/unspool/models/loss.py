"""Loss of a batch, as every model returns it."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Loss"]


class Loss(NamedTuple):
    """The loss of one batch."""

    total: Tensor
    """Sum over the targets, in nats; a scalar."""
    count: int  # type: ignore[assignment]
    """Number of targets in the sum."""
    carry: Any = None
    """State for the next batch, nested tuples of tensors; None if batches are independent."""
