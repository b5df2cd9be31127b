"""Run a cell over time: the engine's one function and its one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from unspool.cells import Cell
from unspool.engine.dispatch import Report, choose, log_choice, logs, note, report, watching
from unspool.engine.request import Backend, Lengths, check_request

__all__ = ["explain", "unroll"]

S = TypeVar("S", bound=tuple[Any, ...])


def unroll(
    cell: Cell[S],
    inputs: Tensor,
    state: S | None = None,
    *,
    lengths: Lengths | None = None,
    reverse: bool = False,
    context: Sequence[Tensor] = (),
    backend: Backend = "auto",
) -> tuple[Tensor, S]:
    """Run a cell over a padded batch of sequences.

    Args:
        cell: The cell.
        inputs: Sequences padded at the end, (time, batch, input); what stands in the padding changes nothing.
        state: Where to start; the cell's initial state if omitted.
        lengths: Valid steps of each sequence, whole numbers (batch,) in a tensor or a list, each between 1 and time.
            All steps are valid if omitted.
        reverse: Whether to read each sequence from its last valid step to its first. Outputs stay at their places.
        context: Tensors handed to every step unchanged.
        backend: `auto` takes the fastest path that can run the cell, by rule; a name demands that path. `reference`
            is the plain loop, the definition of right.

    Returns:
        Outputs, (time, batch, hidden), zero past each length; and the state after the last step read.

    Raises:
        ShapeError: If a tensor does not fit the cell, or the cell's step breaks its contract.
        CellError: If `cell` is no cell.
        BackendError: If the demanded path can't run this; the message says why.
    """
    request = check_request(cell, inputs, state, lengths, reverse, context)
    path, refusals = choose(request, backend)
    if watching.get() is not None:
        note(report(request, path, refusals))
    if logs():
        log_choice(cell, report(request, path, refusals))
    outputs, final = path.run(request)
    return outputs, final  # type: ignore[return-value]


def explain(
    cell: Cell[Any],
    inputs: Tensor | None = None,
    *,
    time: int = 64,
    batch: int = 32,
    lengths: Lengths | None = None,
    context: Sequence[Tensor] = (),
    backend: Backend = "auto",
) -> Report:
    """Say which path `unroll` would take, and what keeps a faster one from running.

    Args:
        cell: The cell.
        inputs: The inputs in mind, (time, batch, input); zeros of the given sizes if omitted.
        time: Steps, where no inputs are given.
        batch: Sequences, where no inputs are given.
        lengths: Valid steps of each sequence, (batch,).
        context: Tensors handed to every step.
        backend: As `unroll` would be given it.

    Returns:
        The report; print it, or look at `.backend`, `.reason`, `.refusals` and, for compiled cells, `.details`.
    """
    if inputs is None:
        like = next(cell.parameters(), torch.empty(0))
        inputs = like.new_zeros(time, batch, cell.input_size)
    request = check_request(cell, inputs, None, lengths, False, context)
    path, refusals = choose(request, backend)
    return replace(report(request, path, refusals), details=path.describe(request))
