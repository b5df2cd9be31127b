"""Number of CPU threads for torch inside a context, for the current thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

import torch

__all__ = ["num_threads"]

T = TypeVar("T")

_PER_THREAD = "backend: OpenMP" in torch.__config__.parallel_info()
"""Whether torch keeps the number per thread of the process, as with OpenMP; otherwise one number holds for all."""


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """Set torch's number of CPU threads for the current thread inside the context, and restore it afterwards.

    The number that torch gives to new threads does not change.

    Args:
        count: Number of threads; None changes nothing.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    _set(count)
    try:
        yield
    finally:
        _set(before)


def _set(count: int) -> None:
    if not _PER_THREAD:
        torch.set_num_threads(count)
        return
    for_new_threads = _in_new_thread(torch.get_num_threads)
    torch.set_num_threads(count)
    _in_new_thread(lambda: torch.set_num_threads(for_new_threads))


def _in_new_thread(call: Callable[[], T]) -> T:
    results: list[T] = []
    thread = Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]
