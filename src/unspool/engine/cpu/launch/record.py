"""Record and cache command buffers, one for each way to call a program.

Every argument of a call has a number: sequences first, then states, then weights. Commands name arguments `argument0`,
`argument1`, ..., and their gradients `gradient0`, ... The history of a state, or its two blocks, is `state0`; `first0`
is the row of the first state, `last0` that of the last one, and `final0` the tensor that the last state is copied to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from unspool.engine.compiler.passes.affine_prologue import AffineProlog, bare
from unspool.engine.cpu.jit.compile import Native, uncollected
from unspool.engine.cpu.launch.command_buffer import Binding, CommandBuffer, Rows
from unspool.engine.cpu.launch.command_list import Address, CommandList
from unspool.engine.cpu.launch.gemm_commands import Gemm, Parallel, Serial, Strategy
from unspool.engine.cpu.launch.weight_gradients import write_gradients
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.batch_layout import Arrangement, Layout
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.cpu.runtime.workspace import Workspace

__all__ = ["Recorder", "record_affine", "record_bare", "record_unhoisted"]

_INWARD, _OUTWARD = "output_gradient0", "outward_gradient"
"""The gradient of the outputs as the loop reads it, and as it comes with padding."""

# Rows of the history of a state, or of its two blocks.
_FIRST, _FIRST_OF_TWO = attrgetter("initial"), lambda layout: 0
_SECOND = attrgetter("batch")
_LAST, _LAST_OF_TWO, _BEFORE, _AFTER = map(attrgetter, ("final", "final_of_two", "before", "after"))


class Recorder:
    """Records the command buffers of a program and its prologue.

    Args:
        program: The program.
        plain: The prologue.
        sequences: Number of sequences among the arguments.
        shapes: Of the weights.
        packed: Whether ragged batches always come without padding.
    """

    def __init__(
        self,
        program: Program,
        plain: AffineProlog,
        sequences: int,
        shapes: Sequence[torch.Size],
        *,
        packed: bool = False,
    ) -> None:
        self._packed = packed
        self.program, self.plain, self.sequences, self.shapes = program, plain, sequences, tuple(shapes)
        self.widths = program.graphs.widths
        self.weights = sequences + len(self.widths)
        """The number of the first weight."""
        self._buffers: dict[object, CommandBuffer] = {}
        self._last: tuple[Layout, object, tuple[Strategy, CommandBuffer, Binding]] | None = None
        self._last_back: tuple[Layout, object, tuple[CommandBuffer, Binding]] | None = None

    @cached_property
    def _work(self) -> int:
        """Numbers in all matrices: the multiplications of a row, where each matrix meets every row once."""
        return sum(self.shapes[piece.weight][1] * (piece.stop - piece.start) for piece in self.plain.matrices)

    def strategy(self, layout: Layout) -> Strategy:
        """Return who makes the products over all steps of a batch."""
        if self.program.half or (self._packed and layout.ragged):
            return "torch"
        policy = self.program.policy
        if layout.rows * self._work * threads() <= policy.serial_work:
            return "serial"
        blocked = self.program.team.start and self._widest <= policy.blocked_ratio * layout.rows
        return "parallel" if blocked else "torch"

    def arrangement(self, layout: Layout) -> Arrangement:
        """Return how the sequences of a batch come to the loop."""
        if not layout.ragged:
            return "full"
        return "packed" if self.strategy(layout) == "torch" else "padded"

    @cached_property
    def _widest(self) -> int:
        """The largest dimension of all matrices."""
        return max((max(self.shapes[piece.weight]) for piece in self.plain.matrices), default=0)

    def forward(self, layout: Layout) -> tuple[Strategy, CommandBuffer, Binding]:
        """Return strategy, commands and binding of a forward pass under autograd; the last answer is cached."""
        last, crew = self._last, (threads(), self.program.crowd.crowded())
        if last is None or last[0] is not layout or last[1] != crew:
            strategy = self.strategy(layout)
            key = (
                "forward",
                strategy,
                self.arrangement(layout),
                self._tiles(self.program.forward, strategy == "serial", layout),
            )
            commands = self._cached(key, self._make_forward, *key[1:])
            last = layout, crew, (strategy, commands, commands.lay_out(layout))
            self._last = None if layout.ragged else last
        return last[2]

    def inference(self, strategy: Strategy, layout: Layout) -> CommandBuffer:
        """Return the commands of a forward pass without gradients, which takes packed matrices and vectors."""
        tiles = self._tiles(self.program.inference, strategy == "serial", layout)
        key = "inference", strategy, self.arrangement(layout), tiles
        return self._cached(key, self._make_inference, *key[1:])

    def stacked(self, layout: Layout, stride: int) -> tuple[Strategy, CommandBuffer]:
        """Return strategy and commands of a forward pass inside a stack: torch makes no product and moves no row.

        Args:
            layout: Of the batch.
            stride: Numbers from one row of the outputs to the next; the layer's other direction fills the gap.
        """
        strategy = self.strategy(layout)
        if strategy == "torch":
            strategy = "parallel" if self.program.team.start else "serial"
        arrangement: Arrangement = "padded" if layout.ragged else "full"
        tiles = self._tiles(self.program.inference, strategy == "serial", layout)
        key = "stacked", strategy, arrangement, tiles, stride
        return strategy, self._cached(key, self._make_inference, strategy, arrangement, tiles, stride)

    def backward(
        self,
        strategy: Strategy,
        arrangement: Arrangement,
        layout: Layout,
        needs_gradient: tuple[bool, ...],
        has_final: tuple[bool, ...],
    ) -> tuple[CommandBuffer, Binding]:
        """Return commands and binding of a backward pass; the last answer is cached.

        Args:
            strategy: Of the forward pass, whatever the number of threads is now.
            arrangement: Of the forward pass.
            layout: Of the batch.
            needs_gradient: Which arguments get gradients.
            has_final: Which final states have a gradient.
        """
        last, call = (
            self._last_back,
            (strategy, arrangement, threads(), self.program.crowd.crowded(), needs_gradient, has_final),
        )
        if last is None or last[0] is not layout or last[1] != call:
            tiles = self._tiles(self.program.backward, strategy == "serial", layout)
            key = strategy, arrangement, needs_gradient, has_final, tiles
            commands = self._cached(key, self._make_backward, *key)
            last = layout, call, (commands, commands.lay_out(layout))
            self._last_back = None if layout.ragged else last  # ragged layouts hardly ever repeat
        return last[2]

    def _cached(self, key: object, make: Callable[..., CommandBuffer], *arguments: Any) -> CommandBuffer:
        if key not in self._buffers:
            with uncollected():
                self._buffers[key] = make(*arguments)
        return self._buffers[key]

    def _tiles(self, native: Native, small: bool, layout: Layout) -> int:
        return 0 if small else self.program.tiles(native.kernel, layout.steps, layout.rows, layout.batch)

    def _buffer(self, native: Native, tiles: int, arrangement: Arrangement) -> CommandBuffer:
        return CommandBuffer(self.program, native, self.plain, self.weights, self.shapes, tiles, arrangement)

    def _make_forward(self, strategy: Strategy, arrangement: Arrangement, tiles: int) -> CommandBuffer:
        commands = self._buffer(self.program.forward, tiles, arrangement)
        gemm = _gemm(strategy, commands)
        commands.tensors += [f"argument{number}" for number in range(self.weights + len(self.shapes))]
        self._place_states(commands, commands.saved, self.program.states)
        commands.place_vectors()
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or gemm is None:
                self._place_input(commands, number)
                continue
            to = self._room_for_input(commands, number, saved=f"input{number}" in self.program.read_back)
            gemm.layer(commands.head, self._rows(commands, number), matrix, False, to)
        for product in commands.kernel.products:
            commands.pack(commands.head, product.matrix, product.transposed, product.packed)
        commands.place_rest(saved=self.program.read_back)
        return commands.finish()

    def _make_inference(
        self, strategy: Strategy, arrangement: Arrangement, tiles: int, stride: int = 0
    ) -> CommandBuffer:
        commands = self._buffer(self.program.inference, tiles, arrangement)
        gemm = _gemm(strategy, commands)
        commands.tensors += [f"argument{number}" for number in range(self.weights)]
        self._place_states(commands, commands.scratch, self.program.output_states, stride)
        commands.tensors += [f"vector{number}" for number in range(len(self.plain.sums))]
        commands.tensors += [product.packed for product in commands.kernel.products]
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or gemm is None:
                self._place_input(commands, number)
                continue
            commands.tensors.append(f"packed{number}")
            to, rows = self._room_for_input(commands, number), self._rows(commands, number)
            gemm.ready_layer(commands.head, rows, f"packed{number}", to)
        commands.place_rest()
        return commands.finish()

    def _place_states(
        self, commands: CommandBuffer, others: Workspace, history: Collection[int], stride: int = 0
    ) -> None:
        """Reserve memory for states; copy the first ones there, and the last ones and the outputs to their tensors.

        Outputs without padding stay in their memory, unless the rows of their tensor have a `stride`.
        """
        if not self.program.output_states:
            commands.output_rows.add("output0", "time", self.program.output_width)
        for number, width in enumerate(self.widths):
            name, argument = f"state{number}", f"argument{self.sequences + number}"
            memories = commands.output_rows if number in self.program.output_states else others
            memories.add(name, "after" if number in history else "next", width)
            memories.mark(f"first{number}", name, _FIRST if number in history else _FIRST_OF_TWO)
            self._move(commands, commands.head, f"first{number}", width, argument, width, "order", width)
            if commands.arrangement == "packed":
                continue
            final = f"final{number}"
            commands.tensors.append(final)
            memories.mark(f"{name}.after", name, _AFTER)
            if commands.arrangement == "padded":
                ends = "ends" if number in history else "ends_of_two"
                commands.gather(commands.tail, final, width, Address(name), width, ends, "batch", width)
            else:
                memories.mark(f"last{number}", name, _LAST if number in history else _LAST_OF_TWO)
                memories.mark(f"{name}.before", name, _BEFORE)
                commands.call(commands.tail, "copy", final, width, f"last{number}", width, Address("batch"), width)
        width = self.program.output_width
        rows = next((f"state{number}.after" for number in self.program.output_states), "output0")
        if commands.arrangement == "padded":
            commands.tensors.append("outputs")
            commands.gather(commands.tail, "outputs", stride or width, Address(rows), width, "spots", "padded", width)
        elif stride:
            commands.tensors.append("outputs")
            commands.call(commands.tail, "copy", "outputs", stride, rows, width, Address("rows"), width)

    def _place_input(self, commands: CommandBuffer, number: int) -> None:
        """An input of the loop that is an argument, or a product made by torch."""
        if self.plain.inputs[number].matrix is None:
            self._place_argument(commands, number)
        else:
            commands.tensors.append(f"input{number}")

    def _place_argument(self, commands: CommandBuffer, number: int) -> None:
        """An input of the loop that is an argument as it is."""
        name, (argument, _) = f"input{number}", self.plain.inputs[number]
        if name in commands.kernel.buffers:
            commands.elsewhere[name] = commands.sequence(argument, commands.kernel.buffers[name].stride)

    def _rows(self, commands: CommandBuffer, number: int) -> Rows:
        """The rows that are multiplied to make an input of the loop."""
        argument, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        depth, _ = commands.matrix(matrix)
        return Rows(Address(commands.sequence(argument, depth)), depth, depth)

    def _room_for_input(self, commands: CommandBuffer, number: int, *, saved: bool = False) -> Rows:
        _, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        _, width = commands.matrix(matrix)
        (commands.saved if saved else commands.scratch).add(f"input{number}", "time", width)
        return Rows(Address(f"input{number}"), width, width)

    def _make_backward(
        self,
        strategy: Strategy,
        arrangement: Arrangement,
        needs_gradient: tuple[bool, ...],
        has_final: tuple[bool, ...],
        tiles: int,
    ) -> CommandBuffer:
        forward = self._cached(("forward", strategy, arrangement, 0), self._make_forward, strategy, arrangement, 0)
        commands = self._buffer(self.program.backward, tiles, arrangement)
        commands.saved, commands.output_rows = forward.saved, forward.output_rows
        commands.blocks = (
            [commands.scratch, commands.saved, commands.output_rows]
            if self.program.output_states
            else [commands.scratch, commands.saved]
        )
        commands.tensors += [f"argument{number}" for number in range(self.sequences)]
        commands.tensors += [f"argument{self.weights + number}" for number in range(len(self.shapes))]
        commands.tensors += [_OUTWARD if arrangement == "padded" else _INWARD]
        commands.tensors += [f"final_gradient{number}" for number, end in enumerate(has_final) if end]
        commands.tensors += self.product_inputs if strategy == "torch" else []
        commands.place_vectors()
        arguments = [argument for argument, _ in self.plain.inputs]
        for number, (argument, matrix) in enumerate(self.plain.inputs):
            if matrix is None:
                self._place_argument(commands, number)
                gradient = f"input_gradient{number}"
                alone = arguments.count(argument) == 1 and arrangement != "padded"
                if gradient in commands.kernel.buffers and needs_gradient[argument] and alone:
                    commands.elsewhere[gradient] = f"gradient{argument}"  # the loop writes straight to the tensor
        for product in commands.kernel.products:
            commands.pack(commands.head, product.matrix, product.transposed, product.packed)
        for number, width in enumerate(self.widths):
            self._carry(commands, number, width, needs_gradient[self.sequences + number], has_final[number])
        commands.place_rest()
        width = self.program.output_width
        if arrangement == "padded" and _INWARD in commands.kernel.buffers:
            commands.gather(commands.head, _INWARD, width, Address(_OUTWARD), width, "places", "rows", width)
        for buffer in commands.kernel.summed:
            commands.call(commands.head, "clear", buffer.name, buffer.stride, Address("parts"), buffer.stride)
        write_gradients(commands, needs_gradient, _gemm(strategy, commands))
        names = {*commands.elsewhere.values(), *commands.head.names(), *commands.tail.names()}
        commands.written = [number for number in range(len(needs_gradient)) if f"gradient{number}" in names]
        commands.tensors += [f"gradient{number}" for number in commands.written]
        return commands.finish()

    @cached_property
    def product_inputs(self) -> list[str]:
        """The loop's inputs that are products, where the backward pass reads them."""
        names = [f"input{number}" for number, (_, matrix) in enumerate(self.plain.inputs) if matrix is not None]
        return [name for name in names if name in self.program.read_back]

    def _carry(self, commands: CommandBuffer, number: int, width: int, needs_gradient: bool, has_final: bool) -> None:
        """Copy the gradient of a final state to where the loop reads it, and that of the first state to its tensor."""
        name, carry = f"carry{number}", commands.kernel.buffers.get(f"carry{number}")
        if carry is None:
            return
        commands.scratch.add(name, carry.rate, carry.stride)
        commands.scratch.mark(f"{name}.second", name, _SECOND)
        for block in (name, f"{name}.second"):  # a sequence that ends early reads it from either
            commands.call(commands.head, "clear", block, carry.stride, Address("batch"), carry.stride)
            if has_final:
                self._move(
                    commands, commands.head, block, carry.stride, f"final_gradient{number}", width, "order", width
                )
        if needs_gradient:
            to = f"gradient{self.sequences + number}"
            self._move(commands, commands.tail, to, width, f"{name}.second", carry.stride, "back", width)

    def _move(
        self,
        commands: CommandBuffer,
        jobs: CommandList,
        to: str,
        stride: int,
        source: str,
        apart: int,
        index: str,
        width: int,
    ) -> None:
        """Copy a row for each sequence; through an index where the sequences stand in another order."""
        if commands.arrangement == "padded":
            commands.gather(jobs, to, stride, Address(source), apart, index, "batch", width)
        else:
            commands.call(jobs, "copy", to, stride, source, apart, Address("batch"), width)


def _gemm(strategy: Strategy, commands: CommandBuffer) -> Gemm | None:
    return None if strategy == "torch" else Parallel(commands) if strategy == "parallel" else Serial(commands)


def record_affine(program: Program, plain: AffineProlog, sequences: int, weights: Sequence[Tensor]) -> Recorder:
    """Return the recorder of a program whose prologue is affine."""
    if "plain" not in program.recorders:
        program.recorders["plain"] = Recorder(program, plain, sequences, [weight.shape for weight in weights])
    recorder: Recorder = program.recorders["plain"]
    return recorder


def record_bare(program: Program, inputs: int, vectors: Sequence[Tensor], matrices: Sequence[Tensor]) -> Recorder:
    """Return the recorder of a program whose inputs and vectors torch makes.

    Args:
        program: The program.
        inputs: Number of inputs of the loop.
        vectors: Of the loop, each (1, width).
        matrices: Of the loop; those that lie column by column are passed transposed.
    """
    transposed = tuple(not matrix.is_contiguous() for matrix in matrices)
    if transposed not in program.recorders:
        matrix_shapes = [
            matrix.shape[::-1] if flip else matrix.shape for matrix, flip in zip(matrices, transposed, strict=True)
        ]
        plain = bare(inputs, len(vectors), matrix_shapes, transposed)
        shapes = [*(vector.shape for vector in vectors), *matrix_shapes]
        program.recorders[transposed] = Recorder(program, plain, inputs, shapes, packed=True)
    recorder: Recorder = program.recorders[transposed]
    return recorder


def record_unhoisted(program: Program, vectors: Sequence[Tensor], matrices: Sequence[Tensor]) -> Recorder:
    """Return the recorder of a program whose loop reads the step's input itself.

    Args:
        program: Of the graphs' `unhoisted`.
        vectors: Of the loop, each (1, width).
        matrices: Of the loop, (depth, width).
    """
    if "unhoisted" not in program.recorders:
        shapes = [matrix.shape for matrix in matrices]
        inputs = len(program.graphs.before.inputs)
        plain = bare(inputs, len(vectors), shapes, [False] * len(shapes))
        program.recorders["unhoisted"] = Recorder(program, plain, inputs, [*(part.shape for part in vectors), *shapes])
    recorder: Recorder = program.recorders["unhoisted"]
    return recorder
