"""Trim of the C library's heap, so that a long training does not grow by fragmentation."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from functools import cache

__all__ = ["Trimmer"]

_SECONDS = 20.0  # between two trims; one takes about a tenth of a second


class Trimmer:
    """Return freed memory to the operating system from time to time; a no-op without glibc.

    Batches of many shapes fragment glibc's heap. Without trimming, a process grows to several times what it uses.

    Args:
        seconds: Minimum time between two trims.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self.seconds = seconds
        self._trim = _malloc_trim()
        self._last = time.monotonic()

    def maybe(self) -> bool:
        """Trim if the last trim is `seconds` ago; return whether it did."""
        if self._trim is None or time.monotonic() - self._last < self.seconds:
            return False
        self._trim(0)
        self._last = time.monotonic()
        return True


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
