"""Run compiled kernels under autograd: what is handed to them, and what is made of what they leave."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.engine.cpu.bound import Bound
from unspool.engine.cpu.compile import Native, Products, compile_kernel, products
from unspool.engine.cpu.emit.loops import SLOTS
from unspool.engine.cpu.emit.products import packed_size
from unspool.engine.cpu.emit.target import Target, host_target
from unspool.engine.cpu.graph import Graph
from unspool.engine.cpu.kernel import Buffer, Kernel, Place
from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.plan import Plan
from unspool.engine.cpu.products import FULL_WITHIN, HALF, HALF_WITHIN, matrix_gradient
from unspool.engine.cpu.schedule import schedule
from unspool.engine.cpu.threads import run_parts, team, threads

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
        """Run over all steps, under autograd.

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
        outputs, *final = _Unrolled.apply(self, layout, counts, *given)  # type: ignore[no-untyped-call]
        return outputs, list(final)

    def run_plain(
        self, layout: Layout, sequences: Sequence[Tensor], states: Sequence[Tensor], owned: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The same with all that comes before the loop, where the plan says that it is plain.

        Args:
            layout: How the batch lies.
            sequences: The step's input and context of all steps, each (rows, width) or (steps, batch, width).
            states: The states before the first step, each (batch, width).
            owned: The cell's weights.

        Returns:
            Outputs, shaped as the sequences are, and the last states, each (batch, width).
        """
        given = (*sequences, *states, *owned)
        outputs, *final = _Plain.apply(self, layout, len(sequences), len(states), *given)  # type: ignore[no-untyped-call]
        return outputs, list(final)

    def infer(
        self, layout: Layout, inputs: Sequence[Tensor], weights: Bound, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The same where no gradient is asked for; the vectors and the packed matrices come with the weights."""
        given = (*inputs, *weights.vectors(self.plan.before), *states)
        memory = _named(given, (len(inputs), len(given) - len(inputs) - len(states), 0))
        return self._forward(self.inference, layout, memory, self.shown, weights.packed)

    def _forward(
        self,
        native: Native,
        layout: Layout,
        memory: dict[str, Tensor],
        history: frozenset[int],
        packed: Callable[[int, bool], Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Run forward; the memory is filled with all that the kernel wrote."""
        like = next(iter(memory.values()))
        for number, width in enumerate(self.plan.widths):
            kept = number in history
            room = like.new_empty((layout.batch + layout.rows) if kept else 2 * layout.batch, width)
            _copy_rows(room, layout.initial if kept else 0, memory[f"state{number}"], 0, layout.batch)
            memory[f"state{number}"] = room
        self._launch(native, layout, memory, packed)
        shown = self.shown & history
        outputs = memory[f"state{min(shown)}"][layout.after] if shown else memory["output0"]
        final = []
        for number, width in enumerate(self.plan.widths):
            room, where = memory[f"state{number}"], layout.final if number in history else layout.final_of_two
            if isinstance(where, Tensor):
                final.append(room[where])
            else:
                last = like.new_empty(layout.batch, width)
                _copy_rows(last, 0, room, where.start, layout.batch)
                final.append(last)
        return outputs, final

    def _launch(
        self, native: Native, layout: Layout, memory: dict[str, Tensor], packed: Callable[[int, bool], Tensor]
    ) -> None:
        """Run a kernel; memory that it needs beyond what it is given is added."""
        frame = self._frames.get(id(native)) or self._frames.setdefault(id(native), _Frame.of(native))
        like = next(iter(memory.values()))
        parts = max(1, min(threads(), layout.batch // 2, layout.rows * frame.work // _WORTHWHILE))
        rows = {"time": layout.rows, "row": layout.batch, "now": 2 * layout.batch, "next": 2 * layout.batch}
        for name, buffer in frame.buffers:
            if name not in memory:
                rate, stride = buffer.rate, buffer.stride
                memory[name] = like.new_zeros(parts, stride) if rate == "part" else like.new_empty(rows[rate], stride)
        held = [packed(matrix, transposed) for matrix, transposed in frame.packed]
        arguments = frame.array(
            layout.steps,
            parts,
            layout.cuts(parts).data_ptr(),
            layout.active.data_ptr(),
            layout.starts.data_ptr(),
            self.products.product,
            team().which,
            team().size,
            *[memory[name].data_ptr() for name, _ in frame.buffers],
            *[part.data_ptr() for part in held],
        )
        run_parts(native, ctypes.addressof(arguments), parts)

    @cached_property
    def _frames(self) -> dict[int, _Frame]:
        return {}

    @cached_property
    def products(self) -> Products:
        """The matrix products of this machine."""
        return products(self.dtype, self.target, self.within)

    @cached_property
    def _lanes(self) -> int:
        return self.target.lanes(self.dtype)

    def pack(self, matrix: Tensor) -> Tensor:
        """A matrix as products read it."""
        if 1 not in matrix.stride():
            matrix = matrix.contiguous()
        depth, width = matrix.shape
        room = matrix.new_empty(packed_size(depth, width, self._lanes, half=self.within))
        down, across = matrix.stride()
        assert across == 1 or down == 1, "the packer reads along one of the two"
        self.products.pack(matrix.data_ptr(), down, across, depth, width, room.data_ptr())
        return room

    def packing(self, memory: Mapping[str, Tensor]) -> Callable[[int, bool], Tensor]:
        """Packs the matrices of a call, for this call."""

        def pack(matrix: int, transposed: bool) -> Tensor:
            found = memory[f"matrix{matrix}"]
            return self.pack(found.t() if transposed else found)

        return pack

    def packing_layers(self, layers: Sequence[Tensor]) -> Callable[[int, bool], Tensor]:
        """The same of matrices that are kept as layers keep their weights, (out, in)."""
        return lambda matrix, transposed: self.pack(layers[matrix] if transposed else layers[matrix].t())


class _Frame(NamedTuple):
    """What of a launch is the same every time."""

    array: Any
    """For whole numbers and addresses: `SLOTS`, memories, packed matrices."""
    buffers: list[tuple[str, Buffer]]
    packed: list[tuple[int, bool]]
    """Each matrix that is multiplied with, and whether it is transposed."""
    work: int
    """Multiplications a row."""

    @classmethod
    def of(cls, native: Native) -> _Frame:
        kernel = native.kernel
        assert list(SLOTS) == ["steps", "parts", "cuts", "active", "starts", "product", "number", "count"]
        packed = {product.packed: (product.matrix, product.transposed) for product in kernel.products}
        assert kernel.memories == [*kernel.buffers, *sorted(packed)]
        array = ctypes.c_int64 * (len(SLOTS) + len(kernel.memories))
        return cls(array, list(kernel.buffers.items()), [packed[name] for name in sorted(packed)], _work(kernel))


def _work(kernel: Kernel) -> int:
    return sum(product.depth * product.width for product in kernel.products)


def parts_of(kernel: Kernel, rows: int, batch: int) -> int:
    """In how many parts the batch is cut."""
    return max(1, min(threads(), batch // 2, rows * _work(kernel) // _WORTHWHILE))


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


def _copy_rows(to: Tensor, row: int, source: Tensor, begin: int, rows: int) -> None:
    """Copy some whole rows, which torch would do in ten times the time where they are few."""
    width, size = source.shape[1], source.element_size()
    if to.shape[1] == width and source.is_contiguous():
        offset, first = size * width * row, size * width * begin
        ctypes.memmove(to.data_ptr() + offset, source.data_ptr() + first, size * width * rows)
    else:
        to[row : row + rows, :width] = source[begin : begin + rows]


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, program: Program, layout: Layout, counts: tuple[int, int, int], *given: Tensor) -> Any:
        memory = _named(given, counts)
        outputs, final = program._forward(program.forward, layout, memory, program.states, program.packing(memory))
        kept = {name: memory[name] for name in program.kept if name in memory}
        ctx.save_for_backward(*kept.values())
        ctx.names, ctx.program, ctx.layout, ctx.counts = list(kept), program, layout, counts
        ctx.shapes = [tensor.shape for tensor in given]
        ctx.set_materialize_grads(False)
        return outputs, *final

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Any:
        memory = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        if not _go_back(ctx.program, ctx.layout, memory, ctx.program.packing(memory), outputs, final):
            return (None,) * (3 + len(ctx.shapes))
        return None, None, None, *_gradients(ctx, memory)


def _go_back(
    program: Program,
    layout: Layout,
    memory: dict[str, Tensor],
    packed: Callable[[int, bool], Tensor],
    outputs: Tensor | None,
    final: Sequence[Tensor | None],
) -> bool:
    """Run backward, given the gradients of outputs and last states; False if there are none."""
    native = program.backward
    like = next((tensor for tensor in (outputs, *final) if tensor is not None), None)
    if like is None:
        return False
    if outputs is None:
        outputs = like.new_zeros(layout.rows, program.output_width)
    memory["output_gradient0"] = outputs.contiguous()
    for name, buffer in native.kernel.buffers.items():
        if name.startswith("carry"):
            gradient = final[int(name.removeprefix("carry"))]
            memory[name] = room = like.new_zeros(2 * layout.batch, buffer.stride)
            if gradient is not None:  # a sequence that ends early finds it in either block
                _copy_rows(room, 0, gradient, 0, layout.batch)
                _copy_rows(room, layout.batch, gradient, 0, layout.batch)
    program._launch(native, layout, memory, packed)
    return True


class _Plain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, program: Program, layout: Layout, sequences: int, states: int, *given: Tensor) -> Any:
        plain = program.plan.plain
        assert plain is not None
        owned, first = given[sequences + states :], given[0]
        rows = [part.reshape(-1, part.shape[-1]) for part in given[:sequences]]
        layers = plain.layers(owned)
        memory = {name: part.contiguous() for name, part in plain.run(rows, owned, layers, half=program.half).items()}
        for number, part in enumerate(given[sequences : sequences + states]):
            memory[f"state{number}"] = part
        outputs, final = program._forward(
            program.forward, layout, memory, program.states, program.packing_layers(layers)
        )
        kept = {name: memory[name] for name in program.kept if name in memory}
        ctx.save_for_backward(*kept.values(), *rows, *owned)
        ctx.names, ctx.program, ctx.layout, ctx.counts = list(kept), program, layout, (sequences, states)
        ctx.shapes = [part.shape for part in given]
        ctx.set_materialize_grads(False)
        return outputs.view(*first.shape[:-1], -1), *final

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Any:
        program, layout, (sequences, states) = ctx.program, ctx.layout, ctx.counts
        plain, saved, wanted = program.plan.plain, ctx.saved_tensors, ctx.needs_input_grad[4:]
        memory = dict(zip(ctx.names, saved, strict=False))
        rows, owned = saved[len(memory) : len(memory) + sequences], saved[len(memory) + sequences :]
        packed = program.packing_layers(plain.layers(owned))
        if not _go_back(program, layout, memory, packed, outputs, final):
            return (None,) * (4 + len(ctx.shapes))
        products = [
            (
                outer.matrix,
                _columns(memory, layout, outer.left, outer.depth),
                _columns(memory, layout, outer.right, outer.width),
            )
            for outer in program.backward.kernel.outers
            if wanted[sequences + states + plain.matrices[outer.matrix].weight]
        ]
        asked = [*wanted[:sequences], *wanted[sequences + states :]]
        found = plain.gradients(memory, rows, owned, products, asked, half=program.half)
        of_rows = [
            None if part is None else part.reshape(shape)
            for part, shape in zip(found[:sequences], ctx.shapes[:sequences], strict=True)
        ]
        of_states = _carried(memory, layout, ctx.shapes[sequences : sequences + states])
        of_states = [part if want else None for part, want in zip(of_states, wanted[sequences:], strict=False)]
        return None, None, None, None, *of_rows, *of_states, *found[sequences:]


def _carried(memory: Mapping[str, Tensor], layout: Layout, shapes: Sequence[torch.Size]) -> list[Tensor | None]:
    """The gradients of the first states."""
    carries = [memory.get(f"carry{number}") for number in range(len(shapes))]
    return [
        None if carry is None else carry[layout.batch :, : shape[1]]
        for carry, shape in zip(carries, shapes, strict=True)
    ]


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
    found += _carried(memory, layout, ctx.shapes[len(found) :])
    return [part if want else None for part, want in zip(found, wanted, strict=True)]


def _columns(memory: dict[str, Tensor], layout: Layout, place: Place, width: int) -> Tensor:
    """What stood at a place at every step, (rows, width)."""
    tensor = memory[place.buffer.name]
    if place.buffer.rate == "before":
        tensor = tensor[layout.before]
    elif place.buffer.rate == "after":
        tensor = tensor[layout.after]
    return tensor[:, place.column : place.column + width]
