"""`unroll` runs a cell over time, and `explain` reports the path that it would take."""

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
        inputs: Sequences padded at the end, (time, batch, input); what the padding holds changes nothing.
        state: Before the first step; the cell's initial state if omitted.
        lengths: Valid steps of each sequence, whole numbers (batch,) in a tensor or a list, each between 1 and time.
            All steps are valid if omitted.
        reverse: Whether to read each sequence from its last valid step to its first. Outputs keep their places.
        context: Tensors passed to every step unchanged.
        backend: `auto` takes the fastest path that can run the cell, by rule; a name requires that path. `reference`
            is the plain loop, which defines the result.

    Returns:
        Outputs, (time, batch, hidden), zero past each length; and the state after the last step read.

    Raises:
        ShapeError: If a tensor does not fit the cell, or the cell's step breaks its contract.
        CellError: If `cell` is no cell.
        BackendError: If the required path can't run the request; the message says why.
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
    """Report which path `unroll` would take, and why no faster one runs.

    Args:
        cell: The cell.
        inputs: (time, batch, input); zeros of the given sizes if omitted.
        time: Steps, if `inputs` is omitted.
        batch: Sequences, if `inputs` is omitted.
        lengths: Valid steps of each sequence, (batch,).
        context: Tensors passed to every step.
        backend: As for `unroll`.

    Returns:
        The report: print it, or read `.backend`, `.reason`, `.refusals` and, for compiled cells, `.details`.

    Raises:
        ShapeError: If a tensor does not fit the cell.
        CellError: If `cell` is no cell.
        BackendError: If the required path can't run the request.
    """
    if inputs is None:
        like = next(cell.parameters(), torch.empty(0))
        inputs = like.new_zeros(time, batch, cell.input_size)
    request = check_request(cell, inputs, None, lengths, False, context)
    path, refusals = choose(request, backend)
    return replace(report(request, path, refusals), details=path.describe(request))
