"""Products over the rows of all steps at once, before the loop and after it, in torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["matrix_gradient", "multiply"]

_MANY = 1024
"""Rows from which on a gradient is summed up in the order of the matrix: it is then turned once, and the sum is up to
a third faster, since both sides are read along their rows."""


def multiply(rows: Tensor, matrix: Tensor) -> Tensor:
    """Rows times a matrix, under autograd.

    Args:
        rows: (rows, depth).
        matrix: (depth, width).
    """
    product: Tensor = _Multiply.apply(rows, matrix)  # type: ignore[no-untyped-call]
    return product


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(rows, matrix)
        return rows @ matrix

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        rows, matrix = ctx.saved_tensors
        of_rows, of_matrix = ctx.needs_input_grad
        return (
            gradient @ matrix.t() if of_rows else None,
            matrix_gradient(rows, gradient) if of_matrix else None,
        )


def matrix_gradient(rows: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of the matrix by which rows were multiplied, (depth, width).

    Args:
        rows: What was multiplied, (rows, depth).
        gradient: Of the products, (rows, width).
    """
    if rows.shape[0] >= _MANY:
        return rows.t() @ gradient
    return (gradient.t() @ rows).t()  # a layer's weight is the transpose of the matrix, and so is its gradient
