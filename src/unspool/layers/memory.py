"""Key–value memory: what is kept under keys like the query comes back, weighed by how like they are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unspool.errors import SettingError, ShapeError

__all__ = ["KeyValueMemory", "MemoryRead"]


class MemoryRead(NamedTuple):
    """What a query took out of a memory, and from where."""

    value: Tensor  # (batch, value)
    weights: Tensor  # (batch, heads, slots), each row adding up to 1, or all zero where none may be read


class KeyValueMemory(nn.Module):
    r"""Compare a query with the key of every slot, and return the slots' values, weighed.

    .. math:: \alpha_i = \beta\, k_i^\top x, \quad c = \mathrm{softmax}(\alpha), \quad s = \sum_i c_i v_i

    With keys of length 1 and a large :math:`\beta`, a query that is one of the keys returns that key's value. Heads
    divide keys and values among themselves; each weighs the slots for itself.

    Source: Miller et al. 2016, arXiv:1606.03126, section 3.1, without its matrices; :math:`\beta` is the key strength
    of Graves et al. 2014, arXiv:1410.5401, equation 5. A memory without it has a scale of 1.

    Args:
        scale: The strength :math:`\beta` that scores are multiplied by, above 0.
        learn_scale: Whether the strength is learned, by its logarithm.
        num_heads: How many readers divide the features; divides the widths of keys and values.
        top: Read only the slots with the highest scores, this many and those that tie with the last; all if None. With
            1, reading is hard.

    Raises:
        SettingError: If a value is out of range.
    """

    log_scale: Tensor

    def __init__(
        self, *, scale: float = 1.0, learn_scale: bool = False, num_heads: int = 1, top: int | None = None
    ) -> None:
        super().__init__()
        if not (math.isfinite(scale) and scale > 0):
            raise SettingError(f"scale = {scale}: expected a number above 0")
        if num_heads < 1:
            raise SettingError(f"num_heads = {num_heads}: expected at least 1")
        if top is not None and top < 1:
            raise SettingError(f"top = {top}: expected at least 1, or None to read all slots")
        self.num_heads, self.top = num_heads, top
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
            mask: True at slots that may be read, bool, (slots,) or (batch, slots); all of them if omitted. What stands
                in the others changes nothing.

        Raises:
            ShapeError: If a shape does not fit, or the heads don't divide a width.
        """
        return self.read(self.scores(query, keys if mask is None else _cleared(keys, mask)), values, mask)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """How well each key fits, before the strength, (batch, heads, slots); shapes as in `forward`."""
        self._check(query, keys)
        query, keys = self._split(query), self._split(keys)  # (batch, heads, key of a head), (..., slots, heads, key)
        shape = "shk" if keys.ndim == 3 else "bshk"
        return torch.einsum(f"bhk,{shape}->bhs", query, keys)

    def weigh(self, scores: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weights of the slots, (batch, heads, slots), for scores of that shape; exactly 0 at masked slots."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * self.log_scale.exp()
        if mask is not None:
            mask = mask.unsqueeze(-2)  # the same for all heads
            scores = scores.masked_fill(~mask, -math.inf)
        if self.top is not None and self.top < scores.shape[-1]:
            last = scores.topk(self.top, dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < last, -math.inf)
        if mask is None:
            return scores.softmax(-1)
        # a row without any slot has nothing to add up to: it is computed with zeros for scores and then cleared
        nothing = ~mask.any(-1, keepdim=True)
        return scores.masked_fill(nothing, 0).softmax(-1).masked_fill(~mask, 0)

    def read(self, scores: Tensor, values: Tensor, mask: Tensor | None = None) -> MemoryRead:
        """Read with scores that are at hand, (batch, heads, slots); `values` and `mask` as in `forward`.

        Raises:
            ShapeError: If a shape does not fit, or the heads don't divide the values' width.
        """
        slots = scores.shape[-1]
        if values.ndim not in (2, 3) or values.shape[-2] != slots or values.shape[-1] % self.num_heads:
            raise ShapeError(
                f"values {tuple(values.shape)} for {slots} slots and {self.num_heads} heads: expected "
                f"({slots}, width) or (batch, {slots}, width), the width a multiple of the heads"
            )
        weights = self.weigh(scores, mask)
        if mask is not None:
            values = _cleared(values, mask)
        values = self._split(values)
        shape = "shv" if values.ndim == 3 else "bshv"
        value = torch.einsum(f"bhs,{shape}->bhv", weights.to(values.dtype), values)
        return MemoryRead(value.flatten(-2), weights)

    def _split(self, features: Tensor) -> Tensor:
        """Divide features among the heads: (..., heads, width of a head)."""
        return features.reshape(*features.shape[:-1], self.num_heads, features.shape[-1] // self.num_heads)

    def _check(self, query: Tensor, keys: Tensor) -> None:
        fits = keys.ndim == 2 or (keys.ndim == 3 and keys.shape[0] == query.shape[0])
        if query.ndim != 2 or not fits or query.shape[-1] != keys.shape[-1]:
            raise ShapeError(
                f"a query {tuple(query.shape)} over keys {tuple(keys.shape)}: expected (batch, width) and "
                f"(slots, width) or (batch, slots, width)"
            )
        if query.shape[-1] % self.num_heads:
            raise ShapeError(f"{self.num_heads} heads can't divide keys {query.shape[-1]} wide among themselves")

    def extra_repr(self) -> str:
        top = "" if self.top is None else f", top={self.top}"
        return f"scale={float(self.log_scale.detach().exp()):.4g}, num_heads={self.num_heads}{top}"


def _cleared(slots: Tensor, mask: Tensor) -> Tensor:
    """Zeros in slots that nobody may read: a weight of 0 does not stop NaN, nor does it in the gradient."""
    if slots.ndim == 2 and mask.ndim == 2:
        mask = mask.any(0)
    return slots.masked_fill(~mask.unsqueeze(-1), 0)
