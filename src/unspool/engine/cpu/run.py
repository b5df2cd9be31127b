"""Run compiled kernels: tensors for what they read and write, and gradients of all that they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.engine.cpu.around import Around
from unspool.engine.cpu.bound import Bound
from unspool.engine.cpu.frame import Frame
from unspool.engine.cpu.layout import Layout
from unspool.engine.cpu.memories import Memories
from unspool.engine.cpu.program import parts_of
from unspool.engine.cpu.schedule import Place

__all__ = ["infer", "train"]


def train(around: Around, layout: Layout, given: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Run over all steps, under autograd.

    Args:
        around: The program and what comes before its loop.
        layout: How the batch lies.
        given: The step's input and context of all steps, each (rows, width) or (steps, batch, width); the states before
            the first step, each (batch, width); the weights.

    Returns:
        Outputs, shaped as the first sequences are, and the last states, each (batch, width).
    """
    outputs, *final = _Unrolled.apply(around, layout, *given)  # type: ignore[no-untyped-call]
    return outputs, final


def infer(
    around: Around,
    layout: Layout,
    sequences: Sequence[Tensor],
    states: Sequence[Tensor],
    owned: Sequence[Tensor],
    weights: Bound,
) -> tuple[Tensor, list[Tensor]]:
    """The same where no gradient is wanted; `weights` are the ones that are owned, made ready."""
    program, plain, small = around.program, around.plain, around.small(layout)
    frame = around.inference(small, layout.totals is None)
    lying = [part.contiguous() for part in (*sequences, *states)]
    flat = [_flat(part) for part in lying[: len(sequences)]]
    made = {} if small else plain.products(flat, owned, half=program.half)
    held = {product.packed: weights.packed(product.matrix, product.transposed) for product in frame.kernel.products}
    held |= {f"vector{number}": part for number, part in enumerate(weights.vectors(program.plan.before))}
    if small:
        held |= {
            f"packed{number}": weights.packed(matrix, False)
            for number, (_, matrix) in enumerate(plain.inputs)
            if matrix is not None
        }
    outputs, final, *_ = _forward(around, frame, layout, lying, {**made, **held}, program.shown)
    return outputs, final


class _Forward(NamedTuple):
    """What a way forward leaves."""

    outputs: Tensor
    final: list[Tensor]
    shown: Tensor
    """The history of the state that is the output, or the outputs."""
    kept: Tensor
    """What is read on the way back."""


def _forward(
    around: Around,
    frame: Frame,
    layout: Layout,
    given: Sequence[Tensor],
    held: Mapping[str, Tensor],
    history: frozenset[int],
) -> _Forward:
    """Run forward.

    Args:
        around: The program and what comes before its loop.
        frame: Of the way forward.
        layout: How the batch lies.
        given: Sequences, states and weights without gaps.
        held: Further memories by name.
        history: The states that are kept for all steps.
    """
    program, like = around.program, given[0]
    full, size, width = layout.totals is None, program.dtype.itemsize, program.output_width
    parts = parts_of(frame.kernel, layout.rows, layout.batch)
    values = dict(layout.numbers(parts))
    for number, part in enumerate(given):
        values[f"given{number}"] = part.data_ptr()
    for name, part in held.items():
        values[name] = part.data_ptr()
    kept, scratch = frame.kept.take(like, layout, parts), frame.scratch.take(like, layout, parts)
    values |= frame.kept.locate(kept, layout, parts)
    values |= frame.scratch.locate(scratch, layout, parts)
    (first,) = program.shown or (None,)
    shown = like.new_empty(layout.rows + (0 if first is None else layout.batch), width)
    values["output0" if first is None else f"state{first}"] = shown.data_ptr()
    final = []
    for number, width_of in enumerate(around.widths):
        start, row = values[f"state{number}"], width_of * size
        values[f"first{number}"] = start + row * layout.initial * (number in history)
        if full:
            last = layout.final if number in history else layout.final_of_two
            assert isinstance(last, slice)
            part = like.new_empty(layout.batch, width_of)
            values[f"last{number}"], values[f"final{number}"] = start + row * last.start, part.data_ptr()
            final.append(part)
    frame.run(values)
    if not full:
        blocks = _Blocks(frame, layout, parts, {f"state{first}": shown}, (frame.kept, kept), (frame.scratch, scratch))
        ends = [layout.final if number in history else layout.final_of_two for number in range(len(around.widths))]
        final = [blocks[f"state{number}"][end] for number, end in enumerate(ends)]
    begin = 0 if first is None else layout.after.start * width
    shape = (*given[0].shape[:-1], width) if around.sequences else (layout.rows, width)
    strides = (layout.batch * width, width, 1) if len(shape) == 3 else (width, 1)
    return _Forward(shown.as_strided(shape, strides, begin), final, shown, kept)


class _Blocks:
    """The memories of a call as tensors, by name.

    Args:
        frame: Of the call.
        layout: How the batch lies.
        parts: In how many parts it is cut.
        held: Memories that are tensors of their own.
        blocks: The others: what lies where, and the block.
    """

    def __init__(
        self, frame: Frame, layout: Layout, parts: int, held: Mapping[str, Tensor], *blocks: tuple[Memories, Tensor]
    ) -> None:
        self._frame, self._layout, self._parts, self._held, self._blocks = frame, layout, parts, held, blocks

    def get(self, memory: str) -> Tensor | None:
        """A memory of the kernel, (rows, stride), if there is one of that name."""
        name = self._frame.at(memory).name
        if name in self._held:
            return _flat(self._held[name])
        for memories, block in self._blocks:
            if name in memories:
                return memories.view(block, name, self._layout, self._parts)
        return None

    def __getitem__(self, memory: str) -> Tensor:
        found = self.get(memory)
        assert found is not None, memory
        return found

    def columns(self, place: Place, width: int) -> Tensor:
        """What stood at a place at every step, (rows, width)."""
        rate, found = place.buffer.rate, self[place.buffer.name]
        if rate in ("before", "after"):
            found = found[self._layout.before if rate == "before" else self._layout.after]
        return found[:, place.column : place.column + width]


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, around: Around, layout: Layout, *given: Tensor) -> Any:
        plain, program, small = around.plain, around.program, around.small(layout)
        lying = [part.contiguous() for part in given]
        rows, owned = lying[: around.sequences], given[around.weights :]
        frame = around.forward(small, layout.totals is None)
        made = {} if small else plain.products([_flat(part) for part in rows], owned, half=program.half)
        outputs, final, shown, kept = _forward(around, frame, layout, lying, made, program.states)
        inputs = {name: part for name, part in made.items() if name in program.read_back}
        ctx.save_for_backward(*rows, *owned, shown, kept, *inputs.values())
        ctx.around, ctx.layout, ctx.small, ctx.inputs = around, layout, small, list(inputs)
        ctx.shapes = [part.shape for part in given]
        ctx.set_materialize_grads(False)
        return outputs, *final

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Any:
        like = next((part for part in (outputs, *final) if part is not None), None)
        if like is None:
            return (None,) * (2 + len(ctx.shapes))
        gradients = _backward(ctx, like, outputs, final)
        return None, None, *gradients


def _backward(ctx: Any, like: Tensor, outputs: Tensor | None, final: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Run backward; the gradients of everything that was given."""
    around, layout, saved = ctx.around, ctx.layout, ctx.saved_tensors
    program, plain = around.program, around.plain
    count, end = around.sequences, around.sequences + len(around.shapes)
    rows, owned, (shown, kept, *inputs) = saved[:count], saved[count:end], saved[end:]
    wanted = ctx.needs_input_grad[2:]
    frame = around.backward(ctx.small, wanted, tuple([part is not None for part in final]))
    memories = around.forward(ctx.small, layout.totals is None).kept
    if outputs is None:
        outputs = like.new_zeros(layout.rows, program.output_width)
    held = {"output_gradient0": outputs.contiguous(), **dict(zip(ctx.inputs, inputs, strict=True))}
    held |= {f"state{number}": shown for number in program.shown}
    lying = [part.contiguous() for part in owned]  # held until the jobs are done
    held |= {f"given{number}": part for number, part in enumerate(rows)}
    held |= {f"given{around.weights + number}": part for number, part in enumerate(lying)}
    held |= {f"final_gradient{number}": part.contiguous() for number, part in enumerate(final) if part is not None}
    gradients = {number: like.new_empty(ctx.shapes[number]) for number in frame.written}
    held |= {f"gradient{number}": part for number, part in gradients.items()}
    parts = parts_of(frame.kernel, layout.rows, layout.batch)
    scratch = frame.scratch.take(like, layout, parts)
    values = dict(layout.numbers(parts))
    values |= memories.locate(kept, layout, parts)
    values |= frame.scratch.locate(scratch, layout, parts)
    for name, part in held.items():
        values[name] = part.data_ptr()
    size = program.dtype.itemsize
    for number, width in enumerate(around.widths):
        if isinstance(layout.before, slice) and f"state{number}" in values:
            start, row = values[f"state{number}"], width * size
            values[f"state{number}.before"] = start + row * layout.before.start
            values[f"state{number}.after"] = start + row * layout.after.start
        carry = frame.kernel.buffers.get(f"carry{number}")
        if carry is not None:
            values[f"carry{number}.second"] = values[f"carry{number}"] + size * layout.batch * carry.stride
    frame.run(values)
    found = [gradients.get(number) for number in range(len(ctx.shapes))]
    if not ctx.small:
        blocks = _Blocks(frame, layout, parts, held, (memories, kept), (frame.scratch, scratch))
        asked = [*wanted[:count], *wanted[around.weights :]]
        products = [
            (outer.matrix, blocks.columns(outer.left, outer.depth), blocks.columns(outer.right, outer.width))
            for outer in frame.kernel.outers
            if wanted[around.weights + plain.matrices[outer.matrix].weight]
        ]
        flat = [_flat(part) for part in rows]
        made = plain.gradients(blocks.get, flat, owned, products, asked, half=program.half)
        for number, part in zip([*range(count), *range(around.weights, len(found))], made, strict=True):
            if found[number] is None and part is not None:
                found[number] = part.reshape(ctx.shapes[number])
    return found


def _flat(part: Tensor) -> Tensor:
    return part.view(-1, part.shape[-1])
