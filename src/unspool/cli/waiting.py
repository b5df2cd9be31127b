"""How torch's threads wait for each other, decided before torch is imported.

OpenMP's threads spin for milliseconds, which is the fastest where every thread has a processor to itself. Beside
another busy program each spins away the time that the one it waits for needs to get there, and a call may take ten
times as long.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["spin_briefly_beside_others"]

_SPINS = "10000"  # a tenth of a millisecond
_LOOKS, _BETWEEN = 5, 0.002  # how often to look who is busy, and seconds from one look to the next
_LOAD = Path("/proc/loadavg")


def spin_briefly_beside_others() -> None:
    """Let waiting threads sleep soon if other programs are busy now and the environment says nothing of it."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys() and _others_are_busy():
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def _others_are_busy() -> bool:
    """Whether something else ran at every look; False where the system does not tell."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN)
        try:
            running = int(_LOAD.read_text(encoding="ascii").split()[3].partition("/")[0])
        except (OSError, ValueError, IndexError):
            return False
        if running < 2:  # we ourselves are one
            return False
    return True
