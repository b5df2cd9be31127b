"""Run compiled kernels under autograd: what is handed to them, and what is made of what they leave."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from unspool.engine.cpu.compile import Native, Products, compile_kernel, products
from unspool.engine.cpu.emit.loops import SLOTS
from unspool.engine.cpu.emit.products import packed_size
from unspool.engine.cpu.emit.target import Target, host_target
from unspool.engine.cpu.graph import Graph
from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.plan import Plan
from unspool.engine.cpu.products import FULL_WITHIN, HALF, HALF_WITHIN, matrix_gradient
from unspool.engine.cpu.schedule import Buffer, Kernel, Place, schedule
from unspool.engine.cpu.threads import run_parts, team, threads

__all__ = ["Program"]

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
            parts.append(f"Products within the loop: {HALF_WITHIN if self._within else FULL_WITHIN}.")
        return "\n".join(map(str, parts))

    @property
    def _within(self) -> bool:
        """Whether the products within the loop are rounded too."""
        return self.half and self.target.halves

    @property
    def _products(self) -> Products:
        return products(self.dtype, self.target, self._within)

    @property
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
    def kept(self) -> list[str]:
        """The memories of the way forward that are kept for the way back."""
        kernel = self.backward.kernel
        names = {*kernel.buffers, *(f"matrix{product.matrix}" for product in kernel.products)}
        return sorted(name for name in names if not name.startswith("scratch"))

    @cached_property
    def output_width(self) -> int:
        """Of the cell's output."""
        return self.plan.inference.find("output")[0].width

    def _laid_out(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> Kernel:
        return schedule(graph, lanes=self.target.lanes(self.dtype), backward=backward, history=history)

    def _compile(self, graph: Graph, *, backward: bool, history: frozenset[int]) -> Native:
        kernel = self._laid_out(graph, backward=backward, history=history)
        return compile_kernel(kernel, self.dtype, self.target)

    def __call__(
        self,
        layout: Layout,
        inputs: Sequence[Tensor],
        vectors: Sequence[Tensor],
        matrices: Sequence[Tensor],
        states: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Run over all steps.

        Args:
            layout: How the batch lies.
            inputs: The loop's inputs, each (rows, width).
            vectors: The loop's vectors, each (1, width).
            matrices: All matrices of the tape.
            states: The states before the first step, each (batch, width).

        Returns:
            Outputs, (rows, hidden), and the last states, each (batch, width).
        """
        given = (*inputs, *vectors, *matrices, *states)
        counts = (len(inputs), len(vectors), len(matrices))
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
            outputs, *final = _Unrolled.apply(self, layout, counts, *given)  # type: ignore[no-untyped-call]
            return outputs, list(final)
        memory = _named(given, counts)
        outputs, final = self._forward(self.inference, layout, memory, self.shown)
        return outputs, final

    def _forward(
        self, native: Native, layout: Layout, memory: dict[str, Tensor], history: frozenset[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run forward; the memory is filled with all that the kernel wrote."""
        like = next(iter(memory.values()))
        for number, width in enumerate(self.plan.widths):
            kept = number in history
            room = like.new_empty((layout.batch + layout.rows) if kept else 2 * layout.batch, width)
            begin = layout.initial if kept else 0
            room[begin : begin + layout.batch] = memory[f"state{number}"]
            memory[f"state{number}"] = room
        self._launch(native, layout, memory)
        shown = self.shown & history
        outputs = memory[f"state{min(shown)}"][layout.after] if shown else memory["output0"]
        final = [
            memory[f"state{number}"][layout.final if number in history else layout.final_of_two].clone()
            for number in range(len(self.plan.widths))
        ]
        return outputs, final

    def _launch(self, native: Native, layout: Layout, memory: dict[str, Tensor]) -> int:
        """Run a kernel; returns how many parts the batch was cut into."""
        kernel = native.kernel
        like = next(iter(memory.values()))
        work = layout.rows * sum(product.depth * product.width for product in kernel.products)
        parts = max(1, min(threads(), layout.batch // 2, work // _WORTHWHILE))
        for name, buffer in kernel.buffers.items():
            if name not in memory:
                memory[name] = _room(like, buffer, layout, parts)
        shared = self._products
        packed: dict[str, Tensor] = {}
        for product in kernel.products:
            if product.packed not in packed:
                matrix = memory[f"matrix{product.matrix}"]
                packed[product.packed] = self._pack(matrix.t() if product.transposed else matrix)
        cuts = layout.cuts(parts)
        values = {
            "steps": layout.steps,
            "parts": parts,
            "cuts": cuts.data_ptr(),
            "active": layout.active.data_ptr(),
            "starts": layout.starts.data_ptr(),
            "product": shared.product,
            "number": team().which,
            "count": team().size,
        }
        addresses = [(packed[name] if name in packed else memory[name]).data_ptr() for name in kernel.memories]
        arguments = (ctypes.c_int64 * (len(SLOTS) + len(addresses)))(*(values[slot] for slot in SLOTS), *addresses)
        run_parts(native, ctypes.addressof(arguments), parts)
        return parts

    def _pack(self, matrix: Tensor) -> Tensor:
        if 1 not in matrix.stride():
            matrix = matrix.contiguous()
        depth, width = matrix.shape
        room = matrix.new_empty(packed_size(depth, width, self.target.lanes(self.dtype), half=self._within))
        down, across = matrix.stride()
        assert across == 1 or down == 1, "the packer reads along one of the two"
        self._products.pack(matrix.data_ptr(), down, across, depth, width, room.data_ptr())
        return room


def _named(given: Sequence[Tensor], counts: tuple[int, int, int]) -> dict[str, Tensor]:
    """What a kernel is handed, by name."""
    inputs, vectors, matrices = counts
    kinds = ["input"] * inputs + ["vector"] * vectors + ["matrix"] * matrices
    kinds += ["state"] * (len(given) - len(kinds))
    firsts = {"input": 0, "vector": inputs, "matrix": inputs + vectors, "state": inputs + vectors + matrices}
    memory: dict[str, Tensor] = {}
    for index, (kind, tensor) in enumerate(zip(kinds, given, strict=True)):
        plain = tensor.detach()
        memory[f"{kind}{index - firsts[kind]}"] = plain if kind == "matrix" else plain.contiguous()
    return memory


def _room(like: Tensor, buffer: Buffer, layout: Layout, parts: int) -> Tensor:
    if buffer.rate == "part":
        return like.new_zeros(parts, buffer.stride)
    rows = {"time": layout.rows, "row": layout.batch, "now": 2 * layout.batch, "next": 2 * layout.batch}
    return like.new_empty(rows[buffer.rate], buffer.stride)


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, program: Program, layout: Layout, counts: tuple[int, int, int], *given: Tensor) -> Any:
        memory = _named(given, counts)
        outputs, final = program._forward(program.forward, layout, memory, program.states)
        kept = {name: memory[name] for name in program.kept if name in memory}
        ctx.save_for_backward(*kept.values())
        ctx.names, ctx.program, ctx.layout, ctx.counts = list(kept), program, layout, counts
        ctx.shapes = [tensor.shape for tensor in given]
        ctx.set_materialize_grads(False)
        return outputs, *final

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Any:
        program, layout = ctx.program, ctx.layout
        memory = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        native = program.backward
        like = next((tensor for tensor in (outputs, *final) if tensor is not None), None)
        if like is None:
            return (None,) * (3 + len(ctx.shapes))
        if outputs is None:
            outputs = like.new_zeros(layout.rows, program.output_width)
        memory["output_gradient0"] = outputs.contiguous()
        for name, buffer in native.kernel.buffers.items():
            if name.startswith("carry"):
                gradient = final[int(name.removeprefix("carry"))]
                room = like.new_zeros(2, layout.batch, buffer.stride)
                if gradient is not None:
                    room[:, :, : gradient.shape[1]] = gradient  # a sequence that ends early finds it in either block
                memory[name] = room.flatten(0, 1)
        program._launch(native, layout, memory)
        return None, None, None, *_gradients(ctx, memory)


def _gradients(ctx: Any, memory: dict[str, Tensor]) -> list[Tensor | None]:
    """The gradients of everything the loop was given, in that order."""
    layout, kernel = ctx.layout, ctx.program.backward.kernel
    inputs, vectors, matrices = ctx.counts
    wanted = ctx.needs_input_grad[3:]
    found: list[Tensor | None] = [memory.get(f"input_gradient{number}") for number in range(inputs)]
    sums = [memory.get(f"vector_gradient{number}") for number in range(vectors)]
    found += [None if part is None else part.sum(0, keepdim=True) for part in sums]
    weights: list[Tensor | None] = [None] * matrices
    for outer in kernel.outers:
        if wanted[len(found) + outer.matrix]:
            left = _columns(memory, layout, outer.left, outer.depth)
            right = _columns(memory, layout, outer.right, outer.width)
            part = matrix_gradient(left, right, half=ctx.program.half)
            before = weights[outer.matrix]
            weights[outer.matrix] = part if before is None else before + part
    found += weights
    for number, shape in enumerate(ctx.shapes[len(found) :]):
        carry = memory.get(f"carry{number}")
        found.append(None if carry is None else carry[layout.batch :, : shape[1]])
    return [part if want else None for part, want in zip(found, wanted, strict=True)]


def _columns(memory: dict[str, Tensor], layout: Layout, place: Place, width: int) -> Tensor:
    """What stood at a place at every step, (rows, width)."""
    tensor = memory[place.buffer.name]
    if place.buffer.rate == "before":
        tensor = tensor[layout.before]
    elif place.buffer.rate == "after":
        tensor = tensor[layout.after]
    return tensor[:, place.column : place.column + width]
