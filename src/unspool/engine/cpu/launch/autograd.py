"""Run compiled kernels: tensors for what they read and write, and gradients of all that they were given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unspool.engine.compiler.loops.loop_ir import Slice
from unspool.engine.cpu.launch.command_buffer import Binding, CommandBuffer
from unspool.engine.cpu.launch.gemm_commands import Strategy
from unspool.engine.cpu.launch.packed_weights import PackedWeights
from unspool.engine.cpu.launch.record import Recorder
from unspool.engine.cpu.runtime.batch_layout import Layout
from unspool.engine.cpu.runtime.torch_prologue import input_products, prologue_gradients

__all__ = ["infer", "train"]


def train(recorder: Recorder, layout: Layout, given: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Run over all steps, under autograd.

    Args:
        recorder: The program and what comes before its loop.
        layout: How the batch lies.
        given: The step's input and context of all steps, each (rows, width) or (steps, batch, width); the states before
            the first step, each (batch, width); the weights.

    Returns:
        Outputs, shaped as the first sequences are, and the last states, each (batch, width).
    """
    outputs, *final = _apply(recorder, layout, *given)
    return outputs, final


def infer(
    recorder: Recorder,
    layout: Layout,
    sequences: Sequence[Tensor],
    states: Sequence[Tensor],
    owned: Sequence[Tensor],
    weights: PackedWeights,
) -> tuple[Tensor, list[Tensor]]:
    """The same where no gradient is wanted; `weights` are the ones that are owned, made ready."""
    program, plain, way = recorder.program, recorder.plain, recorder.way(layout)
    commands = recorder.inference(way, layout)
    given = [part.contiguous() for part in (*sequences, *states)]
    ready = weights.ready(commands, partial(_ready, recorder, commands, weights, way))
    if way == "torch":
        flat = [_flat(part) for part in given[: recorder.sequences]]
        ready = [*ready, *input_products(plain, flat, owned, half=program.half).values()]
    binding = commands.lay_out(layout)
    outputs, final, _ = _forward(recorder, commands, binding, program.shown, given, ready)
    return outputs, final


def _ready(recorder: Recorder, commands: CommandBuffer, weights: PackedWeights, way: Strategy) -> list[Tensor]:
    """What the way forward without gradients wants of the weights."""
    found = weights.vectors(recorder.program.graphs.before)
    found += [
        weights.packed(product.matrix, product.transposed, commands.tiles) for product in commands.kernel.products
    ]
    if way != "torch":
        tiles = recorder.program.cut if way == "together" else 0
        matrices = [matrix for _, matrix in recorder.plain.inputs if matrix is not None]
        found += [weights.packed(matrix, transposed=False, tiles=tiles) for matrix in matrices]
    return found


def _forward(
    recorder: Recorder,
    commands: CommandBuffer,
    binding: Binding,
    history: Collection[int],
    given: Sequence[Tensor],
    others: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run forward.

    Args:
        recorder: The program and what comes before its loop.
        commands: Of the way forward.
        binding: Of the call.
        history: The states that are kept for all steps.
        given: Sequences, states and weights, without gaps.
        others: What else the command buffer wants.

    Returns:
        Outputs, shaped as the first sequences are; the last states; and the blocks of the call.
    """
    like, layout, pool = given[0], binding.layout, recorder.program.pool
    (scratch, _), (kept, _), (shown, _) = binding.blocks
    blocks = [pool.empty(like.dtype, scratch), pool.empty(like.dtype, kept), like.new_empty(shown)]
    widths, width = recorder.widths, recorder.program.output_width
    final = [like.new_empty(layout.batch, part) for part in widths] if commands.given != "packed" else []
    if commands.given == "padded":
        outputs = pool.empty(like.dtype, *(given[0].shape[:-1] if recorder.sequences else (layout.padded,)), width)
        commands.run(binding, blocks, (*given, *final, outputs, *others))
        return outputs, final, blocks
    commands.run(binding, blocks, (*given, *final, *others))
    if not final:
        memories = _Tensors(commands, binding, blocks, {})
        ends = ["sorted_ends" if number in history else "sorted_ends_of_two" for number in range(len(widths))]
        final = [memories[f"state{number}"][layout.index(end)] for number, end in enumerate(ends)]
    begin, (*lead, _) = layout.after * width if recorder.program.shown else 0, given[0].shape
    if not recorder.sequences:
        lead = [layout.rows]
    strides = (layout.batch * width, width, 1)[-1 - len(lead) :]
    return blocks[2].as_strided((*lead, width), strides, begin), final, blocks


class _Tensors:
    """The memories of a call as tensors, by name.

    Args:
        commands: Of the call.
        binding: Of the call.
        blocks: Of the call.
        held: Memories that are tensors of their own.
    """

    def __init__(
        self, commands: CommandBuffer, binding: Binding, blocks: Sequence[Tensor], held: Mapping[str, Tensor]
    ) -> None:
        self._frame, self._form, self._blocks, self._held = commands, binding, blocks, held

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

    def columns(self, place: Slice, width: int) -> Tensor:
        """What stood at a place at every step, (rows, width)."""
        rate, layout, found = place.buffer.rate, self._form.layout, self[place.buffer.name]
        if rate in ("before", "after"):
            start = layout.before if rate == "before" else layout.after
            found = found[layout.index("previous")] if start is None else found[start : start + layout.rows]
        return found if width == found.shape[1] else found[:, place.column : place.column + width]


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recorder: Recorder, layout: Layout, *given: Tensor) -> Any:
        plain, program, (way, commands, binding) = recorder.plain, recorder.program, recorder.forward(layout)
        lying = [part.contiguous() for part in given]
        rows, owned = lying[: recorder.sequences], given[recorder.weights :]
        made = {} if way != "torch" else input_products(plain, [_flat(part) for part in rows], owned, half=program.half)
        outputs, final, (_, *kept) = _forward(recorder, commands, binding, program.states, lying, tuple(made.values()))
        if not program.shown:
            kept.pop()  # the way back does not read the outputs
        ctx.save_for_backward(*rows, *owned, *kept, *([made[name] for name in recorder.made] if made else []))
        ctx.recorder, ctx.layout, ctx.way, ctx.given = recorder, layout, way, commands.given
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
        outputs = like.new_zeros(rows, ctx.recorder.program.output_width)
    outputs = outputs.contiguous()
    recorder, way, saved, wanted = ctx.recorder, ctx.way, ctx.saved_tensors, ctx.needs_input_grad[2:]
    commands, binding = recorder.backward(
        way, ctx.given, ctx.layout, wanted, tuple([part is not None for part in final])
    )
    count = recorder.sequences + len(recorder.shapes)
    pool = recorder.program.pool
    blocks = [pool.empty(outputs.dtype, binding.blocks[0][0]), *saved[count : count + len(commands.blocks) - 1]]
    tensors = [part.contiguous() for part in saved[:count]]
    likes = [*tensors[: recorder.sequences], *[None] * len(recorder.widths), *tensors[recorder.sequences :]]
    gradients = [
        pool.empty(outputs.dtype, *ctx.shapes[number]) if like is None else pool.empty_like(like)
        for number, like in [(number, likes[number]) for number in commands.written]
    ]
    tensors += [outputs, *(part.contiguous() for part in final if part is not None)]
    tensors += [*saved[count + len(commands.blocks) - 1 :], *gradients]
    commands.run(binding, blocks, tensors)
    found: list[Tensor | None] = [None] * len(wanted)
    for number, gradient in zip(commands.written, gradients, strict=True):
        found[number] = gradient
    if way == "torch":
        memories = _Tensors(commands, binding, blocks, dict(zip(commands.tensors, tensors, strict=True)))
        _by_torch(recorder, commands, memories, saved[:count], wanted, found)
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
    recorder: Recorder,
    commands: CommandBuffer,
    memories: _Tensors,
    saved: Sequence[Tensor],
    wanted: Sequence[bool],
    found: list[Tensor | None],
) -> None:
    """Fill in the gradients that are not there yet."""
    plain, count, first = recorder.plain, recorder.sequences, recorder.weights
    products = [
        (outer.matrix, memories.columns(outer.left, outer.depth), memories.columns(outer.right, outer.width))
        for outer in commands.kernel.outers
        if wanted[first + plain.matrices[outer.matrix].weight]
    ]
    asked = [want and found[number] is None for number, want in enumerate(wanted)]
    rows, asked = [_flat(part) for part in saved[:count]], [*asked[:count], *asked[first:]]
    made = prologue_gradients(plain, memories.get, rows, saved[count:], products, asked, half=recorder.program.half)
    for number, part in zip([*range(count), *range(first, len(found))], made, strict=True):
        if part is not None:
            found[number] = part if number >= first else part.reshape(saved[number].shape)


def _flat(part: Tensor) -> Tensor:
    return part.view(-1, part.shape[-1])
