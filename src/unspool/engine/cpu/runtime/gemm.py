"""Products of two whole matrices by our own code, where it is faster than torch's: in tiles, or on AMD's vectors."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from unspool.engine.cpu.codegen.gemm.blocking import Factor, Job
from unspool.engine.cpu.codegen.target import AVX2, host_target, is_amd
from unspool.engine.cpu.jit.compile import Products, missing, products, tiled
from unspool.engine.cpu.runtime.interception import plain_memory
from unspool.engine.cpu.runtime.memory_pool import pooled_empty
from unspool.engine.cpu.runtime.thread_team import run_parts, team, threads

__all__ = ["PARTS", "enough", "fastest", "multiplied", "worthwhile"]

PARTS = 3
"""Into how many bfloat16 a float32 is cut for tiles."""
_WORTHWHILE = 8_000_000
"""Multiplications from which on this is faster than torch's product."""
_NARROW = 8
"""Columns below which torch's product is faster; so it is for a single row."""
_LINES = 32
"""Rows or columns that a thread should at least have."""


@cache
def fastest() -> Products | None:
    """The functions of this machine, if they are faster than torch's."""
    target = host_target()
    if missing() is not None:
        return None
    if target.tiled:
        return tiled(target, PARTS)
    return products(torch.float32, target) if is_amd() and target.register_bytes >= AVX2.register_bytes else None


def enough(multiplications: int) -> bool:
    """Whether a product is large enough; the rest need not be looked at where it is not."""
    return multiplications >= _WORTHWHILE


def worthwhile(rows: Tensor, matrix: Tensor) -> bool:
    """Whether a product is better made here."""
    return (
        rows.dtype is matrix.dtype is torch.float32
        and rows.shape[1:] == matrix.shape[:-1]
        and enough(rows.shape[0] * matrix.numel())
        and rows.shape[0] > 1
        and matrix.shape[1] >= _NARROW
        and all(1 in part.stride() and plain_memory(part) for part in (rows, matrix))
        and fastest() is not None
    )


def multiplied(
    rows: Tensor, matrices: Sequence[Tensor], out: Tensor | None = None, *, by: Products | None = None
) -> list[Tensor]:
    """Products of the same rows with some matrices, whose bits depend neither on threads nor on other rows.

    They do depend on whether rows lie turned, and where they don't, on whether there is one matrix or several.

    Args:
        rows: (rows, depth), neighbours of one dimension side by side.
        matrices: Each (depth, width), likewise.
        out: Where to put the first of them, its rows without gaps in them, if not into new memory.
        by: Whose functions, if not the fastest of this machine.
    """
    functions = by or fastest()
    assert functions is not None, "nothing on this machine is faster than torch's product"
    assert functions.multiply is not None, "factors are not rounded"
    count, depth = rows.shape
    widths = [matrix.shape[1] for matrix in matrices]
    parts = max(1, min(threads(), max(count, sum(widths)) // _LINES))
    scratch = pooled_empty(rows.dtype, functions.work * parts)
    table = array("q")
    found: list[Tensor] = []
    for matrix, width in zip(matrices, widths, strict=True):
        found.append(pooled_empty(rows.dtype, count, width) if out is None or found else out)
        result = found[-1]
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
        number=team().which,
        team=team().size,
    )
    arguments = array("q", job)
    run_parts(functions.multiply, arguments.buffer_info()[0], parts)
    return found
