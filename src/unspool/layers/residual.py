"""Dropout and the sum around a block in one step, with random numbers that are cheap on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.randomness import dropout, generator_on

__all__ = ["add_dropped", "dropped", "keep_mask"]


def add_dropped(residual: Tensor, inputs: Tensor, rate: float) -> Tensor:
    """`residual + dropout(inputs)`, two tensors of one shape, in the type of `residual`."""
    if rate == 0:
        return residual + inputs
    if inputs.device.type != "cpu":
        return residual + dropout(inputs, rate)
    kept = keep_mask(inputs.shape, rate, residual.dtype)
    result: Tensor = _AddDropped.apply(residual, inputs, kept)  # type: ignore[no-untyped-call]
    return result


def dropped(inputs: Tensor, rate: float) -> Tensor:
    """Dropout of single values; what stays is scaled up to keep the mean."""
    if rate == 0:
        return inputs
    if inputs.device.type != "cpu":
        return dropout(inputs, rate)
    return inputs * keep_mask(inputs.shape, rate, inputs.dtype)


def keep_mask(shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
    """Zeros at the rate, rounded to 1/65536, and elsewhere what keeps the mean exactly; on the CPU.

    A value's fate takes 16 random bits, where torch's own dropout draws 64 for each; a quarter of its time.
    """
    size = torch.Size(shape)
    words = torch.empty((size.numel() + 3) // 4, dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator_on(words.device))
    threshold = round(rate * 2**16)
    kept = torch.empty(size, dtype=torch.float32)
    torch.ge(words.view(torch.int16)[: size.numel()].view(size), threshold - 2**15, out=kept)
    return kept.to(dtype).mul_(2**16 / (2**16 - threshold))


class _AddDropped(torch.autograd.Function):
    """Product and sum in one pass; autograd's own derivative of it would multiply once more than needed."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, inputs: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.dtype = inputs.dtype
        return torch.addcmul(residual, inputs.to(residual.dtype), kept)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return gradient, (gradient * kept).to(ctx.dtype), None
