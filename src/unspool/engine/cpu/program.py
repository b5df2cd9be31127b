"""The program of a cell for one number type, processor and policy: compiled directions, and packing of weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.engine.compiler.ir.graph import Graph
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.compiler.loops.loop_ir import LoopNest
from unspool.engine.compiler.pipeline import StepGraphs
from unspool.engine.cpu.codegen.gemm.amx_packing import tiles_size
from unspool.engine.cpu.codegen.gemm.vector_microkernel import packed_size
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.jit.compile import Native, Products, Tools, compile_kernel, products, tiled, tools
from unspool.engine.cpu.policy import Policy, current_policy, current_target
from unspool.engine.cpu.runtime.autograd_gemm import FULL_WITHIN, HALF, HALF_WITHIN, IN_TILES
from unspool.engine.cpu.runtime.gemm import PARTS
from unspool.engine.cpu.runtime.memory_pool import MemoryPool, pool_of
from unspool.engine.cpu.runtime.thread_team import CrowdDetector, Team, crowd_detector, team, threads

__all__ = ["Program", "Split"]


class Split(NamedTuple):
    """How threads share a batch."""

    parts: int
    together: bool
    """Whether each thread makes some columns of every product, and waits for the others; else each has sequences."""


@dataclass(frozen=True)
class Program:
    """Graphs for one number type, processor and policy, compiled on first use."""

    graphs: StepGraphs
    dtype: torch.dtype
    target: Target
    half: bool = False
    """Whether the factors of products are rounded to bfloat16; sums and states are not."""
    policy: Policy = field(default_factory=current_policy)
    """Thresholds; they decide how threads share a batch and which code multiplies."""
    recorders: dict[Any, Any] = field(default_factory=dict, compare=False)
    """The recorders of command buffers, by prologue; `launch.record` fills it."""

    @classmethod
    def of(cls, graphs: StepGraphs, dtype: torch.dtype, half: bool = False) -> Program:
        """Return the program for the current target and policy."""
        return cls(graphs, dtype, current_target(), half, current_policy())

    @cached_property
    def team(self) -> Team:
        """The threads that run its loops."""
        return team(self.policy)

    @cached_property
    def pool(self) -> MemoryPool:
        """Where its calls take large buffers from."""
        return pool_of(self.policy.pool_least_bytes, self.policy.pool_most_bytes)

    @cached_property
    def crowd(self) -> CrowdDetector:
        """Whether other programs want the processor."""
        return crowd_detector(self.policy)

    @cached_property
    def forward(self) -> Native:
        """The forward pass that saves what `backward` reads."""
        return self._compile(self.graphs.forward, backward=False, history=self.states)

    @cached_property
    def backward(self) -> Native:
        """The backward pass."""
        return self._compile(self.graphs.backward, backward=True, history=self.states)

    @cached_property
    def inference(self) -> Native:
        """The forward pass that saves only the outputs."""
        return self._compile(self.graphs.inference, backward=False, history=self.output_states)

    @cached_property
    def step(self) -> Native:
        """A single step."""
        return self._compile(self.graphs.single.graph, backward=False, history=frozenset())

    def __str__(self) -> str:
        """The graphs, their loops, and the bytes that are saved."""
        saved = sum(self.graphs.saved_widths) * self.dtype.itemsize
        parts = [
            "## One step forward\n",
            self.graphs.forward,
            "\n## Laid out\n",
            self._laid_out(self.graphs.forward, backward=False, history=self.states),
            "\n## One step backward\n",
            self.graphs.backward,
            "\n## Laid out\n",
            self._laid_out(self.graphs.backward, backward=True, history=self.states),
            f"\nBeside states and inputs {saved} bytes are saved for each step of each sequence.",
        ]
        return "\n".join(map(str, parts))

    def describe(self, steps: int, rows: int, batch: int) -> str:
        """Describe in words how products are made; the arguments are those of `split`."""
        lines = [f"Products over all steps at once: {HALF}."] if self.half else []
        for way, graph in (("forward", self.graphs.forward), ("backward", self.graphs.backward)):
            kernel = self._laid_out(graph, backward=way == "backward", history=self.states)
            tiles, split = self.tiles(kernel, steps, rows, batch), self.split(kernel, steps, rows, batch)
            if split.together:
                lines.append(f"The columns of products within the loop {way} are shared by {split.parts} threads.")
            if self.half:
                lines.append(f"Products within the loop {way}: {HALF_WITHIN if tiles or self.within else FULL_WITHIN}.")
            elif tiles:
                lines.append(f"Products within the loop {way}: {IN_TILES}.")
        return "\n".join(lines)

    @property
    def within(self) -> bool:
        """Whether the loop's products on vectors are rounded to bfloat16 too."""
        return self.half and self.target.halves

    def split(self, kernel: LoopNest, steps: int, rows: int, batch: int) -> Split:
        """Decide how threads share a batch.

        Threads that share sequences need not wait, but each reads all weights at every step. Threads that share columns
        read their own weights only. That is faster where the weights exceed a core's own cache and few rows are
        multiplied, most where a thread's share fits that cache; and it is the only way for one or two sequences.

        Args:
            kernel: The direction.
            steps: Number of steps.
            rows: Of all steps together.
            batch: Number of sequences.
        """
        policy, each, most = self.policy, rows / steps, threads()
        worthwhile = rows * kernel.work // policy.thread_work  # threads
        parts = max(1, min(most, batch // 2, worthwhile))  # a thread with one sequence does nothing but read weights
        together = min(most, worthwhile, int(each * kernel.work) // policy.step_thread_work)
        few = each / most < (policy.shared_rows_amx if self._tiled else policy.shared_rows_vectors)
        afar = few and self._uncached(kernel, each / most)
        if together > 1 and self.team.start and (afar or (batch <= 2 and parts < 2)):
            return Split(together, together=True)
        return Split(parts, together=False)

    def divisible(self, kernel: LoopNest, rows: int) -> bool:
        """Return whether so many rows of all steps together are worth more than one thread."""
        return rows * kernel.work >= 2 * self.policy.thread_work

    def tiles(self, kernel: LoopNest, steps: int, rows: int, batch: int) -> int:
        """Return into how many bfloat16 the loop's factors are split for AMX; 0 for products on vectors.

        AMX reads the lines of a tile whether they hold many rows or few, and split weights take half as much memory
        again. The arguments are those of `split`.
        """
        if not self._tiled or not kernel.products:
            return 0
        parts = 1 if self.half else PARTS
        least_rows, split = self.policy.amx_rows(parts), self.split(kernel, steps, rows, batch)
        if split.together:
            return parts if rows / steps >= least_rows.shared else 0
        least = least_rows.uncached if self._overflows(2 * parts * kernel.work) else least_rows.cached
        return parts if rows / steps / split.parts >= least else 0

    @property
    def _tiled(self) -> bool:
        return self.target.tiled and self.dtype is torch.float32

    @property
    def cut(self) -> int:
        """Into how many bfloat16 the factors of products over all steps are split for AMX; 0 without AMX."""
        return PARTS if self._tiled else 0

    def _uncached(self, kernel: LoopNest, rows: float) -> bool:
        """Return whether the weights exceed a core's own cache, as they are packed for so many rows per thread."""
        half = self.within or (self.half and self._tiled and rows >= self.policy.amx_rows_rounded.uncached)
        return self._overflows((2 if half else self.dtype.itemsize) * kernel.work)

    def _overflows(self, weights: int) -> bool:
        """Return whether so many bytes of weights exceed their share of a core's own cache."""
        return weights > self.policy.weight_cache_share * self.target.cache

    @cached_property
    def states(self) -> frozenset[int]:
        """All parts of the state."""
        return frozenset(range(len(self.graphs.widths)))

    @cached_property
    def output_states(self) -> frozenset[int]:
        """The part of the state that is the output too, if there is one: its history is the output."""
        output = self.graphs.inference.find("output")[0]
        same = [number for number, node in self.graphs.inference.find("state").items() if node is output]
        return frozenset(same[:1])

    @cached_property
    def read_back(self) -> frozenset[str]:
        """The memories of the forward pass that the backward pass reads; each pass has scratch memory of its own."""
        return frozenset(name for name in self.backward.kernel.buffers if not name.startswith("scratch"))

    @cached_property
    def output_width(self) -> int:
        """Of the cell's output."""
        return self.graphs.inference.find("output")[0].width

    def _laid_out(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> LoopNest:
        return fuse(graph, lanes=self.lanes, backward=backward, history=history)

    def _compile(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> Native:
        kernel = self._laid_out(graph, backward=backward, history=history)
        return compile_kernel(kernel, self.dtype, self.target, self.policy.codegen)

    def products(self, tiles: int) -> Products:
        """Return the compiled products: in tiles with so many parts of each number, or on vectors if 0."""
        if tiles:
            return tiled(self.target, tiles, self.policy.codegen)
        return products(self.dtype, self.target, self.within, self.policy.codegen)

    @cached_property
    def tools(self) -> Tools:
        """The compiled functions that commands call."""
        return tools(self.dtype, self.target)

    @cached_property
    def lanes(self) -> int:
        """Numbers in a vector register."""
        return self.target.lanes(self.dtype)

    def packed_size(self, depth: int, width: int, tiles: int) -> int:
        """Return the size of a packed matrix in numbers."""
        if tiles:
            return tiles_size(depth, width, tiles)
        return packed_size(depth, width, self.lanes, half=self.within)

    def column_sizes(self, kernel: LoopNest, tiles: int) -> list[int]:
        """Return the size of one vector of columns of each packed matrix, in numbers."""
        depths = {product.packed: product.depth for product in kernel.products}
        return [self.packed_size(depths[name], self.lanes, tiles) for name in kernel.packed]

    def pack(self, matrix: Tensor, tiles: int = 0) -> Tensor:
        """Pack a matrix, (depth, width), for the kernels."""
        if 1 not in matrix.stride():
            matrix = matrix.contiguous()
        depth, width = matrix.shape
        room = matrix.new_empty(self.packed_size(depth, width, tiles))
        down, across = matrix.stride()
        assert across == 1 or down == 1, "the packer reads along one of the two"
        self.products(tiles).pack(matrix.data_ptr(), down, across, depth, width, room.data_ptr())
        return room
