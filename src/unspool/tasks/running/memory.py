"""Memory checks: available memory of the machine, container and process, before a network is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from unspool.errors import MachineError

__all__ = ["available_memory", "bytes_of", "refuse_too_large"]

_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the size of tensors in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def refuse_too_large(size: int, what: str, way_out: str) -> None:
    """Refuse an allocation larger than the available memory.

    Args:
        size: Size of the allocation in bytes.
        what: Subject of the message: "the network of my-model".
        way_out: Suggestion at the end of the message.

    Raises:
        MachineError: If the size exceeds the available memory; the message holds both sizes.
    """
    free = available_memory()
    if size > free:
        raise MachineError(
            f"{what} needs {_size_text(size)} of memory, and this machine has {_size_text(int(free))} free; {way_out}"
        )


def available_memory() -> float:
    """Return the bytes that this process can still allocate without swapping; infinite if unknown."""
    return min((*_of_machine(), *_of_group(), *_of_process()), default=math.inf)


def _of_machine() -> Iterator[int]:
    for line in _text(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_group() -> Iterator[int]:
    """Yield the memory left in each control group of the process, as set by containers and batch systems."""
    inside = [line.rpartition(":")[2].strip("/") for line in _text(Path("/proc/self/cgroup")).splitlines()]
    for place in {"", *inside}:
        for folder, maximum, usage in (
            (_GROUPS / place, "memory.max", "memory.current"),
            (_GROUPS / "memory" / place, "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, current = _text(folder / maximum).strip(), _text(folder / usage).strip()
            if limit.isdecimal() and current.isdecimal():
                yield max(0, int(limit) - int(current) + _file_cache(folder))


def _file_cache(folder: Path) -> int:
    """Return the reclaimable file cache of a control group, in bytes."""
    for line in _text(folder / "memory.stat").splitlines():
        if line.startswith(("inactive_file ", "total_inactive_file ")):
            return int(line.split()[1])
    return 0


def _of_process() -> Iterator[int]:
    """Yield the address space left under `ulimit -v`, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(Path("/proc/self/statm")).split()
    if limit != resource.RLIM_INFINITY and pages:
        yield max(0, limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _size_text(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"
