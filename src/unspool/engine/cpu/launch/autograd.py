"""Run command buffers: allocate their tensors, and connect them to autograd."""

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

__all__ = ["infer", "prepare", "train"]


def train(recorder: Recorder, layout: Layout, arguments: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Run over all steps, under autograd.

    Args:
        recorder: Of the program and its prologue.
        layout: Of the batch.
        arguments: The step's input and context of all steps, each (rows, width) or (steps, batch, width); the states
            before the first step, each (batch, width); the weights.

    Returns:
        Outputs, shaped as the first sequences are, and the last states, each (batch, width).
    """
    outputs, *final = _apply(recorder, layout, *arguments)
    return outputs, final


def infer(
    recorder: Recorder,
    layout: Layout,
    sequences: Sequence[Tensor],
    states: Sequence[Tensor],
    owned: Sequence[Tensor],
    weights: PackedWeights,
) -> tuple[Tensor, list[Tensor]]:
    """Run over all steps without gradients.

    Args:
        recorder: Of the program and its prologue.
        layout: Of the batch.
        sequences: The step's input and context of all steps, each (rows, width) or (steps, batch, width).
        states: Before the first step, each (batch, width).
        owned: The weights.
        weights: The same weights, packed.

    Returns:
        Outputs, shaped as the first sequences are, and the last states, each (batch, width).
    """
    program, plain, strategy = recorder.program, recorder.plain, recorder.strategy(layout)
    commands = recorder.inference(strategy, layout)
    arguments = [part.contiguous() for part in (*sequences, *states)]
    prepared = prepare(recorder, commands, weights, strategy)
    if strategy == "torch":
        flat = [_flat(part) for part in arguments[: recorder.sequences]]
        prepared = [*prepared, *input_products(plain, flat, owned, half=program.half).values()]
    binding = commands.lay_out(layout)
    outputs, final, _ = _forward(recorder, commands, binding, program.output_states, arguments, prepared)
    return outputs, final


def prepare(recorder: Recorder, commands: CommandBuffer, weights: PackedWeights, strategy: Strategy) -> list[Tensor]:
    """Return the tensors that a forward pass without gradients reads of the weights, made on the first call."""
    return weights.ready(commands, partial(_ready, recorder, commands, weights, strategy))


def _ready(recorder: Recorder, commands: CommandBuffer, weights: PackedWeights, strategy: Strategy) -> list[Tensor]:
    tensors = weights.vectors(recorder.program.graphs.before)
    tensors += [
        weights.packed(product.matrix, product.transposed, commands.tiles) for product in commands.kernel.products
    ]
    if strategy != "torch":
        tiles = recorder.program.cut if strategy == "parallel" else 0
        matrices = [matrix for _, matrix in recorder.plain.inputs if matrix is not None]
        tensors += [weights.packed(matrix, transposed=False, tiles=tiles) for matrix in matrices]
    return tensors


def _forward(
    recorder: Recorder,
    commands: CommandBuffer,
    binding: Binding,
    history: Collection[int],
    arguments: Sequence[Tensor],
    others: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run forward.

    Args:
        recorder: Of the program and its prologue.
        commands: Of the forward pass.
        binding: Of the call.
        history: The states that are kept for all steps.
        arguments: Sequences, states and weights, without gaps.
        others: The other tensors of the command buffer.

    Returns:
        Outputs, shaped as the first sequences are; the last states; and the blocks of the call.
    """
    like, layout, pool = arguments[0], binding.layout, recorder.program.pool
    (scratch, _), (saved, _), (outputs_size, _) = binding.blocks
    blocks = [pool.empty(like.dtype, scratch), pool.empty(like.dtype, saved), like.new_empty(outputs_size)]
    widths, width = recorder.widths, recorder.program.output_width
    final = [like.new_empty(layout.batch, part) for part in widths] if commands.arrangement != "packed" else []
    if commands.arrangement == "padded":
        outputs = pool.empty(like.dtype, *(arguments[0].shape[:-1] if recorder.sequences else (layout.padded,)), width)
        commands.run(binding, blocks, (*arguments, *final, outputs, *others))
        return outputs, final, blocks
    commands.run(binding, blocks, (*arguments, *final, *others))
    if not final:
        memories = _Tensors(commands, binding, blocks, {})
        ends = ["sorted_ends" if number in history else "sorted_ends_of_two" for number in range(len(widths))]
        final = [memories[f"state{number}"][layout.index(end)] for number, end in enumerate(ends)]
    begin, (*lead, _) = layout.after * width if recorder.program.output_states else 0, arguments[0].shape
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
        named_tensors: Memories that are tensors of their own.
    """

    def __init__(
        self, commands: CommandBuffer, binding: Binding, blocks: Sequence[Tensor], named_tensors: Mapping[str, Tensor]
    ) -> None:
        self._commands, self._binding, self._blocks, self._named_tensors = commands, binding, blocks, named_tensors

    def get(self, memory: str) -> Tensor | None:
        """Return a memory of the kernel, (rows, stride); None if there is none of that name."""
        name = self._commands.at(memory).name
        if name in self._named_tensors:
            return _flat(self._named_tensors[name])
        layout, (parts, _), _, blocks, _ = self._binding
        for memories, block, (_, starts) in zip(self._commands.blocks, self._blocks, blocks, strict=True):
            if name in starts:
                return memories.view(block, name, starts[name], layout, parts)
        return None

    def __getitem__(self, memory: str) -> Tensor:
        tensor = self.get(memory)
        assert tensor is not None, memory
        return tensor

    def columns(self, place: Slice, width: int) -> Tensor:
        """Return the values of a slice at every step, (rows, width)."""
        rate, layout, rows = place.buffer.rate, self._binding.layout, self[place.buffer.name]
        if rate in ("before", "after"):
            start = layout.before if rate == "before" else layout.after
            rows = rows[layout.index("previous")] if start is None else rows[start : start + layout.rows]
        return rows if width == rows.shape[1] else rows[:, place.column : place.column + width]


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recorder: Recorder, layout: Layout, *arguments: Tensor) -> Any:
        plain, program, (strategy, commands, binding) = recorder.plain, recorder.program, recorder.forward(layout)
        contiguous = [part.contiguous() for part in arguments]
        rows, owned = contiguous[: recorder.sequences], arguments[recorder.weights :]
        products = {}
        if strategy == "torch":
            products = input_products(plain, [_flat(part) for part in rows], owned, half=program.half)
        others = tuple(products.values())
        outputs, final, (_, *saved) = _forward(recorder, commands, binding, program.states, contiguous, others)
        if not program.output_states:
            saved.pop()  # the backward pass does not read the outputs
        inputs = [products[name] for name in recorder.product_inputs] if products else []
        ctx.save_for_backward(*rows, *owned, *saved, *inputs)
        ctx.recorder, ctx.layout, ctx.strategy, ctx.arrangement = recorder, layout, strategy, commands.arrangement
        ctx.shapes = [part.shape for part in arguments]
        ctx.set_materialize_grads(False)
        return outputs, *final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if not torch.is_grad_enabled():
            return _backward(ctx, *gradients)
        with torch.no_grad():
            results = _backward(ctx, *gradients)
        return _only_once(results)


def _backward(ctx: Any, outputs: Tensor | None, *final: Tensor | None) -> Sequence[Tensor | None]:
    """Run backward, and return the gradients of all arguments."""
    like = next((part for part in (outputs, *final) if part is not None), None)
    if like is None:
        return (None,) * len(ctx.needs_input_grad)
    if outputs is None:
        layout = ctx.layout
        rows = layout.padded if ctx.arrangement == "padded" else layout.rows
        outputs = like.new_zeros(rows, ctx.recorder.program.output_width)
    outputs = outputs.contiguous()
    recorder, strategy, saved, needs_gradient = ctx.recorder, ctx.strategy, ctx.saved_tensors, ctx.needs_input_grad[2:]
    commands, binding = recorder.backward(
        strategy, ctx.arrangement, ctx.layout, needs_gradient, tuple([part is not None for part in final])
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
    results: list[Tensor | None] = [None] * len(needs_gradient)
    for number, gradient in zip(commands.written, gradients, strict=True):
        results[number] = gradient
    if strategy == "torch":
        memories = _Tensors(commands, binding, blocks, dict(zip(commands.tensors, tensors, strict=True)))
        _by_torch(recorder, commands, memories, saved[:count], needs_gradient, results)
    return None, None, *results


# `apply` without what it does for functorch, of which there is nothing here
_apply: Any = super(torch.autograd.Function, _Unrolled).apply


def _only_once(gradients: Sequence[Tensor | None]) -> Any:
    """Return gradients that raise an error when someone asks for their own gradients.

    `once_differentiable` would raise none where the incoming gradient is a constant, as that of a sum is.
    """
    message = b"compiled loops have no gradients of gradients; ask unroll for backend='reference'"
    results: list[Any] = [None if part is None else part.detach().requires_grad_() for part in gradients]
    return torch._C._functions.DelayedError(message, len(results))(*results)


def _by_torch(
    recorder: Recorder,
    commands: CommandBuffer,
    memories: _Tensors,
    saved: Sequence[Tensor],
    needs_gradient: Sequence[bool],
    results: list[Tensor | None],
) -> None:
    """Fill in the gradients that the commands did not make."""
    plain, count, first = recorder.plain, recorder.sequences, recorder.weights
    products = [
        (outer.matrix, memories.columns(outer.left, outer.depth), memories.columns(outer.right, outer.width))
        for outer in commands.kernel.outers
        if needs_gradient[first + plain.matrices[outer.matrix].weight]
    ]
    missing = [needs and results[number] is None for number, needs in enumerate(needs_gradient)]
    rows, missing = [_flat(part) for part in saved[:count]], [*missing[:count], *missing[first:]]
    half = recorder.program.half
    computed = prologue_gradients(plain, memories.get, rows, saved[count:], products, missing, half=half)
    for number, part in zip([*range(count), *range(first, len(results))], computed, strict=True):
        if part is not None:
            results[number] = part if number >= first else part.reshape(saved[number].shape)


def _flat(part: Tensor) -> Tensor:
    return part.view(-1, part.shape[-1])
