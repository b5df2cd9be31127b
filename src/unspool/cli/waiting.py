"""Spin time of OpenMP's waiting threads, set before torch is imported.

OpenMP's threads spin for milliseconds while they wait, which is fastest where every thread has a core of its own. On
cores shared with another busy program, the spinning takes time from the other threads, and a call may take ten times
as long.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["spin_briefly_beside_others"]

_SPINS = "10000"  # a tenth of a millisecond
_LOOKS, _BETWEEN = 5, 0.002  # number of load samples, and seconds between two
_LOAD = Path("/proc/loadavg")


def spin_briefly_beside_others() -> None:
    """Shorten the spin time if other programs are busy and the environment does not set it."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys() and _others_are_busy():
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def _others_are_busy() -> bool:
    """Return whether another program ran at every load sample; False where the system has no load average."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN)
        try:
            running = int(_LOAD.read_text(encoding="ascii").split()[3].partition("/")[0])
        except (OSError, ValueError, IndexError):
            return False
        if running < 2:  # this process is one
            return False
    return True
