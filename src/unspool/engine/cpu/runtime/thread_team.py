"""Run the parts of a batch on threads: torch's own OpenMP team where there is one, otherwise a thread pool."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch

from unspool.engine.cpu.jit.compile import Native, Shared
from unspool.engine.cpu.policy import Policy

__all__ = ["CrowdDetector", "Team", "crowd_detector", "run_parts", "team", "team_size", "threads"]

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True  # neither OpenMP's threads nor a pool's live on in a forked process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Team(NamedTuple):
    """Addresses of functions of the OpenMP library that torch has loaded; zeros where there is none."""

    parallel: Any = None
    start: int = 0
    """The address of `parallel(function, argument, threads, flags)`."""
    which: int = 0
    """The address of the function that returns the thread's number in its team."""
    size: int = 0
    """The address of the function that returns the number of threads in the team."""
    rest: int = 0
    """The address of the C library's function that yields the core."""
    clock: int = 0
    """The address of the function that returns the time in seconds."""


def team(policy: Policy) -> Team:
    """Return torch's team of threads; an empty one if the policy has no OpenMP."""
    return _openmp() if policy.openmp else _NO_TEAM


_NO_TEAM = Team()


@cache
def _openmp() -> Team:
    maps = Path("/proc/self/maps")
    if maps.is_file():
        libraries = {line.split()[-1] for line in maps.read_text().splitlines() if "libgomp" in line}
        torchs = [path for path in libraries if "torch" in path]  # other packages may have loaded one of their own
        for path in torchs or sorted(libraries):
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
    return _NO_TEAM


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="unspool")


def threads() -> int:
    """Return how many threads a call may use: torch's own setting; one in a forked process."""
    return 1 if _forked else torch.get_num_threads()


def team_size(parts: int) -> int:
    """Return how many threads to ask for some parts: all or one, since OpenMP ends threads that a team leaves over."""
    return 1 if parts == 1 else max(parts, threads())


class CrowdDetector:
    """Detects that other programs want the processor, so that threads had better not wait for each other at every step.

    Args:
        policy: Which share of lost time counts, and for how long.
        clock: Returns the time in seconds.
    """

    def __init__(self, policy: Policy, clock: Callable[[], float] = monotonic) -> None:
        self._policy, self._clock = policy, clock
        self._lost_share, self._seconds = 0.0, policy.alone_seconds
        self.until = 0.0
        """When threads may share columns again, in seconds of the clock."""

    def crowded(self) -> bool:
        """Return whether threads should work alone for now."""
        return self.until > 0.0 and self._clock() < self.until

    def record(self, lost: float, seconds: float) -> None:
        """Record a call in which threads shared columns.

        Args:
            lost: Seconds that each thread lost in long waits.
            seconds: Duration of the call.
        """
        policy = self._policy
        self._lost_share += policy.lost_wait_weight * (lost / seconds - self._lost_share)
        if self._lost_share > policy.lost_wait_share:
            self._lost_share, self.until = 0.0, self._clock() + self._seconds
            self._seconds = min(2 * self._seconds, policy.alone_seconds_most)
        elif self._clock() > self.until + self._seconds:  # no crowd for as long as the last break lasted
            self._seconds = policy.alone_seconds


@cache
def crowd_detector(policy: Policy) -> CrowdDetector:
    """Return the process's detector for a policy."""
    return CrowdDetector(policy)


def run_parts(native: Native | Shared, arguments: int, parts: int, team: Team) -> None:
    """Run all parts and wait for them.

    Args:
        native: The compiled function.
        arguments: The address of its arguments.
        parts: How many parts there are.
        team: The threads; a pool if empty.
    """
    if parts == 1:
        native.run(arguments, 0)
    elif _forked:
        for part in range(parts):
            native.run(arguments, part)
    elif team.parallel is not None:
        team.parallel(native.join, arguments, team_size(parts), 0)
    else:
        others = [_pool().submit(native.run, arguments, part) for part in range(1, parts)]
        native.run(arguments, 0)
        for other in others:
            other.result()
