"""The plain loop: the definition of running a cell over time. Every other path agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor

from unspool.cells import Cell, editor_of
from unspool.engine.request import Path, Request, State, check_keeps
from unspool.errors import CellError, ShapeError

__all__ = ["ReferencePath", "plain_step", "record_state", "step_of_loop"]


S = TypeVar("S", bound=State)

step_of_loop: ContextVar[int] = ContextVar("step_of_loop", default=0)
"""Step of the plain loop that runs in this context, from 0 for the first input, also where the loop runs backwards."""


class ReferencePath(Path):
    """Run any cell step by step in plain torch."""

    name = "reference"

    def why_unsupported(self, request: Request) -> str | None:
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        cell, inputs, state = request.cell, request.inputs, request.state
        time = inputs.shape[0]
        valid = None
        if request.lengths is not None:
            positions = torch.arange(time, device=inputs.device)
            valid = (positions[:, None] < request.lengths.to(inputs.device)).unsqueeze(-1)  # (time, batch, 1)
            inputs = inputs.masked_fill(~valid, 0)  # whatever stands in the padding, NaN too, must not reach a gradient

        steps = inputs.unbind()  # the gradient of each `inputs[t]` would be as long as the sequence
        outputs: list[Tensor] = [inputs] * time
        for t in reversed(range(time)) if request.reverse else range(time):
            first = t == (time - 1 if request.reverse else 0)
            if cell.watched:
                step_of_loop.set(t)
            output, new = plain_step(cell, steps[t], state, request.context, check=first)
            if valid is not None:
                output = output.masked_fill(~valid[t], 0)
                new = type(new)(
                    *(
                        torch.where(_like(valid[t], after), after, before)
                        for after, before in zip(new, state, strict=True)
                    )
                )
            record_state(cell, new)
            outputs[t], state = output, new
        return torch.stack(outputs), state


def plain_step(cell: Cell[S], x: Tensor, state: S, context: Sequence[Tensor], *, check: bool) -> tuple[Tensor, S]:
    """Run one step as the cell defines it.

    Args:
        cell: The cell.
        x: Input, (batch, input).
        state: Before the step.
        context: What the step takes beside them.
        check: Whether to check what the step returns.

    Returns:
        The output, (batch, hidden), and the new state in the number types of the old one.

    Raises:
        CellError: If the step returns no pair, or a state of another type.
        ShapeError: If the step returns a tensor of another shape.
    """
    editor = editor_of(cell)
    returned = cell.step(x, state, *context) if editor is None else editor.step(cell, x, state, context)
    output, new = _pair(cell, returned, state)
    if check:
        _check_step(cell, output, new, state)
    # under autocast a step may return half precision; what is carried keeps its own
    return output, type(new)(*(after.to(before.dtype) for after, before in zip(new, state, strict=True)))


def record_state(cell: Cell[S], state: S) -> None:
    """Pass the state after a step to the cell's watchers."""
    if cell.watched:
        cell.record(**{name: part.flatten(1) for name, part in state._asdict().items()})  # type: ignore[attr-defined]


def _like(valid: Tensor, part: Tensor) -> Tensor:
    """Return the mask of one step, (batch, 1), with as many dimensions as a part of the state."""
    return valid.view(-1, *[1] * (part.dim() - 1))


def _pair(cell: Cell[S], returned: object, state: S) -> tuple[Tensor, S]:
    if isinstance(returned, tuple) and len(returned) == 2 and not hasattr(returned, "_fields"):
        return returned
    raise CellError(
        f"{type(cell).__name__}.step returned {type(returned).__name__}, "
        f"expected a pair: the output and the new {type(state).__name__}"
    )


def _check_step(cell: Cell[S], output: Tensor, new: S, state: S) -> None:
    name = type(cell).__name__
    batch = state[0].shape[0]
    if not isinstance(output, Tensor) or output.shape != (batch, cell.hidden_size):
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ShapeError(f"{name}.step returned an output of shape {came}, expected {(batch, cell.hidden_size)}")
    if type(new) is not type(state):
        raise CellError(f"{name}.step returned a state of type {type(new).__name__}, expected {type(state).__name__}")
    for field, after, before in zip(type(state)._fields, new, state, strict=True):  # type: ignore[attr-defined]
        if after.shape != before.shape:
            raise ShapeError(
                f"{name}.step returned state.{field} of shape {tuple(after.shape)}, expected {tuple(before.shape)}"
            )
        check_keeps(cell, after, before)
