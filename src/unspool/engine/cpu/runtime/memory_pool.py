"""Pool of large buffers, reused across calls.

The system charges a page fault every few kilobytes for fresh memory, and torch returns buffers as large as these to the
system at once: a call that saves 60 MB for its backward pass would spend a third of its time there.
"""

from __future__ import annotations

import math
import weakref
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.engine.cpu.codegen.target import CACHE_LINE
from unspool.engine.cpu.policy import current_policy

__all__ = ["MemoryPool", "pool_of", "pooled_empty"]

_KINDS = {torch.float32: np.float32, torch.float64: np.float64}
"""What numpy calls the types of numbers."""


class MemoryPool:
    """Hands out large buffers, and takes each back when the last tensor in it is gone.

    Threads need no lock, nor do finalizers that run in between: at worst the pool forgets a buffer.

    Args:
        least: Bytes below which a buffer comes from torch.
        most: Bytes of unused buffers that the pool keeps.
    """

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self._free: dict[int, list[tuple[NDArray[np.uint8], int]]] = {}
        """Unused buffers by size, the last returned last, each with the first byte that begins a cache line."""
        self._lent: dict[int, tuple[weakref.ref[NDArray[np.uint8]], NDArray[np.uint8], int]] = {}
        """Buffers in use, by watcher. `weakref.finalize` would do the same at three times the cost."""

    @property
    def unused(self) -> int:
        """Bytes of all unused buffers."""
        return sum(size * len(buffers) for size, buffers in self._free.items())

    def empty(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return a tensor that is not initialised and begins with a cache line.

        Args:
            dtype: float32 or float64; other types come from torch.
            shape: Of the tensor.
        """
        size = math.prod(shape) * dtype.itemsize
        if size < self.least or dtype not in _KINDS:
            return torch.empty(shape, dtype=dtype, device="cpu")
        step = 1 << (size.bit_length() - 4)  # sizes that differ little, as of ragged batches, share buffers
        rounded = -(-(size + CACHE_LINE) // step) * step
        try:
            buffer, start = self._free[rounded].pop()
        except (KeyError, IndexError):
            buffer = np.empty(rounded, np.uint8)
            start = -buffer.ctypes.data % CACHE_LINE
        # the array that torch gets: a view of a tensor would keep the buffer alive, and not what is watched here
        array = buffer[start : start + size].view(_KINDS[dtype]).reshape(shape)
        if torch.are_deterministic_algorithms_enabled() and torch._C._get_deterministic_fill_uninitialized_memory():
            array.fill(np.nan)  # as torch fills its own
        watcher = weakref.ref(array, self._take_back)
        self._lent[id(watcher)] = watcher, buffer, start
        return torch.from_numpy(array)

    def empty_like(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the same type and shape; it has the same strides if small, and no gaps if pooled."""
        return torch.empty_like(tensor) if tensor.nbytes < self.least else self.empty(tensor.dtype, *tensor.shape)

    def _take_back(self, watcher: weakref.ref[NDArray[np.uint8]]) -> None:
        _, buffer, start = self._lent.pop(id(watcher))
        buffers = self._free.pop(len(buffer), [])
        buffers.append((buffer, start))
        self._free[len(buffer)] = buffers
        excess = -self.most
        for size, buffers in reversed(list(self._free.items())):  # the sizes returned longest ago go first
            excess += size * len(buffers)
            if excess > 0:
                self._free.pop(size, None)


@cache
def pool_of(least: int, most: int) -> MemoryPool:
    """Return the process's pool with these limits, in bytes."""
    return MemoryPool(least, most)


def pooled_empty(dtype: torch.dtype, *shape: int) -> Tensor:
    """Return a tensor that is not initialised, from the pool of the current policy."""
    policy = current_policy()
    return pool_of(policy.pool_least_bytes, policy.pool_most_bytes).empty(dtype, *shape)
