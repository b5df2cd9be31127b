"""The frames of a program, one for each way to call it.

Everything that a call is given has a number: sequences first, then states, then weights. In jobs their names are
`given0`, `given1`, ..., and those of their gradients `gradient0`, ... The history of a state, or its two blocks, is
`state0`; `first0` is where the first state goes, `last0` where the last one stands, `final0` where that is wanted.
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
from unspool.engine.cpu.launch.gemm_commands import Gemm, Serial, Strategy, Together
from unspool.engine.cpu.launch.weight_gradients import write_gradients
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.batch_layout import Given, Layout
from unspool.engine.cpu.runtime.thread_team import threads
from unspool.engine.cpu.runtime.workspace import Workspace

__all__ = ["Recorder", "record_affine", "record_bare"]

_INWARD, _OUTWARD = "output_gradient0", "outward_gradient"
"""The gradient of the outputs as the loop reads it, and as it is given with padding."""

# Rows of the history of a state, or of its two blocks.
_FIRST, _FIRST_OF_TWO = attrgetter("initial"), lambda layout: 0
_SECOND = attrgetter("batch")
_LAST, _LAST_OF_TWO, _BEFORE, _AFTER = map(attrgetter, ("final", "final_of_two", "before", "after"))


class Recorder:
    """A program with what comes before its loop, and frames for both.

    Args:
        program: The program.
        plain: What comes before the loop.
        sequences: How many there are.
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
        self._frames: dict[object, CommandBuffer] = {}
        self._last: tuple[Layout, object, tuple[Strategy, CommandBuffer, Binding]] | None = None
        self._last_back: tuple[Layout, object, tuple[CommandBuffer, Binding]] | None = None

    @cached_property
    def _work(self) -> int:
        """Numbers in all matrices: as many multiplications a row has where each meets all rows once."""
        return sum(self.shapes[piece.weight][1] * (piece.stop - piece.start) for piece in self.plain.matrices)

    def way(self, layout: Layout) -> Strategy:
        """How products over all steps are made."""
        if self.program.half or (self._packed and layout.ragged):
            return "torch"
        policy = self.program.policy
        if layout.rows * self._work * threads() <= policy.serial_work:
            return "alone"
        blocked = self.program.team.start and self._widest <= policy.blocked_ratio * layout.rows
        return "together" if blocked else "torch"

    def given(self, layout: Layout) -> Given:
        """How sequences come to the loop."""
        if not layout.ragged:
            return "full"
        return "packed" if self.way(layout) == "torch" else "padded"

    @cached_property
    def _widest(self) -> int:
        """The largest dimension of all matrices."""
        return max((max(self.shapes[piece.weight]) for piece in self.plain.matrices), default=0)

    def forward(self, layout: Layout) -> tuple[Strategy, CommandBuffer, Binding]:
        """How to go forward where gradients are wanted; the last answer is remembered."""
        last, crew = self._last, (threads(), self.program.crowd.crowded())
        if last is None or last[0] is not layout or last[1] != crew:
            way = self.way(layout)
            key = "forward", way, self.given(layout), self._tiles(self.program.forward, way == "alone", layout)
            commands = self._found(key, self._make_forward, *key[1:])
            last = layout, crew, (way, commands, commands.lay_out(layout))
            self._last = None if layout.ragged else last
        return last[2]

    def inference(self, way: Strategy, layout: Layout) -> CommandBuffer:
        """The way forward where none are; packed matrices and vectors are given."""
        tiles = self._tiles(self.program.inference, way == "alone", layout)
        key = "inference", way, self.given(layout), tiles
        return self._found(key, self._make_inference, *key[1:])

    def backward(
        self, way: Strategy, given: Given, layout: Layout, wanted: tuple[bool, ...], ended: tuple[bool, ...]
    ) -> tuple[CommandBuffer, Binding]:
        """The way back; the last answer is remembered.

        Args:
            way: How products over all steps were made on the way forward, whatever the number of threads is now.
            given: How sequences came to the loop there.
            layout: How the batch lies.
            wanted: Which of the things given get gradients.
            ended: Which last states have one.
        """
        last, call = self._last_back, (way, given, threads(), self.program.crowd.crowded(), wanted, ended)
        if last is None or last[0] is not layout or last[1] != call:
            tiles = self._tiles(self.program.backward, way == "alone", layout)
            key = way, given, wanted, ended, tiles
            commands = self._found(key, self._make_backward, *key)
            last = layout, call, (commands, commands.lay_out(layout))
            self._last_back = None if layout.ragged else last  # which hardly ever comes again
        return last[2]

    def _found(self, key: object, make: Callable[..., CommandBuffer], *arguments: Any) -> CommandBuffer:
        if key not in self._frames:
            with uncollected():
                self._frames[key] = make(*arguments)
        return self._frames[key]

    def _tiles(self, native: Native, small: bool, layout: Layout) -> int:
        return 0 if small else self.program.tiles(native.kernel, layout.steps, layout.rows, layout.batch)

    def _frame(self, native: Native, tiles: int, given: Given) -> CommandBuffer:
        return CommandBuffer(self.program, native, self.plain, self.weights, self.shapes, tiles, given)

    def _make_forward(self, way: Strategy, given: Given, tiles: int) -> CommandBuffer:
        commands = self._frame(self.program.forward, tiles, given)
        overall = _overall(way, commands)
        commands.tensors += [f"given{number}" for number in range(self.weights + len(self.shapes))]
        self._place_states(commands, commands.kept, self.program.states)
        commands.place_vectors()
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or overall is None:
                self._place_input(commands, number)
                continue
            to = self._room_for_input(commands, number, kept=f"input{number}" in self.program.read_back)
            overall.layer(commands.head, self._rows(commands, number), matrix, False, to)
        for product in commands.kernel.products:
            commands.pack(commands.head, product.matrix, product.transposed, product.packed)
        commands.place_rest(kept=self.program.read_back)
        return commands.finish()

    def _make_inference(self, way: Strategy, given: Given, tiles: int) -> CommandBuffer:
        commands = self._frame(self.program.inference, tiles, given)
        overall = _overall(way, commands)
        commands.tensors += [f"given{number}" for number in range(self.weights)]
        self._place_states(commands, commands.scratch, self.program.shown)
        commands.tensors += [f"vector{number}" for number in range(len(self.plain.sums))]
        commands.tensors += [product.packed for product in commands.kernel.products]
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or overall is None:
                self._place_input(commands, number)
                continue
            commands.tensors.append(f"packed{number}")
            to, rows = self._room_for_input(commands, number), self._rows(commands, number)
            overall.ready_layer(commands.head, rows, f"packed{number}", to)
        commands.place_rest()
        return commands.finish()

    def _place_states(self, commands: CommandBuffer, others: Workspace, history: Collection[int]) -> None:
        """Room for states; the first ones are brought there, and the last ones and outputs to where they are wanted."""
        if not self.program.shown:
            commands.shown.add("output0", "time", self.program.output_width)
        for number, width in enumerate(self.widths):
            name, given = f"state{number}", f"given{self.sequences + number}"
            memories = commands.shown if number in self.program.shown else others
            memories.add(name, "after" if number in history else "next", width)
            memories.mark(f"first{number}", name, _FIRST if number in history else _FIRST_OF_TWO)
            self._move(commands, commands.head, f"first{number}", width, given, width, "order", width)
            if commands.given == "packed":
                continue
            final = f"final{number}"
            commands.tensors.append(final)
            memories.mark(f"{name}.after", name, _AFTER)
            if commands.given == "padded":
                ends = "ends" if number in history else "ends_of_two"
                commands.gather(commands.tail, final, width, Address(name), width, ends, "batch", width)
            else:
                memories.mark(f"last{number}", name, _LAST if number in history else _LAST_OF_TWO)
                memories.mark(f"{name}.before", name, _BEFORE)
                commands.call(commands.tail, "copy", final, width, f"last{number}", width, Address("batch"), width)
        if commands.given == "padded":
            width = self.program.output_width
            rows = next((f"state{number}.after" for number in self.program.shown), "output0")
            commands.tensors.append("outputs")
            commands.gather(commands.tail, "outputs", width, Address(rows), width, "spots", "padded", width)

    def _place_input(self, commands: CommandBuffer, number: int) -> None:
        """An input of the loop that is as it is given, or made by torch."""
        if self.plain.inputs[number].matrix is None:
            self._place_given(commands, number)
        else:
            commands.tensors.append(f"input{number}")

    def _place_given(self, commands: CommandBuffer, number: int) -> None:
        """An input of the loop that is as it is given."""
        name, (given, _) = f"input{number}", self.plain.inputs[number]
        if name in commands.kernel.buffers:
            commands.elsewhere[name] = commands.sequence(given, commands.kernel.buffers[name].stride)

    def _rows(self, commands: CommandBuffer, number: int) -> Rows:
        """What is multiplied to make an input of the loop."""
        given, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        depth, _ = commands.matrix(matrix)
        return Rows(Address(commands.sequence(given, depth)), depth, depth)

    def _room_for_input(self, commands: CommandBuffer, number: int, *, kept: bool = False) -> Rows:
        _, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        _, width = commands.matrix(matrix)
        (commands.kept if kept else commands.scratch).add(f"input{number}", "time", width)
        return Rows(Address(f"input{number}"), width, width)

    def _make_backward(
        self, way: Strategy, given: Given, wanted: tuple[bool, ...], ended: tuple[bool, ...], tiles: int
    ) -> CommandBuffer:
        forward = self._found(("forward", way, given, 0), self._make_forward, way, given, 0)
        commands = self._frame(self.program.backward, tiles, given)
        commands.kept, commands.shown = forward.kept, forward.shown
        commands.blocks = (
            [commands.scratch, commands.kept, commands.shown]
            if self.program.shown
            else [commands.scratch, commands.kept]
        )
        commands.tensors += [f"given{number}" for number in range(self.sequences)]
        commands.tensors += [f"given{self.weights + number}" for number in range(len(self.shapes))]
        commands.tensors += [_OUTWARD if given == "padded" else _INWARD]
        commands.tensors += [f"final_gradient{number}" for number, end in enumerate(ended) if end]
        commands.tensors += self.made if way == "torch" else []
        commands.place_vectors()
        uses = [used for used, _ in self.plain.inputs]
        for number, (used, matrix) in enumerate(self.plain.inputs):
            if matrix is None:
                self._place_given(commands, number)
                gradient = f"input_gradient{number}"
                alone = uses.count(used) == 1 and given != "padded"
                if gradient in commands.kernel.buffers and wanted[used] and alone:
                    commands.elsewhere[gradient] = f"gradient{used}"  # the loop writes it where it is wanted
        for product in commands.kernel.products:
            commands.pack(commands.head, product.matrix, product.transposed, product.packed)
        for number, width in enumerate(self.widths):
            self._carry(commands, number, width, wanted[self.sequences + number], ended[number])
        commands.place_rest()
        width = self.program.output_width
        if given == "padded" and _INWARD in commands.kernel.buffers:
            commands.gather(commands.head, _INWARD, width, Address(_OUTWARD), width, "places", "rows", width)
        for buffer in commands.kernel.summed:
            commands.call(commands.head, "clear", buffer.name, buffer.stride, Address("parts"), buffer.stride)
        write_gradients(commands, wanted, _overall(way, commands))
        names = {*commands.elsewhere.values(), *commands.head.names(), *commands.tail.names()}
        commands.written = [number for number in range(len(wanted)) if f"gradient{number}" in names]
        commands.tensors += [f"gradient{number}" for number in commands.written]
        return commands.finish()

    @cached_property
    def made(self) -> list[str]:
        """The loop's inputs that are products, where they are wanted on the way back."""
        names = [f"input{number}" for number, (_, matrix) in enumerate(self.plain.inputs) if matrix is not None]
        return [name for name in names if name in self.program.read_back]

    def _carry(self, commands: CommandBuffer, number: int, width: int, wanted: bool, ended: bool) -> None:
        """The gradient of a last state to where the loop finds it, and that of the first to where it is wanted."""
        name, carry = f"carry{number}", commands.kernel.buffers.get(f"carry{number}")
        if carry is None:
            return
        commands.scratch.add(name, carry.rate, carry.stride)
        commands.scratch.mark(f"{name}.second", name, _SECOND)
        for block in (name, f"{name}.second"):  # a sequence that ends early finds it in either
            commands.call(commands.head, "clear", block, carry.stride, Address("batch"), carry.stride)
            if ended:
                self._move(
                    commands, commands.head, block, carry.stride, f"final_gradient{number}", width, "order", width
                )
        if wanted:
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
        """A number of rows for each sequence to where it is, or in the order of an index where that is another one."""
        if commands.given == "padded":
            commands.gather(jobs, to, stride, Address(source), apart, index, "batch", width)
        else:
            commands.call(jobs, "copy", to, stride, source, apart, Address("batch"), width)


def _overall(way: Strategy, commands: CommandBuffer) -> Gemm | None:
    return None if way == "torch" else Together(commands) if way == "together" else Serial(commands)


def record_affine(program: Program, plain: AffineProlog, sequences: int, weights: Sequence[Tensor]) -> Recorder:
    """A program whose plan says that what comes before its loop is plain."""
    if "plain" not in program.recorders:
        program.recorders["plain"] = Recorder(program, plain, sequences, [weight.shape for weight in weights])
    found: Recorder = program.recorders["plain"]
    return found


def record_bare(program: Program, inputs: int, vectors: Sequence[Tensor], matrices: Sequence[Tensor]) -> Recorder:
    """A program whose inputs and vectors are made by torch; `matrices` that lie column by column are given turned."""
    turned = tuple(not matrix.is_contiguous() for matrix in matrices)
    if turned not in program.recorders:
        lying = [matrix.shape[::-1] if turn else matrix.shape for matrix, turn in zip(matrices, turned, strict=True)]
        plain = bare(inputs, len(vectors), lying, turned)
        shapes = [*(vector.shape for vector in vectors), *lying]
        program.recorders[turned] = Recorder(program, plain, inputs, shapes, packed=True)
    found: Recorder = program.recorders[turned]
    return found
