"""Processors: vector width, register blocking, AMX, cache size and vendor; facts of the machine, no tuning."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import torch

__all__ = [
    "AMX",
    "AVX2",
    "AVX512",
    "AVX512_BF16",
    "CACHE_LINE",
    "NEON",
    "PORTABLE",
    "Target",
    "has_bfloat16",
    "hash_once",
    "host_target",
]


T = TypeVar("T")


def hash_once(kind: type[T]) -> type[T]:
    """Compute the hash of each object of a frozen dataclass once: such objects are part of the key of every call."""
    compute = kind.__hash__

    def memoized(value: Any) -> int:
        try:
            result: int = value.__dict__["_hash"]
        except KeyError:
            result = value.__dict__["_hash"] = compute(value)
        return result

    kind.__hash__ = memoized  # type: ignore[assignment, method-assign]
    return kind


@hash_once
@dataclass(frozen=True)
class Target:
    """One processor: its instruction set, caches and vendor."""

    name: str
    register_bytes: int
    tiles: tuple[int, ...]
    """Register blocking of products: rows of a block that is 1, 2, 3, ... vectors wide. As many sums as fit in
    registers."""
    features: str = ""
    """Features for LLVM beyond those of the host."""
    halves: bool = False
    """Whether AVX512-BF16 multiplies pairs of bfloat16 faster than float32."""
    tiled: bool = False
    """Whether it has AMX, which multiplies tiles of bfloat16."""
    bfloat16: bool = False
    """Whether torch's products of bfloat16 have an instruction (AVX512-BF16), whether or not our vectors use it."""
    cache: int = 1 << 20
    """Bytes of a core's own cache."""
    amd: bool = False
    """Whether AMD made it: there Intel's library, which torch multiplies with, is slower than on Intel."""

    def lanes(self, dtype: torch.dtype) -> int:
        """Numbers in a register."""
        return self.register_bytes // dtype.itemsize


AVX512 = Target("avx512", 64, (14, 14, 9), "-prefer-256-bit")
AVX512_BF16 = replace(AVX512, halves=True, bfloat16=True)
AMX = replace(AVX512, tiled=True, bfloat16=True)
AVX2 = Target("avx2", 32, (10, 6, 4))
NEON = Target("neon", 16, (14, 12, 8, 6))
PORTABLE = Target("portable", 16, (10, 6, 4))

CACHE_LINE = 64
"""Bytes that a processor fetches at once."""
_CACHES = 1 << 18, 1 << 21
"""Bounds for the bytes of a core's own cache: some processors report none, or what cores share."""


@cache
def host_target() -> Target:
    """Return the widest instruction set of this machine that has a table here."""
    (least, most), facts = _CACHES, _facts()
    return replace(
        _instructions(),
        bfloat16=has_bfloat16(),
        cache=min(max(facts.get("l2_cache_size", Target.cache), least), most),
        amd="AMD" in facts.get("cpu_name", ""),
    )


def _instructions() -> Target:
    if platform.machine().lower() in ("aarch64", "arm64"):
        return NEON
    capability = torch.backends.cpu.get_cpu_capability()  # follows ATEN_CPU_CAPABILITY, as torch's own kernels do
    target = {"AVX512": AVX512, "AVX2": AVX2}.get(capability.partition("_")[0].upper(), PORTABLE)
    if target is not AVX512 or not has_bfloat16():
        return target
    # Where there are tiles for bfloat16, the instruction for vectors takes four times as long as one for float32 and
    # does twice the work; AMD's takes as long.
    if not _has("amx_tile"):
        return AVX512_BF16
    return AMX if getattr(torch.cpu, "_init_amx", lambda: False)() else AVX512  # a process must ask for its tiles


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 at all, in torch's own products if not in our vectors."""
    return _has("avx512_bf16")


def _facts() -> Mapping[str, Any]:
    """Return what torch knows of this processor."""
    facts: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return facts


def _has(feature: str) -> bool:
    return bool(getattr(torch.cpu, f"_is_{feature}_supported", lambda: False)())
