"""Linear layers: a product with a weight, by our own GEMM where that is faster than torch's."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.engine.cpu.runtime.gemm import enough, multiplied, worthwhile
from unspool.engine.cpu.runtime.interception import is_intercepted, plain_memory
from unspool.engine.cpu.runtime.memory_pool import pooled_empty

__all__ = ["linear", "product"]


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute `x W^T + b`, as exact as `torch.nn.functional.linear`.

    Args:
        inputs: Vectors, (..., in).
        weight: W, (out, in).
        bias: b, (out,).

    Returns:
        Sums, (..., out).

    Raises:
        RuntimeError: If the shapes or number types don't fit, as torch raises it.
    """
    if not is_intercepted() and _fits(inputs, weight, weight.shape[0]) and (bias is None or _adds(bias, weight)):
        rows = inputs.reshape(-1, inputs.shape[-1])
        if worthwhile(rows, weight.t()):
            result: Tensor = _Product.apply(rows, weight.t(), bias, inputs.shape[:-1])  # type: ignore[no-untyped-call]
            return result
    return F.linear(inputs, weight, bias)


def product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Multiply two matrices, (rows, depth) and (depth, width), as exact as torch.

    Raises:
        RuntimeError: If the shapes don't fit, as torch raises it.
    """
    if not is_intercepted() and _fits(rows, matrix, matrix.shape[-1]) and worthwhile(rows, matrix):
        result: Tensor = _Product.apply(rows, matrix, None, rows.shape[:1])  # type: ignore[no-untyped-call]
        return result
    return rows @ matrix


def _fits(inputs: Tensor, weight: Tensor, width: int) -> bool:
    """Return whether our GEMM may be considered at all; most calls, as those of a decoder's steps, are too small."""
    return (
        enough(inputs.numel() * width)
        and inputs.dim() > 1
        and weight.dim() == 2
        and plain_memory(inputs)
        and not torch.is_autocast_enabled("cpu")
    )


def _adds(bias: Tensor, weight: Tensor) -> bool:
    """Return whether a bias is plain memory with one number for each sum."""
    return bias.dtype is weight.dtype and bias.shape == weight.shape[:1] and plain_memory(bias)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor, bias: Tensor | None, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(rows, matrix)
        width = matrix.shape[1]
        result = pooled_empty(torch.float32, *shape, width)
        multiplied(rows, [matrix], result.view(-1, width))
        return result if bias is None else result.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, matrix = ctx.saved_tensors
        of_rows, of_matrix, of_bias, _ = ctx.needs_input_grad
        gradient = gradient.reshape(-1, gradient.shape[-1])
        if 1 not in gradient.stride():
            gradient = gradient.contiguous()
        return (
            product(gradient, matrix.t()) if of_rows else None,
            product(gradient.t(), rows).t() if of_matrix else None,  # lies as the weight does
            gradient.sum(0) if of_bias else None,
            None,
        )
