"""Memory that the C library holds on to."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from functools import cache

__all__ = ["Trimmer"]

_SECONDS = 20.0  # between two trims; one takes about a tenth of a second


class Trimmer:
    """Gives freed memory back to the system now and then.

    Batches of many shapes leave glibc's heap in pieces: without this a process grows to several times what it uses.
    Does nothing where there is no glibc.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self.seconds = seconds
        self._trim = _malloc_trim()
        self._last = time.monotonic()

    def maybe(self) -> bool:
        """Trim if it was not done lately; return whether it was done."""
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
