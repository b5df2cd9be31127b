"""Products over the rows of all steps outside of command buffers, under autograd: torch's, or ours where faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.engine.cpu.policy import current_policy
from unspool.engine.cpu.runtime.gemm import multiplied, worthwhile

__all__ = [
    "FULL_WITHIN",
    "HALF",
    "HALF_WITHIN",
    "IN_TILES",
    "matrix_gradient",
    "matrix_gradients",
    "multiply",
    "product",
]

HALF = "factors rounded to bfloat16, sums in float32 and rounded once, so within 2^-6 of the magnitudes of their terms"
HALF_WITHIN = "factors rounded to bfloat16, sums in float32, so within 2^-7 of the magnitudes of their terms"
FULL_WITHIN = "float32: bfloat16 would not be faster on this processor for so few rows"
"""How exact products in bfloat16 are, in words."""
IN_TILES = "each float32 cut into three bfloat16 and multiplied in tiles (AMX), sums in float32: as exact as vectors"


def multiply(rows: Tensor, matrix: Tensor, *, half: bool = False) -> Tensor:
    """Multiply rows by a matrix, under autograd.

    Args:
        rows: (rows, depth).
        matrix: (depth, width).
        half: Whether to multiply in bfloat16; the result has the type of the rows either way.
    """
    result: Tensor = _Multiply.apply(rows, matrix, half)  # type: ignore[no-untyped-call]
    return result


def product(rows: Tensor, matrix: Tensor, half: bool, out: Tensor | None = None) -> Tensor:
    """Multiply rows by a matrix without autograd; write to `out` if there is one. Shapes as in `multiply`."""
    if half:
        result = (rows.bfloat16() @ matrix.bfloat16()).to(rows.dtype)
        return result if out is None else out.copy_(result)
    return multiplied(rows, [matrix], out)[0] if worthwhile(rows, matrix) else torch.mm(rows, matrix, out=out)


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor, half: bool) -> Tensor:
        factors = (rows.bfloat16(), matrix.bfloat16()) if half else (rows, matrix)
        ctx.save_for_backward(*factors)
        ctx.half, ctx.dtype = half, rows.dtype
        return product(*factors, False).to(rows.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows, matrix = ctx.saved_tensors
        of_rows, of_matrix, _ = ctx.needs_input_grad
        if ctx.half:
            gradient = gradient.bfloat16()
        return (
            product(gradient, matrix.t(), False).to(ctx.dtype) if of_rows else None,
            matrix_gradient(rows, gradient, half=ctx.half).to(ctx.dtype) if of_matrix else None,
            None,
        )


def matrix_gradient(rows: Tensor, gradient: Tensor, *, half: bool = False) -> Tensor:
    """Return the gradient of a matrix by which rows were multiplied, (depth, width).

    Args:
        rows: The factor, (rows, depth).
        gradient: Of the product, (rows, width).
        half: Whether to multiply in bfloat16; the result has the type of the rows either way.
    """
    return matrix_gradients([rows], gradient, half=half)[0]


def matrix_gradients(rows: Sequence[Tensor], gradient: Tensor, *, half: bool = False) -> list[Tensor]:
    """Return the gradients of several matrices whose products were added up; arguments as in `matrix_gradient`."""
    if half:
        gradient = gradient.bfloat16()
        return [_matrix_gradient(part.bfloat16(), gradient).to(part.dtype) for part in rows]
    if all(worthwhile(gradient.t(), part) for part in rows):
        return [of_part.t() for of_part in multiplied(gradient.t(), rows)]
    return [_matrix_gradient(part, gradient) for part in rows]


def _matrix_gradient(rows: Tensor, gradient: Tensor) -> Tensor:
    if rows.shape[0] >= current_policy().transposed_gradient_rows:
        return rows.t() @ gradient
    return (gradient.t() @ rows).t()  # a layer's weight is the transpose of the matrix, and so is its gradient
