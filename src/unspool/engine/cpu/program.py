"""A plan for one number type: its directions, compiled when they are first needed, and its weights packed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from unspool.engine.cpu.compile import Native, Products, Tools, compile_kernel, products, tools
from unspool.engine.cpu.emit.products import packed_size
from unspool.engine.cpu.emit.target import Target, host_target
from unspool.engine.cpu.graph import Graph
from unspool.engine.cpu.kernel import Kernel
from unspool.engine.cpu.plan import Plan
from unspool.engine.cpu.products import FULL_WITHIN, HALF, HALF_WITHIN
from unspool.engine.cpu.schedule import schedule
from unspool.engine.cpu.threads import threads

__all__ = ["Program", "parts_of"]

_WORTHWHILE = 300_000
"""Multiplications that a part of the batch must have to be worth a thread. It must also have two sequences, since with
one a thread does nothing but read weights."""


@dataclass(frozen=True)
class Program:
    """A plan for one number type, compiled when it is first needed."""

    plan: Plan
    dtype: torch.dtype
    target: Target
    half: bool = False
    """Whether the factors of products are rounded to bfloat16; sums and states are not."""
    arounds: dict[Any, Any] = field(default_factory=dict, compare=False)
    """What `around` keeps with it."""

    @classmethod
    def of(cls, plan: Plan, dtype: torch.dtype, half: bool = False) -> Program:
        """The program for this machine."""
        return cls(plan, dtype, host_target(), half)

    @cached_property
    def forward(self) -> Native:
        """Forward, keeping what `backward` reads."""
        return self._compile(self.plan.forward, backward=False, history=self.states)

    @cached_property
    def backward(self) -> Native:
        """Backward."""
        return self._compile(self.plan.backward, backward=True, history=self.states)

    @cached_property
    def inference(self) -> Native:
        """Forward, keeping nothing but the outputs."""
        return self._compile(self.plan.inference, backward=False, history=self.shown)

    @cached_property
    def step(self) -> Native:
        """A single step, which keeps nothing."""
        return self._compile(self.plan.single.graph, backward=False, history=frozenset())

    def __str__(self) -> str:
        """The graphs, how they are laid out, and what is saved."""
        saved = sum(self.plan.saved_widths) * self.dtype.itemsize
        parts = [
            "## One step forward\n",
            self.plan.forward,
            "\n## Laid out\n",
            self._laid_out(self.plan.forward, backward=False, history=self.states),
            "\n## One step backward\n",
            self.plan.backward,
            "\n## Laid out\n",
            self._laid_out(self.plan.backward, backward=True, history=self.states),
            f"\nBeside states and inputs {saved} bytes are saved for each step of each sequence.",
        ]
        if self.half:
            parts.append(f"Products over all steps at once: {HALF}.")
            parts.append(f"Products within the loop: {HALF_WITHIN if self.within else FULL_WITHIN}.")
        return "\n".join(map(str, parts))

    @property
    def within(self) -> bool:
        """Whether the products within the loop are rounded too."""
        return self.half and self.target.halves

    @cached_property
    def states(self) -> frozenset[int]:
        """All parts of the state."""
        return frozenset(range(len(self.plan.widths)))

    @cached_property
    def shown(self) -> frozenset[int]:
        """The part of the state that is the output too, if there is one: its history is the output."""
        output = self.plan.inference.find("output")[0]
        same = [number for number, node in self.plan.inference.find("state").items() if node is output]
        return frozenset(same[:1])

    @cached_property
    def read_back(self) -> frozenset[str]:
        """The memories of the way forward that the way back reads; each has scratch memory of its own."""
        return frozenset(name for name in self.backward.kernel.buffers if not name.startswith("scratch"))

    @cached_property
    def output_width(self) -> int:
        """Of the cell's output."""
        return self.plan.inference.find("output")[0].width

    def _laid_out(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> Kernel:
        return schedule(graph, lanes=self.lanes, backward=backward, history=history)

    def _compile(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> Native:
        kernel = self._laid_out(graph, backward=backward, history=history)
        return compile_kernel(kernel, self.dtype, self.target)

    @cached_property
    def products(self) -> Products:
        """The matrix products of this machine."""
        return products(self.dtype, self.target, self.within)

    @cached_property
    def tools(self) -> Tools:
        """What is done around a loop on this machine."""
        return tools(self.dtype, self.target)

    @cached_property
    def lanes(self) -> int:
        """Numbers in a vector register."""
        return self.target.lanes(self.dtype)

    def pack(self, matrix: Tensor) -> Tensor:
        """A matrix as products read it."""
        if 1 not in matrix.stride():
            matrix = matrix.contiguous()
        depth, width = matrix.shape
        room = matrix.new_empty(packed_size(depth, width, self.lanes, half=self.within))
        down, across = matrix.stride()
        assert across == 1 or down == 1, "the packer reads along one of the two"
        self.products.pack(matrix.data_ptr(), down, across, depth, width, room.data_ptr())
        return room


def parts_of(kernel: Kernel, rows: int, batch: int) -> int:
    """In how many parts the batch is cut."""
    return max(1, min(threads(), batch // 2, rows * kernel.work // _WORTHWHILE))
