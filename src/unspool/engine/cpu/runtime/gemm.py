"""GEMM: products of whole matrices by our own code, where it is faster than torch's: with AMX, or on AMD."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from unspool.engine.cpu.codegen.gemm.blocking import Factor, Job
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.jit.compile import Products, missing, products, tiled
from unspool.engine.cpu.policy import Policy, current_policy, current_target
from unspool.engine.cpu.runtime.interception import plain_memory
from unspool.engine.cpu.runtime.memory_pool import pooled_empty
from unspool.engine.cpu.runtime.thread_team import run_parts, team, threads

__all__ = ["PARTS", "enough", "fastest", "multiplied", "worthwhile"]

PARTS = 3
"""How many bfloat16 the float32 of an AMX product is split into."""


def fastest() -> Products | None:
    """Return our own products for this processor; None if torch's are faster."""
    return _own_products(current_target(), current_policy())


@cache
def _own_products(target: Target, policy: Policy) -> Products | None:
    if missing() is not None or not policy.own_gemm:
        return None
    if target.tiled:
        return tiled(target, PARTS, policy.codegen)
    return products(torch.float32, target, False, policy.codegen)


def enough(multiplications: int) -> bool:
    """Return whether a product is large enough; a cheap test before `worthwhile`."""
    return multiplications >= current_policy().gemm_work


def worthwhile(rows: Tensor, matrix: Tensor) -> bool:
    """Return whether a product of float32, (rows, depth) by (depth, width), is faster here than in torch."""
    return (
        rows.dtype is matrix.dtype is torch.float32
        and rows.shape[1:] == matrix.shape[:-1]
        and enough(rows.shape[0] * matrix.numel())
        and rows.shape[0] > 1
        and matrix.shape[1] >= current_policy().gemm_columns
        and all(1 in part.stride() and plain_memory(part) for part in (rows, matrix))
        and fastest() is not None
    )


def multiplied(
    rows: Tensor, matrices: Sequence[Tensor], out: Tensor | None = None, *, by: Products | None = None
) -> list[Tensor]:
    """Return the products of the same rows with some matrices; their bits depend neither on threads nor on other rows.

    They do depend on whether rows lie transposed, and where they don't, on whether there is one matrix or several.

    Args:
        rows: (rows, depth), one stride is 1.
        matrices: Each (depth, width), one stride is 1.
        out: For the first product, (rows, width) with adjacent columns; new memory if omitted.
        by: Compiled functions; the fastest of this machine if omitted.
    """
    functions, policy = by or fastest(), current_policy()
    assert functions is not None, "nothing on this machine is faster than torch's product"
    assert functions.multiply is not None, "factors are not rounded"
    count, depth = rows.shape
    widths = [matrix.shape[1] for matrix in matrices]
    parts = max(1, min(threads(), max(count, sum(widths)) // policy.thread_lines))
    crew = team(policy)
    scratch = pooled_empty(rows.dtype, functions.work * parts)
    table = array("q")
    results: list[Tensor] = []
    for matrix, width in zip(matrices, widths, strict=True):
        results.append(pooled_empty(rows.dtype, count, width) if out is None or results else out)
        result = results[-1]
        down, across = matrix.stride()
        table.extend(Factor(matrix.data_ptr(), down, across, width, 0, result.data_ptr(), result.stride(0)))
    along, down = rows.stride()
    job = Job(
        rows=rows.data_ptr(),
        down=down,
        along=along,
        height=count,
        depth=depth,
        factors=len(matrices),
        width=max(widths),
        table=table.buffer_info()[0],
        parts=parts,
        work=scratch.data_ptr(),
        number=crew.which,
        team=crew.size,
    )
    arguments = array("q", job)
    run_parts(functions.multiply, arguments.buffer_info()[0], parts, crew)
    return results
