"""Run compiled kernels: tensors for what they read and write, and gradients of all that they were given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unspool.engine.compiler.loops.loop_ir import Place
from unspool.engine.cpu.launch.command_buffer import Form, Frame
from unspool.engine.cpu.launch.gemm_commands import Way
from unspool.engine.cpu.launch.packed_weights import Bound
from unspool.engine.cpu.launch.record import Around
from unspool.engine.cpu.runtime.batch_layout import Layout
from unspool.engine.cpu.runtime.memory_pool import room, room_like
from unspool.engine.cpu.runtime.torch_prologue import input_products, prologue_gradients

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
    outputs, *final = _apply(around, layout, *given)
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
    program, plain, way = around.program, around.plain, around.way(layout)
    frame = around.inference(way, layout)
    given = [part.contiguous() for part in (*sequences, *states)]
    ready = weights.ready(frame, partial(_ready, around, frame, weights, way))
    if way == "torch":
        flat = [_flat(part) for part in given[: around.sequences]]
        ready = [*ready, *input_products(plain, flat, owned, half=program.half).values()]
    form = frame.lay_out(layout)
    outputs, final, _ = _forward(around, frame, form, program.shown, given, ready)
    return outputs, final


def _ready(around: Around, frame: Frame, weights: Bound, way: Way) -> list[Tensor]:
    """What the way forward without gradients wants of the weights."""
    found = weights.vectors(around.program.plan.before)
    found += [weights.packed(product.matrix, product.transposed, frame.tiles) for product in frame.kernel.products]
    if way != "torch":
        tiles = around.program.cut if way == "together" else 0
        matrices = [matrix for _, matrix in around.plain.inputs if matrix is not None]
        found += [weights.packed(matrix, transposed=False, tiles=tiles) for matrix in matrices]
    return found


def _forward(
    around: Around,
    frame: Frame,
    form: Form,
    history: Collection[int],
    given: Sequence[Tensor],
    others: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run forward.

    Args:
        around: The program and what comes before its loop.
        frame: Of the way forward.
        form: Of the call.
        history: The states that are kept for all steps.
        given: Sequences, states and weights, without gaps.
        others: What else the frame wants.

    Returns:
        Outputs, shaped as the first sequences are; the last states; and the blocks of the call.
    """
    like, layout = given[0], form.layout
    (scratch, _), (kept, _), (shown, _) = form.blocks
    blocks = [room(like.dtype, scratch), room(like.dtype, kept), like.new_empty(shown)]
    widths, width = around.widths, around.program.output_width
    final = [like.new_empty(layout.batch, part) for part in widths] if frame.given != "packed" else []
    if frame.given == "padded":
        outputs = room(like.dtype, *(given[0].shape[:-1] if around.sequences else (layout.padded,)), width)
        frame.run(form, blocks, (*given, *final, outputs, *others))
        return outputs, final, blocks
    frame.run(form, blocks, (*given, *final, *others))
    if not final:
        memories = _Tensors(frame, form, blocks, {})
        ends = ["sorted_ends" if number in history else "sorted_ends_of_two" for number in range(len(widths))]
        final = [memories[f"state{number}"][layout.index(end)] for number, end in enumerate(ends)]
    begin, (*lead, _) = layout.after * width if around.program.shown else 0, given[0].shape
    if not around.sequences:
        lead = [layout.rows]
    strides = (layout.batch * width, width, 1)[-1 - len(lead) :]
    return blocks[2].as_strided((*lead, width), strides, begin), final, blocks


class _Tensors:
    """The memories of a call as tensors, by name.

    Args:
        frame: Of the call.
        form: Of the call.
        blocks: Of the call.
        held: Memories that are tensors of their own.
    """

    def __init__(self, frame: Frame, form: Form, blocks: Sequence[Tensor], held: Mapping[str, Tensor]) -> None:
        self._frame, self._form, self._blocks, self._held = frame, form, blocks, held

    def get(self, memory: str) -> Tensor | None:
        """A memory of the kernel, (rows, stride), if there is one of that name."""
        name = self._frame.at(memory).name
        if name in self._held:
            return _flat(self._held[name])
        layout, (parts, _), _, blocks, _ = self._form
        for memories, block, (_, starts) in zip(self._frame.blocks, self._blocks, blocks, strict=True):
            if name in starts:
                return memories.view(block, name, starts[name], layout, parts)
        return None

    def __getitem__(self, memory: str) -> Tensor:
        found = self.get(memory)
        assert found is not None, memory
        return found

    def columns(self, place: Place, width: int) -> Tensor:
        """What stood at a place at every step, (rows, width)."""
        rate, layout, found = place.buffer.rate, self._form.layout, self[place.buffer.name]
        if rate in ("before", "after"):
            start = layout.before if rate == "before" else layout.after
            found = found[layout.index("previous")] if start is None else found[start : start + layout.rows]
        return found if width == found.shape[1] else found[:, place.column : place.column + width]


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, around: Around, layout: Layout, *given: Tensor) -> Any:
        plain, program, (way, frame, form) = around.plain, around.program, around.forward(layout)
        lying = [part.contiguous() for part in given]
        rows, owned = lying[: around.sequences], given[around.weights :]
        made = {} if way != "torch" else input_products(plain, [_flat(part) for part in rows], owned, half=program.half)
        outputs, final, (_, *kept) = _forward(around, frame, form, program.states, lying, tuple(made.values()))
        if not program.shown:
            kept.pop()  # the way back does not read the outputs
        ctx.save_for_backward(*rows, *owned, *kept, *([made[name] for name in around.made] if made else []))
        ctx.around, ctx.layout, ctx.way, ctx.given = around, layout, way, frame.given
        ctx.shapes = [part.shape for part in given]
        ctx.set_materialize_grads(False)
        return outputs, *final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if not torch.is_grad_enabled():
            return _backward(ctx, *gradients)
        with torch.no_grad():
            found = _backward(ctx, *gradients)
        return _only_once(found)


def _backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Sequence[Tensor | None]:
    """Run backward; the gradients of everything that was given."""
    like = next((part for part in (outputs, *final) if part is not None), None)
    if like is None:
        return (None,) * len(ctx.needs_input_grad)
    if outputs is None:
        layout = ctx.layout
        rows = layout.padded if ctx.given == "padded" else layout.rows
        outputs = like.new_zeros(rows, ctx.around.program.output_width)
    outputs = outputs.contiguous()
    around, way, saved, wanted = ctx.around, ctx.way, ctx.saved_tensors, ctx.needs_input_grad[2:]
    frame, form = around.backward(way, ctx.given, ctx.layout, wanted, tuple([part is not None for part in final]))
    count = around.sequences + len(around.shapes)
    blocks = [room(outputs.dtype, form.blocks[0][0]), *saved[count : count + len(frame.blocks) - 1]]
    tensors = [part.contiguous() for part in saved[:count]]
    likes = [*tensors[: around.sequences], *[None] * len(around.widths), *tensors[around.sequences :]]
    gradients = [
        room(outputs.dtype, *ctx.shapes[number]) if like is None else room_like(like)
        for number, like in [(number, likes[number]) for number in frame.written]
    ]
    tensors += [outputs, *(part.contiguous() for part in final if part is not None)]
    tensors += [*saved[count + len(frame.blocks) - 1 :], *gradients]
    frame.run(form, blocks, tensors)
    found: list[Tensor | None] = [None] * len(wanted)
    for number, gradient in zip(frame.written, gradients, strict=True):
        found[number] = gradient
    if way == "torch":
        memories = _Tensors(frame, form, blocks, dict(zip(frame.tensors, tensors, strict=True)))
        _by_torch(around, frame, memories, saved[:count], wanted, found)
    return None, None, *found


# `apply` without what it does for functorch, of which there is nothing here
_apply: Any = super(torch.autograd.Function, _Unrolled).apply


def _only_once(gradients: Sequence[Tensor | None]) -> Any:
    """Gradients that say so when someone asks for theirs.

    `once_differentiable` would say nothing where what came is a constant, as the gradient of a sum is.
    """
    said = b"compiled loops have no gradients of gradients; ask unroll for backend='reference'"
    asked: list[Any] = [None if part is None else part.detach().requires_grad_() for part in gradients]
    return torch._C._functions.DelayedError(said, len(asked))(*asked)


def _by_torch(
    around: Around,
    frame: Frame,
    memories: _Tensors,
    saved: Sequence[Tensor],
    wanted: Sequence[bool],
    found: list[Tensor | None],
) -> None:
    """Fill in the gradients that are not there yet."""
    plain, count, first = around.plain, around.sequences, around.weights
    products = [
        (outer.matrix, memories.columns(outer.left, outer.depth), memories.columns(outer.right, outer.width))
        for outer in frame.kernel.outers
        if wanted[first + plain.matrices[outer.matrix].weight]
    ]
    asked = [want and found[number] is None for number, want in enumerate(wanted)]
    rows, asked = [_flat(part) for part in saved[:count]], [*asked[:count], *asked[first:]]
    made = prologue_gradients(plain, memories.get, rows, saved[count:], products, asked, half=around.program.half)
    for number, part in zip([*range(count), *range(first, len(found))], made, strict=True):
        if part is not None:
            found[number] = part if number >= first else part.reshape(saved[number].shape)


def _flat(part: Tensor) -> Tensor:
    return part.view(-1, part.shape[-1])
