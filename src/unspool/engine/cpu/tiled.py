"""Products of two matrices of float32 in tiles of bfloat16, where the processor has them and they are faster."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from unspool.engine.cpu.compile import Tiled, missing, tiled
from unspool.engine.cpu.emit.target import host_target
from unspool.engine.cpu.emit.tiled import Factor, Job, work_size
from unspool.engine.cpu.emit.tiles import tiles_size
from unspool.engine.cpu.onlookers import plain_memory
from unspool.engine.cpu.room import room
from unspool.engine.cpu.threads import run_parts, team, threads

__all__ = ["PARTS", "cut", "enough", "in_tiles", "worthwhile"]

PARTS = 3
"""Into how many bfloat16 a float32 is cut."""
_WORTHWHILE = 8_000_000
"""Multiplications from which on tiles are faster than torch's product."""
_LINES = 32
"""Rows that a thread should at least have."""
_WIDE = 4
"""How many times as many columns as rows a product has that is made by columns."""


@cache
def _functions() -> Tiled | None:
    """Those of this machine, if it has tiles."""
    target = host_target()
    return tiled(target, PARTS) if target.tiled and missing() is None else None


def enough(multiplications: int) -> bool:
    """Whether a product is large enough; the rest need not be looked at where it is not."""
    return multiplications >= _WORTHWHILE


def worthwhile(rows: Tensor, matrix: Tensor) -> bool:
    """Whether a product is better made in tiles."""
    return (
        rows.dtype is matrix.dtype is torch.float32
        and rows.shape[1:] == matrix.shape[:-1]
        and enough(rows.shape[0] * matrix.numel())
        and all(1 in part.stride() and plain_memory(part) for part in (rows, matrix))
        and _functions() is not None
    )


def cut(matrix: Tensor) -> Tensor:
    """A matrix, (depth, width), cut into tiles."""
    functions = _functions()
    assert functions is not None, "this processor has no tiles"
    if 1 not in matrix.stride():
        matrix = matrix.contiguous()
    (depth, width), (down, across) = matrix.shape, matrix.stride()
    tiles = matrix.new_empty(tiles_size(depth, width, PARTS))
    table = array("q", Factor(matrix.data_ptr(), down, across, width, tiles.data_ptr(), 0, 0))
    nothing = dict.fromkeys(("rows", "down", "along", "height", "work", "number", "team"), 0)
    arguments = array("q", Job(depth=depth, factors=1, table=table.buffer_info()[0], parts=1, **nothing))
    functions.by_rows[0].run(arguments.buffer_info()[0], 0)
    return tiles


def in_tiles(rows: Tensor, matrices: Sequence[Tensor], out: Tensor | None = None) -> list[Tensor]:
    """Products of the same rows with some matrices, whose bits depend neither on threads nor on other rows.

    Args:
        rows: (rows, depth), neighbours of one dimension side by side.
        matrices: Each (depth, width), likewise.
        out: Where to put the first of them, its rows without gaps in them, if not into new memory.
    """
    functions = _functions()
    assert functions is not None, "this processor has no tiles"
    count, depth = rows.shape
    widths = [matrix.shape[1] for matrix in matrices]
    wide = len(widths) == 1 and widths[0] > _WIDE * count
    parts = max(1, min(threads(), (widths[0] if wide else count) // _LINES))
    sizes = [tiles_size(depth, count if wide else width, PARTS) for width in widths]
    scratch = room(torch.float32, sum(sizes) + work_size(PARTS) * parts)
    start, table = scratch.data_ptr(), array("q")
    found: list[Tensor] = []
    for matrix, width, size in zip(matrices, widths, sizes, strict=True):
        if out is None or found:
            found.append(room(torch.float32, count, width))
        else:
            found.append(out)
        result = found[-1]
        down, across = matrix.stride()
        table.extend(Factor(matrix.data_ptr(), down, across, width, start, result.data_ptr(), result.stride(0)))
        start += 4 * size
    along, down = rows.stride()
    job = Job(
        rows=rows.data_ptr(),
        down=down,
        along=along,
        height=count,
        depth=depth,
        factors=len(matrices),
        table=table.buffer_info()[0],
        parts=parts,
        work=start,
        number=team().which,
        team=team().size,
    )
    arguments = array("q", job)
    for function in functions.by_columns if wide else functions.by_rows:
        run_parts(function, arguments.buffer_info()[0], parts)
    return found
