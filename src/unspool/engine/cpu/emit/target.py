"""What the emitter knows of a processor: how wide its vectors are, and how many rows and vectors make a tile."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

__all__ = ["AVX2", "AVX512", "NEON", "PORTABLE", "Target", "host_target"]


@dataclass(frozen=True)
class Target:
    """One instruction set."""

    name: str
    register_bytes: int
    tiles: tuple[int, ...]
    """For products: how many rows a tile has that is 1, 2, 3, ... vectors wide. As many sums as fit in registers."""
    features: str = ""
    """What LLVM is told beyond what it finds on the machine."""

    def lanes(self, dtype: torch.dtype) -> int:
        """Numbers in a register."""
        return self.register_bytes // dtype.itemsize


AVX512 = Target("avx512", 64, (14, 14, 9), "-prefer-256-bit")
AVX2 = Target("avx2", 32, (10, 6, 4))
NEON = Target("neon", 16, (14, 12, 8, 6))
PORTABLE = Target("portable", 16, (10, 6, 4))


def host_target() -> Target:
    """The widest instruction set of this machine that there is a table for."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return NEON
    capability = torch.backends.cpu.get_cpu_capability()  # follows ATEN_CPU_CAPABILITY, as torch's own kernels do
    return {"AVX512": AVX512, "AVX2": AVX2}.get(capability.partition("_")[0].upper(), PORTABLE)
