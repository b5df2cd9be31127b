"""Workspace: the memories of a call, one behind the other in one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from unspool.engine.compiler.loops.loop_ir import RowIndex
from unspool.engine.cpu.codegen.target import CACHE_LINE
from unspool.engine.cpu.runtime.batch_layout import Layout

__all__ = ["Whole", "Workspace", "row_counts"]

Whole = Literal["share"]
"""Memory of products over all steps: a row for each thread."""


class Workspace:
    """Offsets of the memories in a block; each begins with a cache line.

    Args:
        dtype: Of all numbers.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._size, self._line = dtype.itemsize, CACHE_LINE // dtype.itemsize
        self._kinds: dict[str, tuple[RowIndex | Whole, int]] = {}
        self._marks: dict[str, tuple[str, Callable[[Layout], int]]] = {}

    def add(self, name: str, rate: RowIndex | Whole, stride: int) -> None:
        """Add a memory, with its row index and numbers per row."""
        self._kinds[name] = rate, stride

    def mark(self, name: str, memory: str, row: Callable[[Layout], int]) -> None:
        """Name a row of a memory, which may depend on the layout."""
        self._marks[name] = memory, row

    @property
    def names(self) -> list[str]:
        """Of the memories, then of the marked rows."""
        return [*self._kinds, *self._marks]

    def lay_out(self, counts: Mapping[str, int], layout: Layout) -> tuple[int, dict[str, int]]:
        """Return the size of the block in numbers, and the offset in bytes of each name, in their order.

        Args:
            counts: Number of rows, by row index.
            layout: Of the batch.
        """
        sizes = {
            name: -(-counts[rate] * stride // self._line) * self._line for name, (rate, stride) in self._kinds.items()
        }
        starts, end = dict.fromkeys(self.names, 0), 0
        for name, size in sizes.items():
            starts[name], end = end * self._size, end + size
        for name, (memory, row) in self._marks.items():
            starts[name] = starts[memory] + row(layout) * self._kinds[memory][1] * self._size
        return end, starts

    def view(self, block: Tensor, name: str, start: int, layout: Layout, parts: int) -> Tensor:
        """Return a memory as a tensor, (rows, stride); `start` is its offset in bytes."""
        rate, stride = self._kinds[name]
        return block.as_strided((row_counts(layout, parts)[rate], stride), (stride, 1), start // self._size)


def row_counts(layout: Layout, parts: int, shares: int = 1) -> dict[str, int]:
    """Return the number of rows of a memory, by row index."""
    batch, rows = layout.batch, layout.rows
    return {
        "time": rows,
        "before": batch + rows,
        "after": batch + rows,
        "now": 2 * batch,
        "next": 2 * batch,
        "row": batch,
        "part": parts,
        "vector": 1,
        "share": shares,
    }
