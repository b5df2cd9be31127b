"""Key–value memory: a query returns the values of the keys most similar to it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unspool.errors import SettingError, ShapeError
from unspool.layers.masked_softmax import masked_softmax

__all__ = ["KeyValueMemory", "MemoryRead"]


class MemoryRead(NamedTuple):
    """The value that a query read from a memory, and the weight of each slot in it."""

    value: Tensor  # (batch, value)
    weights: Tensor  # (batch, slots), each row summing to 1, or all zero where the mask allows no slot


class KeyValueMemory(nn.Module):
    r"""Compare a query with the key of every slot, and return the weighted sum of the slots' values.

    .. math:: \alpha_i = \beta\, k_i^\top x, \quad c = \mathrm{softmax}(\alpha), \quad s = \sum_i c_i v_i

    With keys of length 1 and a large :math:`\beta`, a query that equals a key returns the value of that key.

    Source: Miller et al. 2016, arXiv:1606.03126, section 3.1, without its matrices; :math:`\beta` is the key strength
    of Graves et al. 2014, arXiv:1410.5401, equation 5. A memory without it has a scale of 1.

    Args:
        scale: The strength :math:`\beta`, which multiplies the scores; above 0.
        learn_scale: Whether training learns the strength, by its logarithm.

    Raises:
        SettingError: If the scale is out of range.
    """

    log_scale: Tensor

    def __init__(self, *, scale: float = 1.0, learn_scale: bool = False) -> None:
        super().__init__()
        if not (math.isfinite(scale) and scale > 0):
            raise SettingError(f"scale = {scale}: expected a number above 0")
        log_scale = torch.tensor(math.log(scale))
        if learn_scale:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> MemoryRead:
        """Read the memory once.

        Args:
            query: (batch, key).
            keys: One memory for the whole batch, (slots, key), or one each, (batch, slots, key).
            values: (slots, value) or (batch, slots, value).
            mask: True at slots that the query may read, bool, (slots,) or (batch, slots). None: all slots. The content
                of the other slots changes nothing, NaN included.

        Raises:
            ShapeError: If a shape does not fit.
        """
        _check(query, keys, values)
        if mask is not None:
            keys, values = _clear(keys, mask), _clear(values, mask)
        weights = self.weigh(torch.einsum(f"bk,{'sk' if keys.ndim == 2 else 'bsk'}->bs", query, keys), mask)
        value = torch.einsum(f"bs,{'sv' if values.ndim == 2 else 'bsv'}->bv", weights.to(values.dtype), values)
        return MemoryRead(value, weights)

    def weigh(self, scores: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the weights of the slots, (batch, slots), for scores of that shape before the strength."""
        return masked_softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)) * self.log_scale.exp(), mask)

    def extra_repr(self) -> str:
        return f"scale={float(self.log_scale.detach().exp()):.4g}"


def _check(query: Tensor, keys: Tensor, values: Tensor) -> None:
    batch = query.shape[0]
    fits = all(slots.ndim == 2 or (slots.ndim == 3 and slots.shape[0] == batch) for slots in (keys, values))
    if query.ndim != 2 or not fits or query.shape[-1] != keys.shape[-1] or keys.shape[-2] != values.shape[-2]:
        raise ShapeError(
            f"a query {tuple(query.shape)} over keys {tuple(keys.shape)} and values {tuple(values.shape)}: expected "
            f"(batch, width), then (slots, width) or (batch, slots, width) twice, with equal slots"
        )


def _clear(slots: Tensor, mask: Tensor) -> Tensor:
    """Set masked slots to zero, since a weight of 0 stops NaN neither in the value nor in the gradient."""
    if slots.ndim == 2 and mask.ndim == 2:
        mask = mask.any(0)
    return slots.masked_fill(~mask.unsqueeze(-1), 0)
