"""The frames of a program, one for each way to call it.

Everything that a call is given has a number: sequences first, then states, then weights. In jobs their names are
`given0`, `given1`, ..., and those of their gradients `gradient0`, ... The history of a state, or its two blocks, is
`state0`; `first0` is where the first state goes, `last0` where the last one stands, `final0` where that is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from unspool.engine.cpu.compile import Native
from unspool.engine.cpu.frame import Frame, Rows
from unspool.engine.cpu.gradients import write_gradients
from unspool.engine.cpu.jobs import At
from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.plain import Plain, bare
from unspool.engine.cpu.program import Program

__all__ = ["Around", "around_bare", "around_plain"]

_SMALL = 1_000_000
"""Multiplications over all steps at once, up to which they are jobs; from there on torch's products are faster."""


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
        return layout.rows * self._work <= _SMALL and layout.totals is None and not self.program.half

    @cached_property
    def _work(self) -> int:
        """Numbers in all matrices: as many multiplications a row has where each meets all rows once."""
        return sum(self.shapes[piece.weight][1] * (piece.stop - piece.start) for piece in self.plain.matrices)

    def forward(self, small: bool, full: bool) -> Frame:
        """The way forward where gradients are wanted; small problems are full."""
        key = "forward", small, full
        if key not in self._frames:
            self._frames[key] = self._make_forward(small, full)
        return self._frames[key]

    def inference(self, small: bool, full: bool) -> Frame:
        """The way forward where none are; packed matrices and vectors are given."""
        key = "inference", small, full
        if key not in self._frames:
            self._frames[key] = self._make_inference(small, full)
        return self._frames[key]

    def backward(self, small: bool, wanted: tuple[bool, ...], ended: tuple[bool, ...]) -> Frame:
        """The way back.

        Args:
            small: Whether products are jobs.
            wanted: Which of the things given get gradients.
            ended: Which last states have one.
        """
        key = small, wanted, ended
        if key not in self._frames:
            self._frames[key] = self._make_backward(small, wanted, ended)
        return self._frames[key]

    def _frame(self, native: Native) -> Frame:
        return Frame(self.program, native, self.plain, self.weights, self.shapes)

    def _make_forward(self, small: bool, full: bool) -> Frame:
        frame = self._frame(self.program.forward)
        frame.place_vectors()
        for number, width in enumerate(self.widths):
            if number not in self.program.shown:
                frame.kept.add(f"state{number}", "after", width)
        self._move_states(frame, full)
        for number, (given, matrix) in enumerate(self.plain.inputs):
            if small and matrix is not None:
                packed = frame.pack(frame.head, matrix, transposed=False)
                self._multiply_input(frame, number, packed, kept=f"input{number}" in self.program.read_back)
            else:
                frame.elsewhere[f"input{number}"] = f"given{given}" if matrix is None else f"input{number}"
        for product in frame.kernel.products:
            frame.pack(frame.head, product.matrix, product.transposed, product.packed)
        frame.place_rest(kept=self.program.read_back)
        frame.put_arguments()
        return frame

    def _make_inference(self, small: bool, full: bool) -> Frame:
        frame = self._frame(self.program.inference)
        for number, width in enumerate(self.widths):
            if number not in self.program.shown:
                frame.scratch.add(f"state{number}", "next", width)
        self._move_states(frame, full)
        for number, (given, matrix) in enumerate(self.plain.inputs):
            if small and matrix is not None:
                self._multiply_input(frame, number, f"packed{number}")
            else:
                frame.elsewhere[f"input{number}"] = f"given{given}" if matrix is None else f"input{number}"
        frame.elsewhere |= {f"vector{number}": f"vector{number}" for number in range(len(self.plain.sums))}
        frame.place_rest()
        frame.put_arguments()
        return frame

    def _move_states(self, frame: Frame, full: bool) -> None:
        """First states to where the loop finds them, and last ones to where they are wanted."""
        for number in self.program.shown or ["output"]:
            name = f"state{number}" if number in self.program.shown else "output0"
            frame.elsewhere[name] = name
        for number, width in enumerate(self.widths):
            given = f"given{self.sequences + number}"
            frame.call(frame.head, "copy", f"first{number}", width, given, width, At("batch"), width)
            if full:
                frame.call(frame.tail, "copy", f"final{number}", width, f"last{number}", width, At("batch"), width)

    def _multiply_input(self, frame: Frame, number: int, packed: str, *, kept: bool = False) -> None:
        given, matrix = self.plain.inputs[number]
        assert matrix is not None
        (depth, width), name = frame.matrix(matrix), f"input{number}"
        (frame.kept if kept else frame.scratch).add(name, "time", width)
        frame.multiply(frame.head, Rows(At(f"given{given}"), depth, depth), packed, Rows(At(name), width, width))

    def _make_backward(self, small: bool, wanted: tuple[bool, ...], ended: tuple[bool, ...]) -> Frame:
        frame = self._frame(self.program.backward)
        buffers = frame.kernel.buffers
        frame.place_vectors()
        for name in buffers:
            if name.startswith(("state", "saved", "input", "output_gradient")) and "input_gradient" not in name:
                frame.elsewhere[name] = name
        for number, (given, matrix) in enumerate(self.plain.inputs):
            uses = [used for used, _ in self.plain.inputs].count(given)
            if matrix is None:
                frame.elsewhere[f"input{number}"] = f"given{given}"
                # the loop writes it where it is wanted
                if wanted[given] and uses == 1 and f"input_gradient{number}" in buffers:
                    frame.elsewhere[f"input_gradient{number}"] = f"gradient{given}"
        for product in frame.kernel.products:
            frame.pack(frame.head, product.matrix, product.transposed, product.packed)
        frame.place_rest()
        for name, buffer in buffers.items():
            if buffer.rate == "part":
                frame.call(frame.head, "clear", name, buffer.stride, At("parts"), buffer.stride)
        for number, width in enumerate(self.widths):
            self._carry(frame, number, width, wanted[self.sequences + number], ended[number])
        frame.put_arguments()
        if small:
            write_gradients(frame, wanted)
        return frame

    def _carry(self, frame: Frame, number: int, width: int, wanted: bool, ended: bool) -> None:
        """The gradient of a last state to where the loop finds it, and that of the first to where it is wanted."""
        name, carry = f"carry{number}", frame.kernel.buffers.get(f"carry{number}")
        if carry is None:
            return
        for block in (name, f"{name}.second"):  # a sequence that ends early finds it in either
            frame.call(frame.head, "clear", block, carry.stride, At("batch"), carry.stride)
            if ended:
                given = f"final_gradient{number}"
                frame.call(frame.head, "copy", block, carry.stride, given, width, At("batch"), width)
        if wanted:
            to = f"gradient{self.sequences + number}"
            frame.call(frame.tail, "copy", to, width, f"{name}.second", carry.stride, At("batch"), width)


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
