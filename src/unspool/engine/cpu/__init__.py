"""The CPU compiler: a cell's step to native loops over time, forward and backward.

The files in the order in which a cell passes through them: `trace` and `translate` write down what the step does as
a `graph` of `operations`; `hoist`, `differentiate` and `save` take it apart, `plan` calls them in turn; `schedule` lays
it out in phases and loops; `emit` writes LLVM's language; `compile` makes machine code of it, through the `cache`;
a `program` is a plan for one number type. What comes before its loop is `plain` or made by torch; what stands `around`
the loop is a `frame` of native `jobs`, with `gradients` after the way back, over `memories` in some `layout`. `run`
makes a call of it, under autograd and on `threads`; weights are `bound` once for inference, and for a single `step`;
`path` is what the engine sees, and `rules` say when it should look elsewhere. `interpret` says what a graph means.
"""

from unspool.engine.cpu.backend import CpuPath, compile_step
from unspool.engine.cpu.launch.single_step import CompiledStep

__all__ = ["CompiledStep", "CpuPath", "compile_step"]
