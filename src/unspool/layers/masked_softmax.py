"""Masked softmax: attention weights over the positions that a mask allows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["masked_softmax"]


def masked_softmax(scores: Tensor, mask: Tensor | None = None, dim: int = -1) -> Tensor:
    """Return the softmax of scores over the positions that a mask allows.

    Args:
        scores: Of any shape; finite at masked positions too.
        mask: True at allowed positions, bool, broadcast to the shape of `scores`. None: all positions.
        dim: Dimension of the positions.

    Returns:
        Weights in float32 at least, also under autocast. They sum to 1 along `dim` and are exactly 0 at masked
        positions; where the mask allows no position, all are 0.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is None:
        return scores.softmax(dim)
    blocked = ~mask
    return scores.masked_fill(blocked, torch.finfo(scores.dtype).min).softmax(dim).masked_fill(blocked, 0)
