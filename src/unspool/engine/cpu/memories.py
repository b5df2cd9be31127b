"""Memories that a call needs, one behind the other in one block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.schedule import Rate

__all__ = ["Memories"]

_LINE = 64
"""Bytes that a processor fetches at once; every memory starts with such a line."""


class Memories:
    """What lies where in a block.

    Args:
        dtype: Of all numbers.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._size, self._line = dtype.itemsize, _LINE // dtype.itemsize
        self._kinds: dict[str, tuple[Rate, int]] = {}
        self._last: tuple[tuple[int, ...], int, dict[str, int]] | None = None

    def add(self, name: str, rate: Rate, stride: int) -> None:
        """One more, whose rows are walked so; the rows of a history are one batch more than there are steps."""
        self._kinds[name] = rate, stride

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def take(self, like: Tensor, layout: Layout, parts: int) -> Tensor:
        """A block for a call."""
        return like.new_empty(self._laid_out(layout, parts)[0])

    def locate(self, block: Tensor, layout: Layout, parts: int) -> dict[str, int]:
        """The address of each memory in a block."""
        start, size = block.data_ptr(), self._size
        return {name: start + at * size for name, at in self._laid_out(layout, parts)[1].items()}

    def view(self, block: Tensor, name: str, layout: Layout, parts: int) -> Tensor:
        """A memory as a tensor, (rows, stride)."""
        rate, stride = self._kinds[name]
        at = self._laid_out(layout, parts)[1][name]
        return block.as_strided((_rows(rate, layout, parts), stride), (stride, 1), at)

    def _laid_out(self, layout: Layout, parts: int) -> tuple[int, dict[str, int]]:
        """How many numbers there are in all, and where each memory starts; what was found last is remembered."""
        key, last = (layout.rows, layout.batch, parts), self._last
        if last is None or last[0] != key:
            starts, end = {}, 0
            for name, (rate, stride) in self._kinds.items():
                starts[name] = end
                end += -(-_rows(rate, layout, parts) * stride // self._line) * self._line
            self._last = last = key, end, starts
        return last[1], last[2]


def _rows(rate: Rate, layout: Layout, parts: int) -> int:
    return {
        "time": layout.rows,
        "before": layout.batch + layout.rows,
        "after": layout.batch + layout.rows,
        "now": 2 * layout.batch,
        "next": 2 * layout.batch,
        "row": layout.batch,
        "part": parts,
        "vector": 1,
    }[rate]
