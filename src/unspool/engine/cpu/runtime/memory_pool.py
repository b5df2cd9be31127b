"""Large memory that calls leave to those after them.

What the system hands out anew costs a page fault every few kilobytes, and torch gives what is as large as this back to
the system at once: a call that saves 60 MB for its way back would spend a third of its time on that.
"""

from __future__ import annotations

import math
import weakref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["pooled_empty", "pooled_empty_like"]

_LEAST, _MOST = 1 << 19, 1 << 29
"""Bytes below which memory is torch's own affair, and how many are kept at most while nobody uses them."""
_LINE = 64
"""Bytes that a processor fetches at once; memory starts with such a line."""

_free: dict[int, list[tuple[NDArray[np.uint8], int]]] = {}
"""What nobody uses, by size, those last that were given back last; and the first byte of it that begins a line. Threads
need no lock, nor finalizers in the middle of this: at worst some memory is forgotten, and made anew."""
_lent: dict[int, tuple[weakref.ref[NDArray[np.uint8]], NDArray[np.uint8], int]] = {}
"""What is in use, by its watcher. `weakref.finalize` would do the same, at three times the cost."""
_KINDS = {torch.float32: np.float32, torch.float64: np.float64}
"""What numpy calls the types of numbers."""


def pooled_empty(dtype: torch.dtype, *shape: int) -> Tensor:
    """Memory for so many numbers, not set to anything; when the last tensor in it is gone, another call may have it."""
    count = math.prod(shape) * dtype.itemsize
    if count < _LEAST or dtype not in _KINDS:
        return torch.empty(shape, dtype=dtype, device="cpu")
    step = 1 << (count.bit_length() - 4)  # sizes that differ little, as of ragged batches, share memory
    whole = -(-(count + _LINE) // step) * step
    try:
        memory, start = _free[whole].pop()
    except (KeyError, IndexError):
        memory = np.empty(whole, np.uint8)
        start = -memory.ctypes.data % _LINE
    # as it is handed to torch: a view of it would keep the whole memory, and not what is watched here
    lent = memory[start : start + count].view(_KINDS[dtype]).reshape(shape)
    if torch.are_deterministic_algorithms_enabled() and torch._C._get_deterministic_fill_uninitialized_memory():
        lent.fill(np.nan)  # as torch fills its own
    watcher = weakref.ref(lent, _give_back)
    _lent[id(watcher)] = watcher, memory, start
    return torch.from_numpy(lent)


def pooled_empty_like(tensor: Tensor) -> Tensor:
    """Memory for as many numbers as a tensor has, which must be one without gaps."""
    return torch.empty_like(tensor) if tensor.nbytes < _LEAST else pooled_empty(tensor.dtype, *tensor.shape)


def _give_back(lent: weakref.ref[NDArray[np.uint8]]) -> None:
    _, memory, start = _lent.pop(id(lent))
    unused = _free.pop(len(memory), [])
    unused.append((memory, start))
    _free[len(memory)] = unused
    too_much = -_MOST
    for size, unused in reversed(list(_free.items())):  # what was given back longest ago goes first
        too_much += size * len(unused)
        if too_much > 0:
            _free.pop(size, None)
