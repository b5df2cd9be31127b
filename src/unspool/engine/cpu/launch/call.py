"""One call of a compiled loop: arrange the batch, run the prologue and the loop, and put the results back in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unspool.engine.cpu.launch.autograd import infer, train
from unspool.engine.cpu.launch.packed_weights import packed_weights
from unspool.engine.cpu.launch.record import record_affine, record_bare
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.batch_layout import blocks, packed
from unspool.engine.cpu.runtime.prologue import run_inputs, run_weights
from unspool.engine.request import Request, State

__all__ = ["call"]


def call(program: Program, request: Request, weights: Mapping[str, Tensor]) -> tuple[Tensor, State]:
    """Run a cell over all steps.

    Args:
        program: Of the cell.
        request: What to run.
        weights: The cell's weights by name.

    Returns:
        Outputs, (time, batch, hidden), zero past each length; and the state after each last valid step.
    """
    graphs, dtype, lengths = program.graphs, program.dtype, request.lengths
    time, batch, _ = request.inputs.shape
    layout = blocks(time, batch, request.reverse) if lengths is None else packed(lengths, time, request.reverse)
    sequences = [request.inputs, *[part.expand(time, -1, -1) for part in request.context]]
    rows, states = [_cast(part, dtype) for part in sequences], [_cast(_row(part), dtype) for part in request.state]
    tensors = tuple(weights.values())
    needs_gradient = torch.is_grad_enabled() and True in [
        tensor.requires_grad for tensor in (*sequences, *request.state, *tensors)
    ]
    recorder = None if graphs.plain is None else record_affine(program, graphs.plain, len(rows), tensors)
    packs = layout.ragged if recorder is None else recorder.arrangement(layout) == "packed"
    if packs:
        places, order = layout.index("places"), layout.index("order")
        rows = [_Gather.apply(_flat(part), places) for part in rows]  # type: ignore[no-untyped-call]
        states = [part.index_select(0, order) for part in states]
    before = graphs.before
    ready = None if needs_gradient else packed_weights(request.cell, program, weights)
    if recorder is not None:
        if ready is None:
            outputs, final = train(recorder, layout, (*rows, *states, *tensors))
        else:
            outputs, final = infer(recorder, layout, rows, states, tensors, ready)
    elif ready is not None:
        shared, matrices = ready.shared(before), ready.matrices
        inputs = run_inputs(before, [_flat(part) for part in rows], shared, matrices, half=program.half)
        recorder = record_bare(program, len(inputs), ready.vectors(before), matrices)
        outputs, final = infer(recorder, layout, inputs, states, (), ready)
    else:
        matrices, vectors = graphs.tape.replay(dict(weights))
        shared = run_weights(before, vectors, matrices, dtype)
        inputs = run_inputs(before, [_flat(part) for part in rows], shared, matrices, half=program.half)
        vectors = [shared[node] for node in before.vectors]
        recorder = record_bare(program, len(inputs), vectors, matrices)
        contiguous = [matrix if matrix.is_contiguous() else matrix.t() for matrix in matrices]
        outputs, final = train(recorder, layout, (*inputs, *states, *vectors, *contiguous))
    if packs:
        outputs = _Scatter.apply(outputs, places, time * batch)  # type: ignore[no-untyped-call]
        final = [part.index_select(0, layout.index("back")) for part in final]
    if outputs.dim() == 2:
        outputs = outputs.view(time, batch, -1)
    ends = [_cast(part, like.dtype) for part, like in zip(final, request.state, strict=True)]
    ends = [part if like.dim() == 2 else part.view_as(like) for part, like in zip(ends, request.state, strict=True)]
    return outputs, type(request.state)(*ends)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype is dtype else tensor.to(dtype)  # `to` costs something even where it does nothing


def _flat(sequences: Tensor) -> Tensor:
    return sequences.reshape(-1, sequences.shape[-1])


def _row(state: Tensor) -> Tensor:
    """Return a part of the state with all its numbers in one dimension."""
    return state if state.dim() == 2 else state.reshape(len(state), -1)


class _Gather(torch.autograd.Function):
    """Pick rows, each at most once: unlike that of torch's own, the gradient is a copy and not a sum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = rows.shape[0]
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return _Scatter.apply(gradient, places, ctx.count), None  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    """Put rows in their places, among rows of zeros."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, rows.shape[1]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _Gather.apply(gradient, places), None, None  # type: ignore[no-untyped-call]
