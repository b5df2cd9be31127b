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

from unspool.engine.cpu.compile import Native, uncollected
from unspool.engine.cpu.frame import Frame, Rows
from unspool.engine.cpu.gradients import write_gradients
from unspool.engine.cpu.jobs import At
from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.memories import Memories
from unspool.engine.cpu.overall import InTiles, OnVectors, Overall, Way
from unspool.engine.cpu.plain import Plain, bare
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.threads import team, threads

__all__ = ["Around", "around_bare", "around_plain"]

_SMALL = 10_000_000
"""Multiplications over all steps at once up to which they are jobs, of one thread; torch shares larger products out,
so with more threads it is the faster one sooner."""
_HIGHER = 4
"""As many times more columns than rows may a product have whose matrix is cut up before."""


def _start(rows: slice | Tensor) -> int:
    assert isinstance(rows, slice), "a ragged batch has no block of such rows"
    found: int = rows.start
    return found


# Rows of the history of a state, or of its two blocks.
_FIRST, _FIRST_OF_TWO = attrgetter("initial"), lambda layout: 0
_SECOND = attrgetter("batch")
_LAST, _LAST_OF_TWO, _BEFORE, _AFTER = (
    lambda layout, of=attrgetter(name): _start(of(layout)) for name in ("final", "final_of_two", "before", "after")
)


class Around:
    """A program with what comes before its loop, and frames for both.

    Args:
        program: The program.
        plain: What comes before the loop.
        sequences: How many there are.
        shapes: Of the weights.
    """

    def __init__(self, program: Program, plain: Plain, sequences: int, shapes: Sequence[torch.Size]) -> None:
        self.program, self.plain, self.sequences, self.shapes = program, plain, sequences, tuple(shapes)
        self.widths = program.plan.widths
        self.weights = sequences + len(self.widths)
        """The number of the first weight."""
        self._frames: dict[object, Frame] = {}

    def small(self, layout: Layout) -> bool:
        """Whether products over all steps are jobs."""
        return layout.rows * self._work * threads() <= _SMALL and layout.totals is None and not self.program.half

    @cached_property
    def _work(self) -> int:
        """Numbers in all matrices: as many multiplications a row has where each meets all rows once."""
        return sum(self.shapes[piece.weight][1] * (piece.stop - piece.start) for piece in self.plain.matrices)

    def way(self, layout: Layout) -> Way:
        """How products over all steps are made where gradients are wanted."""
        if self.small(layout):
            return "vectors"
        full = layout.totals is None and self._narrow <= _HIGHER * layout.rows
        return "tiles" if full and self._tiled else "torch"

    @cached_property
    def _tiled(self) -> bool:
        """Whether there are tiles for such products, and a team of threads."""
        program = self.program
        return program.target.tiled and program.dtype is torch.float32 and not program.half and team().start != 0

    @cached_property
    def _narrow(self) -> int:
        """The largest width of all matrices before the loop."""
        frame_sizes = [self.shapes[piece.weight] for piece in self.plain.matrices]
        return max((max(size) for size in frame_sizes), default=0)

    def forward(self, way: Way, layout: Layout) -> Frame:
        """The way forward where gradients are wanted; where products are jobs, batches are full."""
        key = "forward", way, layout.totals is None, self._tiles(self.program.forward, way == "vectors", layout)
        return self._found(key, self._make_forward, *key[1:])

    def inference(self, small: bool, layout: Layout) -> Frame:
        """The way forward where none are; packed matrices and vectors are given."""
        key = "inference", small, layout.totals is None, self._tiles(self.program.inference, small, layout)
        return self._found(key, self._make_inference, *key[1:])

    def backward(self, way: Way, layout: Layout, wanted: tuple[bool, ...], ended: tuple[bool, ...]) -> Frame:
        """The way back.

        Args:
            way: How products over all steps are made.
            layout: How the batch lies.
            wanted: Which of the things given get gradients.
            ended: Which last states have one.
        """
        key = way, wanted, ended, self._tiles(self.program.backward, way == "vectors", layout)
        return self._found(key, self._make_backward, *key)

    def _found(self, key: object, make: Callable[..., Frame], *arguments: Any) -> Frame:
        if key not in self._frames:
            with uncollected():
                self._frames[key] = make(*arguments)
        return self._frames[key]

    def _tiles(self, native: Native, small: bool, layout: Layout) -> int:
        return 0 if small else self.program.tiles(native.kernel, layout.steps, layout.rows, layout.batch)

    def _frame(self, native: Native, tiles: int) -> Frame:
        return Frame(self.program, native, self.plain, self.weights, self.shapes, tiles)

    def _make_forward(self, way: Way, full: bool, tiles: int) -> Frame:
        frame = self._frame(self.program.forward, tiles)
        overall = _overall(way, frame)
        frame.tensors += [f"given{number}" for number in range(self.weights + len(self.shapes))]
        self._place_states(frame, frame.kept, self.program.states, full)
        frame.place_vectors()
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or overall is None:
                self._place_input(frame, number)
                continue
            to = self._room_for_input(frame, number, kept=f"input{number}" in self.program.read_back)
            overall.layer(frame.head, self._rows(frame, number), matrix, False, to)
        for product in frame.kernel.products:
            frame.pack(frame.head, product.matrix, product.transposed, product.packed)
        frame.place_rest(kept=self.program.read_back)
        return frame.finish()

    def _make_inference(self, small: bool, full: bool, tiles: int) -> Frame:
        frame = self._frame(self.program.inference, tiles)
        frame.tensors += [f"given{number}" for number in range(self.weights)]
        self._place_states(frame, frame.scratch, self.program.shown, full)
        frame.tensors += [f"vector{number}" for number in range(len(self.plain.sums))]
        frame.tensors += [product.packed for product in frame.kernel.products]
        for number, (_, matrix) in enumerate(self.plain.inputs):
            if matrix is None or not small:
                self._place_input(frame, number)
                continue
            frame.tensors.append(f"packed{number}")
            to = self._room_for_input(frame, number)
            frame.multiply(frame.head, self._rows(frame, number), f"packed{number}", to)
        frame.place_rest()
        return frame.finish()

    def _place_states(self, frame: Frame, others: Memories, history: Collection[int], full: bool) -> None:
        """Room for states; the first ones are brought there, and the last ones to where they are wanted."""
        if not self.program.shown:
            frame.shown.add("output0", "time", self.program.output_width)
        for number, width in enumerate(self.widths):
            name, given = f"state{number}", f"given{self.sequences + number}"
            memories = frame.shown if number in self.program.shown else others
            memories.add(name, "after" if number in history else "next", width)
            memories.mark(f"first{number}", name, _FIRST if number in history else _FIRST_OF_TWO)
            frame.call(frame.head, "copy", f"first{number}", width, given, width, At("batch"), width)
            if full:
                memories.mark(f"last{number}", name, _LAST if number in history else _LAST_OF_TWO)
                memories.mark(f"{name}.before", name, _BEFORE)
                memories.mark(f"{name}.after", name, _AFTER)
                frame.tensors.append(f"final{number}")
                frame.call(frame.tail, "copy", f"final{number}", width, f"last{number}", width, At("batch"), width)

    def _place_input(self, frame: Frame, number: int) -> None:
        """An input of the loop that is as it is given, or made by torch."""
        given, matrix = self.plain.inputs[number]
        if matrix is None:
            frame.elsewhere[f"input{number}"] = f"given{given}"
        else:
            frame.tensors.append(f"input{number}")

    def _rows(self, frame: Frame, number: int) -> Rows:
        """What is multiplied to make an input of the loop."""
        given, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        depth, _ = frame.matrix(matrix)
        return Rows(At(f"given{given}"), depth, depth)

    def _room_for_input(self, frame: Frame, number: int, *, kept: bool = False) -> Rows:
        _, matrix = self.plain.inputs[number]
        assert matrix is not None, "it is as it is given"
        _, width = frame.matrix(matrix)
        (frame.kept if kept else frame.scratch).add(f"input{number}", "time", width)
        return Rows(At(f"input{number}"), width, width)

    def _make_backward(self, way: Way, wanted: tuple[bool, ...], ended: tuple[bool, ...], tiles: int) -> Frame:
        full = way != "torch"
        forward = self._found(("forward", way, full, 0), self._make_forward, way, full, 0)
        frame = self._frame(self.program.backward, tiles)
        frame.kept, frame.shown = forward.kept, forward.shown
        frame.blocks = [frame.scratch, frame.kept, frame.shown] if self.program.shown else [frame.scratch, frame.kept]
        frame.tensors += [f"given{number}" for number in range(self.sequences)]
        frame.tensors += [f"given{self.weights + number}" for number in range(len(self.shapes))]
        frame.tensors += ["output_gradient0", *(f"final_gradient{number}" for number, end in enumerate(ended) if end)]
        frame.tensors += self.made if way == "torch" else []
        frame.place_vectors()
        given = [used for used, _ in self.plain.inputs]
        for number, (used, matrix) in enumerate(self.plain.inputs):
            if matrix is None:
                frame.elsewhere[f"input{number}"] = f"given{used}"
                gradient = f"input_gradient{number}"
                if gradient in frame.kernel.buffers and wanted[used] and given.count(used) == 1:
                    frame.elsewhere[gradient] = f"gradient{used}"  # the loop writes it where it is wanted
        for product in frame.kernel.products:
            frame.pack(frame.head, product.matrix, product.transposed, product.packed)
        for number, width in enumerate(self.widths):
            self._carry(frame, number, width, wanted[self.sequences + number], ended[number])
        frame.place_rest()
        for name, buffer in frame.kernel.buffers.items():
            if buffer.rate == "part":
                frame.call(frame.head, "clear", name, buffer.stride, At("parts"), buffer.stride)
        write_gradients(frame, wanted, _overall(way, frame))
        names = {*frame.elsewhere.values(), *frame.head.names(), *frame.tail.names()}
        frame.written = [number for number in range(len(wanted)) if f"gradient{number}" in names]
        frame.tensors += [f"gradient{number}" for number in frame.written]
        return frame.finish()

    @cached_property
    def made(self) -> list[str]:
        """The loop's inputs that are products, where they are wanted on the way back."""
        names = [f"input{number}" for number, (_, matrix) in enumerate(self.plain.inputs) if matrix is not None]
        return [name for name in names if name in self.program.read_back]

    def _carry(self, frame: Frame, number: int, width: int, wanted: bool, ended: bool) -> None:
        """The gradient of a last state to where the loop finds it, and that of the first to where it is wanted."""
        name, carry = f"carry{number}", frame.kernel.buffers.get(f"carry{number}")
        if carry is None:
            return
        frame.scratch.add(name, carry.rate, carry.stride)
        frame.scratch.mark(f"{name}.second", name, _SECOND)
        for block in (name, f"{name}.second"):  # a sequence that ends early finds it in either
            frame.call(frame.head, "clear", block, carry.stride, At("batch"), carry.stride)
            if ended:
                given = f"final_gradient{number}"
                frame.call(frame.head, "copy", block, carry.stride, given, width, At("batch"), width)
        if wanted:
            to = f"gradient{self.sequences + number}"
            frame.call(frame.tail, "copy", to, width, f"{name}.second", carry.stride, At("batch"), width)


def _overall(way: Way, frame: Frame) -> Overall | None:
    return None if way == "torch" else InTiles(frame) if way == "tiles" else OnVectors(frame)


def around_plain(program: Program, plain: Plain, sequences: int, weights: Sequence[Tensor]) -> Around:
    """A program whose plan says that what comes before its loop is plain."""
    if "plain" not in program.arounds:
        program.arounds["plain"] = Around(program, plain, sequences, [weight.shape for weight in weights])
    found: Around = program.arounds["plain"]
    return found


def around_bare(program: Program, inputs: int, vectors: Sequence[Tensor], matrices: Sequence[Tensor]) -> Around:
    """A program whose inputs and vectors are made by torch; `matrices` that lie column by column are given turned."""
    turned = tuple(not matrix.is_contiguous() for matrix in matrices)
    if turned not in program.arounds:
        lying = [matrix.shape[::-1] if turn else matrix.shape for matrix, turn in zip(matrices, turned, strict=True)]
        plain = bare(inputs, len(vectors), lying, turned)
        program.arounds[turned] = Around(program, plain, inputs, [*(vector.shape for vector in vectors), *lying])
    found: Around = program.arounds[turned]
    return found
