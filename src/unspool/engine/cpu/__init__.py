"""The CPU backend: compiled loops over time, forward and backward.

`backend` is the path that the engine sees, and `heuristics` says when another path is faster. `program` holds the
graphs of a cell for one number type. `codegen` writes LLVM code of its loops and matrix products, `jit` compiles the
code and keeps it on disk. `launch` packs weights, records commands and runs a call under autograd; `runtime` has
threads, memory, batch layouts and prologues. The graphs come from `engine/compiler`.
"""

from unspool.engine.cpu.backend import CpuPath, compile_step
from unspool.engine.cpu.launch.single_step import CompiledStep

__all__ = ["CompiledStep", "CpuPath", "compile_step"]
