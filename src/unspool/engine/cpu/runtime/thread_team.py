"""Runs the parts of a batch on threads: on torch's own team where it is OpenMP, otherwise on a pool."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch

from unspool.engine.cpu.jit.compile import Native, Shared

__all__ = ["Team", "crew", "crowded", "run_parts", "team", "threads", "waited"]

_LOST = 0.15
"""Share of calls' time that threads may lose in long waits for each other before it counts as crowded here."""
_WEIGHT = 0.25
"""Of the last call in that share: a single bad one, as where threads had to wake, says little."""
_SECONDS = 1.0, 60.0
"""For how long threads don't work together then: at first, and at most; each time in a row it is twice as long."""

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True  # neither OpenMP's threads nor a pool's live on in a forked process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Team(NamedTuple):
    """Addresses of functions of the OpenMP library that torch has loaded; zeros where there is none."""

    parallel: Any
    start: int
    """The address of `parallel(function, argument, threads, flags)`."""
    which: int
    size: int
    rest: int
    """The C library's function that lets other threads run."""
    clock: int
    """The function that tells the time in seconds."""


@cache
def team() -> Team:
    """Torch's team of threads."""
    maps = Path("/proc/self/maps")
    if maps.is_file():
        found = {line.split()[-1] for line in maps.read_text().splitlines() if "libgomp" in line}
        near = [path for path in found if "torch" in path]  # others in the process may have brought one of their own
        for path in near or sorted(found):
            library = ctypes.CDLL(path)
            parallel = library.GOMP_parallel
            parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            parallel.restype = None
            functions = (
                parallel,
                library.omp_get_thread_num,
                library.omp_get_num_threads,
                ctypes.CDLL(None).sched_yield,
                library.omp_get_wtime,
            )
            return Team(parallel, *(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions))
    return Team(None, 0, 0, 0, 0, 0)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="unspool")


def threads() -> int:
    """How many threads a call may use: torch's own setting; one in a forked process."""
    return 1 if _forked else torch.get_num_threads()


def crew(parts: int) -> int:
    """How many threads to ask for some parts: all or one, since OpenMP ends threads that a smaller team leaves over."""
    return 1 if parts == 1 else max(parts, threads())


class _Crowd:
    lost, until, seconds = 0.0, 0.0, _SECONDS[0]


def crowded() -> bool:
    """Whether other programs want the processor, so that threads had better not wait for each other at every step."""
    return _Crowd.until > 0.0 and monotonic() < _Crowd.until


def waited(lost: float, seconds: float) -> None:
    """Tell how long each thread waited in a call in which they worked together, and how long the call took."""
    _Crowd.lost += _WEIGHT * (lost / seconds - _Crowd.lost)
    if _Crowd.lost > _LOST:
        _Crowd.lost, _Crowd.until = 0.0, monotonic() + _Crowd.seconds
        _Crowd.seconds = min(2 * _Crowd.seconds, _SECONDS[1])
    elif monotonic() > _Crowd.until + _Crowd.seconds:  # it has gone well for as long as it would have been avoided
        _Crowd.seconds = _SECONDS[0]


def run_parts(native: Native | Shared, arguments: int, parts: int) -> None:
    """Run all parts and wait for them."""
    if parts == 1:
        native.run(arguments, 0)
    elif _forked:
        for part in range(parts):
            native.run(arguments, part)
    elif team().parallel is not None:
        team().parallel(native.join, arguments, crew(parts), 0)
    else:
        waiting = [_pool().submit(native.run, arguments, part) for part in range(1, parts)]
        native.run(arguments, 0)
        for other in waiting:
            other.result()
