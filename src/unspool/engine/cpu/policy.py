"""Tuning constants of the CPU backend: one immutable `Policy`, derived from a processor and scoped by `use_policy`.

Facts about the processor (vector width, AMX, cache size, vendor) stand in `codegen/target.py`. A policy says what to do
with them: from which size on threads pay, which product runs where, how much memory to keep. Programs, command buffers
and kernels hold the policy that made them, and every cache of them has the policy in its key.

Each field names the machine on which its number was chosen, and the script of `benchmarks/` that shows what the number
changes. "Xeon" is an Intel Xeon with AVX-512 and AMX, "Zen 4" an AMD EPYC with AVX-512 and without AMX, both with 2
virtual cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from unspool.engine.cpu.codegen.target import AVX2, Target, hash_once, host_target

__all__ = [
    "DEFAULT_CODEGEN",
    "AmxRows",
    "CodegenPolicy",
    "Policy",
    "current_policy",
    "current_target",
    "use_policy",
    "use_target",
]


@dataclass(frozen=True)
class AmxRows:
    """Rows per thread from which on the loop's products run in AMX tiles."""

    uncached: int
    """Where the weights exceed the thread's share of the core's own cache."""
    cached: int
    """Where the weights stay in that cache."""
    shared: int
    """Where threads share columns, so that each thread has all rows."""


@hash_once
@dataclass(frozen=True)
class CodegenPolicy:
    """Constants that stand in generated code; two programs share kernels only if these agree."""

    prefetch_rows: int = 64
    """Rows by which the vector microkernel prefetches packed weights. Xeon, `engine.py`: without prefetch, products of
    512 units and more wait for a third of the time."""
    few_rows_vectors: int = 6
    """Vectors that a tile of few rows is wide at most. Zen 4, `inference.py`: one row times three vectors waits for the
    latency of three sums."""
    few_rows_prefetch: int = 12
    """Rows by which such tiles prefetch packed weights. Zen 4, `inference.py`."""
    chain_terms: int = 128
    """Terms of a sum that one accumulator adds up; partial sums are added afterwards. Zen 4, `products.py`: with 128
    the error is that of torch's product."""
    rounding_rows: int = 32
    """Rows that the bfloat16 product rounds at a time. Xeon, `engine.py --bfloat16`."""
    panel_rows: int = 63
    """Rows that the blocked vector product multiplies at a time. Zen 4, `products.py`."""
    column_cache_share: float = 0.5
    """Share of the core's own cache for packed columns, between 0 and 1. Zen 4, `products.py`."""
    block_depth: int = 512
    """Terms of a product that are packed at a time; half as many for transposed rows or several matrices. Xeon and
    Zen 4, `products.py`."""
    amx_column_tiles: int = 256
    """Tiles of columns that are packed at a time, so that they stay in the core's own cache. Xeon, `products.py`."""
    amx_panel_tiles: int = 4
    """Tiles of rows that are packed at a time. Xeon, `products.py`."""
    barrier_spins: int = 500
    """Polls of the barrier before a thread yields its core, about 20 microseconds. Xeon, `engine.py`."""
    long_wait_seconds: float = 2**-12
    """Seconds from which on a wait at the barrier counts as lost to another program. Uneven work of the threads makes
    shorter waits. Xeon, `engine.py` beside other programs."""


DEFAULT_CODEGEN = CodegenPolicy()


@hash_once
@dataclass(frozen=True)
class Policy:
    """Every threshold of the CPU backend. Compared by value; `dataclasses.replace` makes another one."""

    codegen: CodegenPolicy = DEFAULT_CODEGEN
    """Constants in generated code."""

    # -- which calls run compiled, and on how many threads

    compiled_steps: int = 2
    """Steps from which on `auto` compiles. Xeon, `engine.py`: the plain loop takes one step in the time of the call."""
    openmp: bool = True
    """Whether parts of a batch run on torch's OpenMP threads, where torch has any; otherwise on a thread pool."""
    thread_work: int = 300_000
    """Multiplications of all steps that are worth one more thread. Xeon, `engine.py --threads 2`."""
    step_thread_work: int = 75_000
    """Multiplications of one step that are worth a thread which waits for the others at every step. Xeon, `engine.py
    --threads 2` at 1 to 8 sequences."""
    shared_rows_amx: int = 24
    """Rows per thread below which threads share columns, in AMX tiles. Xeon, `engine.py --threads 2`."""
    shared_rows_vectors: int = 12
    """Rows per thread below which threads share columns, on vectors. Xeon, `engine.py --threads 2`."""
    weight_cache_share: float = 0.75
    """Share of the core's own cache that weights may take to count as cached, between 0 and 1. Xeon, `engine.py`."""
    lost_wait_share: float = 0.15
    """Share of a call's time that threads may lose in long waits, as a moving average, before they stop to share
    columns. Xeon, `engine.py` beside other programs."""
    lost_wait_weight: float = 0.25
    """Weight of the last call in that average, between 0 and 1: one slow call, as when threads wake, is no trend."""
    alone_seconds: float = 1.0
    """Seconds for which threads then don't share columns. Each time in a row takes twice as long."""
    alone_seconds_most: float = 60.0
    """The longest such time, in seconds."""

    stack_sequences: int = 8
    """Sequences up to which a whole stack runs in one call, without gradients. Zen 4, `inference.py`."""
    stack_bytes: int = 1 << 26
    """Bytes of memory that a stack keeps for such calls at most; longer inputs run layer by layer."""
    stack_sizes: int = 64
    """Sizes of a batch for which a stack keeps its recorded call."""

    # -- which code multiplies

    amx_rows_split: AmxRows = AmxRows(uncached=16, cached=8, shared=24)
    """Rows for AMX in float32, where each number is split into three bfloat16. Xeon, `engine.py`."""
    amx_rows_rounded: AmxRows = AmxRows(uncached=8, cached=4, shared=12)
    """Rows for AMX in bfloat16. Xeon, `engine.py --bfloat16`."""
    serial_work: int = 10_000_000
    """Multiplications over all steps, times the number of threads, up to which one thread makes them. Xeon, `engine.py
    --threads 2`."""
    blocked_ratio: int = 4
    """How many times as many columns as rows a product may have to run on our blocked code inside the command buffer.
    Xeon, `engine.py`: packing a matrix for fewer rows does not pay."""
    parallel_packing: int = 1 << 15
    """Numbers of a matrix from which on all threads pack it. Xeon, `engine.py --threads 2`."""
    thread_lines: int = 32
    """Rows or columns of a product that a thread should have at least. Xeon, `products.py --threads 2`."""
    own_gemm: bool = False
    """Whether our product of whole matrices is faster than torch's at all: with AMX, and on AMD from AVX2 on. Xeon and
    Zen 4, `products.py`."""
    gemm_work: int = 8_000_000
    """Multiplications from which on our product is faster than torch's. Xeon, `products.py`."""
    gemm_columns: int = 8
    """Columns from which on our product is faster than torch's. Zen 4, `products.py`."""
    transposed_gradient_rows: int = 1024
    """Rows from which on torch makes a weight's gradient as (depth, width) and transposes the result. Xeon: up to a
    third faster, since torch reads both factors along their rows."""

    # -- what the process keeps

    pool_least_bytes: int = 1 << 19
    """Bytes of a buffer from which on it comes from the memory pool. Xeon, `engine.py`: smaller ones stay with torch's
    allocator, which keeps them."""
    pool_most_bytes: int = 1 << 29
    """Bytes of unused buffers that the pool keeps at most."""
    weight_probes: int = 5
    """Numbers along each side of a weight that are compared to detect a write that torch does not count. Xeon,
    `calls.py`: half a microsecond for each weight."""
    cached_programs: int = 256
    """Graphs, and programs, that the process keeps at most."""
    disk_cache_bytes: int = 64 << 20
    """Bytes of compiled code that the disk cache keeps at most."""

    @classmethod
    def for_target(cls, target: Target) -> Policy:
        """Return the policy for a processor: the numbers above, and whether our own products pay there."""
        amd_vectors = target.amd and target.register_bytes >= AVX2.register_bytes
        return cls(own_gemm=target.tiled or amd_vectors)

    def amx_rows(self, parts: int) -> AmxRows:
        """Return the thresholds for numbers split into so many bfloat16: one, or three for float32."""
        return self.amx_rows_rounded if parts == 1 else self.amx_rows_split


_policy: ContextVar[Policy | None] = ContextVar("policy", default=None)
_target: ContextVar[Target | None] = ContextVar("target", default=None)


@cache
def _host_policy() -> Policy:
    return Policy.for_target(host_target())


def current_policy() -> Policy:
    """Return the policy of this context; the host's own outside of `use_policy` and `use_target`."""
    return _policy.get() or _host_policy()


def current_target() -> Target:
    """Return the processor to compile for in this context; the host outside of `use_target`."""
    return _target.get() or host_target()


@contextmanager
def use_policy(policy: Policy) -> Iterator[Policy]:
    """Run the block under another policy. Threads that start in the block don't inherit the policy.

    Example:
        >>> from dataclasses import replace
        >>> with use_policy(replace(current_policy(), serial_work=0)) as policy:
        ...     current_policy() is policy
        True
    """
    token = _policy.set(policy)
    try:
        yield policy
    finally:
        _policy.reset(token)


@contextmanager
def use_target(target: Target) -> Iterator[Target]:
    """Compile for another processor in the block, under that processor's own policy."""
    token = _target.set(target)
    try:
        with use_policy(Policy.for_target(target)):
            yield target
    finally:
        _target.reset(token)
