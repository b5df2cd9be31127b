"""The CPU backend: compiled loops over time, forward and backward.

`backend` is the path that the engine sees, `policy` holds every threshold, and `heuristics` says when another path is
faster. `program` holds the graphs of a cell for one number type, processor and policy. `codegen` writes LLVM code of
loops and matrix products, `jit` compiles the code and caches it on disk. `launch` packs weights, records commands and
runs a call under autograd; `runtime` has threads, memory, batch layouts and prologues. The graphs come from
`engine/compiler`.
"""

from unspool.engine.cpu.backend import CpuPath, compile_step
from unspool.engine.cpu.launch.single_step import CompiledStep
from unspool.engine.cpu.policy import Policy, current_policy, use_policy

__all__ = ["CompiledStep", "CpuPath", "Policy", "compile_step", "current_policy", "use_policy"]
