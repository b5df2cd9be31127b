"""Dropout with cheap random numbers on a CPU, alone and fused with a residual sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.randomness import dropout, generator_on

__all__ = ["add_dropout", "drop_values", "keep_mask"]


def add_dropout(residual: Tensor, inputs: Tensor, rate: float) -> Tensor:
    """Return `residual + dropout(inputs)`, for tensors of one shape, with the dtype of `residual`."""
    if rate == 0:
        return residual + inputs
    if inputs.device.type != "cpu":
        return residual + dropout(inputs, rate)
    mask = keep_mask(inputs.shape, rate, residual.dtype)
    result: Tensor = _AddDropout.apply(residual, inputs, mask)  # type: ignore[no-untyped-call]
    return result


def drop_values(inputs: Tensor, rate: float) -> Tensor:
    """Apply dropout to single values."""
    if rate == 0:
        return inputs
    if inputs.device.type != "cpu":
        return dropout(inputs, rate)
    return inputs * keep_mask(inputs.shape, rate, inputs.dtype)


def keep_mask(shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
    """Return a dropout mask on the CPU: 0 at the rate, rounded to 1/65536, else a constant that keeps the mean.

    Each value takes 16 random bits. Torch's own dropout draws 64 and takes four times as long.
    """
    size = torch.Size(shape)
    words = torch.empty((size.numel() + 3) // 4, dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator_on(words.device))
    threshold = round(rate * 2**16)
    mask = torch.empty(size, dtype=torch.float32)
    torch.ge(words.view(torch.int16)[: size.numel()].view(size), threshold - 2**15, out=mask)
    return mask.to(dtype).mul_(2**16 / (2**16 - threshold))


class _AddDropout(torch.autograd.Function):
    """Fused product and sum, with one product less in the backward pass than autograd would need."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.dtype = inputs.dtype
        return torch.addcmul(residual, inputs.to(residual.dtype), mask)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient, (gradient * mask).to(ctx.dtype), None
