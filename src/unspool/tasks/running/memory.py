"""Whether a network fits into the memory of this machine, before any of it is allocated."""

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
    """Bytes that tensors take, or will take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def refuse_too_large(size: int, what: str, way_out: str) -> None:
    """Refuse what does not fit into the memory that is free now.

    Args:
        size: Bytes that are needed.
        what: Who needs them: "the network that my-model describes".
        way_out: What to try.

    Raises:
        MachineError: With both sizes, if it does not fit.
    """
    free = available_memory()
    if size > free:
        raise MachineError(
            f"{what} needs {_written(size)} of memory, and this machine has {_written(int(free))} free; {way_out}"
        )


def available_memory() -> float:
    """Bytes that this process can still take without swapping; infinite where the system does not tell."""
    return min((*_of_machine(), *_of_group(), *_of_process()), default=math.inf)


def _of_machine() -> Iterator[int]:
    for line in _text(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_group() -> Iterator[int]:
    """What the control groups leave that the process is in, as containers and batch systems set them."""
    inside = [line.rpartition(":")[2].strip("/") for line in _text(Path("/proc/self/cgroup")).splitlines()]
    for place in {"", *inside}:
        for folder, most, used in (
            (_GROUPS / place, "memory.max", "memory.current"),
            (_GROUPS / "memory" / place, "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, taken = _text(folder / most).strip(), _text(folder / used).strip()
            if limit.isdecimal() and taken.isdecimal():
                yield max(0, int(limit) - int(taken) + _file_cache(folder))


def _file_cache(folder: Path) -> int:
    """Bytes of a group's memory that hold files, which the kernel gives back when they are needed."""
    for line in _text(folder / "memory.stat").splitlines():
        if line.startswith(("inactive_file ", "total_inactive_file ")):
            return int(line.split()[1])
    return 0


def _of_process() -> Iterator[int]:
    """What `ulimit -v` leaves."""
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


def _written(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"
