"""Products of an affine prologue and its gradients, by torch or by our own GEMM, without autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.engine.compiler.passes.affine_prologue import AffineProlog, Piece
from unspool.engine.cpu.runtime.autograd_gemm import matrix_gradients, product
from unspool.engine.cpu.runtime.memory_pool import pooled_empty

__all__ = ["input_products", "prologue_gradients"]


def input_products(
    plain: AffineProlog, rows: Sequence[Tensor], owned: Sequence[Tensor], *, half: bool = False
) -> dict[str, Tensor]:
    """Return the loop's inputs that are products, (rows, width), by name.

    Args:
        plain: The prologue.
        rows: The step's input and context, each (rows, width).
        owned: The weights.
        half: Whether to multiply in bfloat16.
    """
    products = {}
    for number, (source, matrix) in enumerate(plain.inputs):
        if matrix is not None:
            layer, left = _layer(plain, owned, matrix).t(), rows[source]
            out = pooled_empty(left.dtype, len(left), layer.shape[1])
            products[f"input{number}"] = product(left, layer, half, out)
    return products


def prologue_gradients(
    plain: AffineProlog,
    memory: Callable[[str], Tensor | None],
    rows: Sequence[Tensor],
    owned: Sequence[Tensor],
    products: Sequence[tuple[int, Tensor, Tensor]],
    needs_gradient: Sequence[bool],
    *,
    half: bool = False,
) -> list[Tensor | None]:
    """Return the gradients of the rows, then of the weights; None for those that need none.

    Args:
        plain: The prologue.
        memory: Returns what the loop left under a name, as `input_gradient0` or `vector_gradient0`.
        rows: The step's input and context, each (rows, width).
        owned: The weights.
        products: Number, left and right of each product whose sum over rows is a matrix's gradient in the loop.
        needs_gradient: Which rows, then which weights, need their gradient.
        half: Whether to multiply in bfloat16.
    """
    of_rows: list[Tensor | None] = [None] * len(rows)
    row_gradients: list[list[tuple[int, int, Tensor]]] = [[] for _ in owned]
    products = list(products)
    for number, (source, matrix) in enumerate(plain.inputs):
        gradient = memory(f"input_gradient{number}")
        if gradient is None:
            continue
        if matrix is not None:
            products.append((matrix, rows[source], gradient))
        if needs_gradient[source]:
            contribution = gradient if matrix is None else product(gradient, _layer(plain, owned, matrix), half)
            before = of_rows[source]
            of_rows[source] = contribution if before is None else before + contribution
    for number, vectors in enumerate(plain.sums):
        gradient = memory(f"vector_gradient{number}")
        if gradient is not None:
            _share(plain, gradient, vectors, owned, needs_gradient[len(rows) :], row_gradients)
    together: dict[tuple[Any, ...], list[tuple[Piece, Tensor, Tensor]]] = {}
    for matrix, left, right in products:
        piece = plain.matrices[matrix]
        if needs_gradient[len(rows) + piece.weight]:
            key = right.data_ptr(), right.shape, right.stride()
            together.setdefault(key, []).append((piece, left, right))
    for same in together.values():
        gradients = matrix_gradients([left for _, left, _ in same], same[0][2], half=half)
        for (piece, _, _), of_matrix in zip(same, gradients, strict=True):
            row_gradients[piece.weight].append((piece.start, piece.stop, of_matrix.t() if piece.turned else of_matrix))
    return [*of_rows, *(_assembled(vectors, weight) for vectors, weight in zip(row_gradients, owned, strict=True))]


def _layer(plain: AffineProlog, owned: Sequence[Tensor], matrix: int) -> Tensor:
    """Return a matrix as a layer stores its weights, (out, in)."""
    piece = plain.matrices[matrix]
    return _cut(owned, piece) if piece.turned else _cut(owned, piece).t()


def _share(
    plain: AffineProlog,
    gradient: Tensor,
    parts: Sequence[int],
    owned: Sequence[Tensor],
    needs_gradient: Sequence[bool],
    row_gradients: list[list[tuple[int, int, Tensor]]],
) -> None:
    """Give the gradient of a sum of vectors to each of them, summed over rows."""
    pieces = [piece for piece in (plain.vectors[part] for part in parts) if needs_gradient[piece.weight]]
    if pieces:
        total = gradient.sum(0)
        for piece in pieces:
            some = total[: piece.numbers(owned[piece.weight].shape)]
            row_gradients[piece.weight].append((piece.start, piece.stop, some))


def _cut(owned: Sequence[Tensor], piece: Piece) -> Tensor:
    weight = owned[piece.weight]
    return weight if piece.stop - piece.start == weight.shape[0] else weight[piece.start : piece.stop]


def _assembled(parts: list[tuple[int, int, Tensor]], weight: Tensor) -> Tensor | None:
    """Return the gradient of a weight from those of some rows each."""
    if not parts:
        return None
    if len(parts) == 1 and parts[0][2].shape == weight.shape:
        return parts[0][2]
    parts = sorted(parts, key=lambda part: part[:2])
    ends = [0, *(stop for _, stop, _ in parts)]
    if [start for start, _, _ in parts] == ends[:-1] and ends[-1] == len(weight):  # each row once
        values = [value.reshape(stop - start, *weight.shape[1:]) for start, stop, value in parts]
        return values[0] if len(values) == 1 else torch.cat(values)
    whole = torch.zeros_like(weight)
    for start, stop, value in parts:
        whole[start:stop] += value.reshape(stop - start, *weight.shape[1:])
    return whole
