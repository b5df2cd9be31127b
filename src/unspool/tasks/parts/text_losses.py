"""Losses of one text as functions of its embedded tokens, for gradients through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unspool.errors import UsageError, wording
from unspool.inspection import Gradients
from unspool.inspection.backpropagation import measure_gradients
from unspool.inspection.progress import Progress

if TYPE_CHECKING:
    from unspool.tasks.inspectable import Inspectable

__all__ = ["TextLosses", "measure_task"]

_RANGES = {torch.float64: "1e-308", torch.float32: "1e-45", torch.bfloat16: "1e-40", torch.float16: "6e-8"}


@dataclass(frozen=True)
class TextLosses:
    """Losses of one text."""

    inputs: Tensor
    """Embedded tokens, (time, 1, features)."""
    losses: Callable[[Tensor, Tensor], Tensor]
    """From copies of the inputs, (time, batch, features), and the row of each copy, (batch,), to values, (batch,)."""
    tokens: Sequence[str]
    """Token that the network reads at each step; an empty text for a start symbol."""
    rows: Sequence[str]
    """Name of each loss."""
    at: Sequence[int] | None
    """Step of each loss, from 0; None if all depend on the last state."""
    truncation: int | None = None
    """Length of truncated backpropagation in training, in steps."""


@torch.inference_mode(False)
def measure_task(
    task: Inspectable[Any, Any],
    text: Any,
    target: Any,
    *,
    loss_at: int | Sequence[int] | None,
    truncation: int | None,
    jacobians: bool,
    progress: Progress | None,
) -> Gradients:
    """Measure the gradients of a task's losses on one text, in float64 where its cells can compute so.

    Raises:
        UsageError: If the model has no recurrent stack, or there is no loss at a position.
    """
    own = next(task.model.parameters()).dtype
    twin, notes = _copy(task, torch.float64), []
    if twin._stack() is None:
        raise UsageError(f"{task._summary()}: gradients through time need a recurrent network, and there is none")
    try:
        problem = twin._text_losses(text, target)
        with torch.no_grad():
            problem.losses(problem.inputs, torch.zeros(1, dtype=torch.int64, device=problem.inputs.device))
    except RuntimeError as error:
        twin = _copy(task, own)
        problem = twin._text_losses(text, target)
        reason = str(error).splitlines()[0]
        notes = [f"computed in {str(own).removeprefix('torch.')}, norms below {_RANGES[own]} are zero: {reason}"]
    rows = _chosen(problem, loss_at)
    index = torch.tensor(rows, device=problem.inputs.device)
    stack = twin._stack()
    assert stack is not None
    length = truncation if truncation is not None else problem.truncation
    return measure_gradients(
        list(stack.named_cells()),
        problem.inputs,
        lambda copies, chosen: problem.losses(copies, index[chosen]),
        tokens=problem.tokens,
        rows=[problem.rows[row] for row in rows],
        at=None if problem.at is None else [problem.at[row] for row in rows],
        jacobians=jacobians,
        truncation=length,
        model=task._summary(),
        notes=notes,
        progress=progress,
    )


def _copy(task: Inspectable[Any, Any], dtype: torch.dtype) -> Inspectable[Any, Any]:
    twin = copy(task)
    twin.model = deepcopy(task.model).to(dtype).eval()
    return twin


def _chosen(problem: TextLosses, loss_at: int | Sequence[int] | None) -> list[int]:
    """Return the indices of the losses at some positions."""
    if loss_at is None:
        return list(range(len(problem.rows)))
    positions = list(problem.at) if problem.at is not None else list(range(len(problem.rows)))
    chosen = [loss_at] if isinstance(loss_at, int) else list(loss_at)
    if strange := [position for position in chosen if position not in positions]:
        raise UsageError(
            wording(_no_loss(strange[0] + 1, [at + 1 for at in positions]), _no_loss(strange[0], positions))
        )
    return [positions.index(position) for position in chosen]


def _no_loss(position: int, positions: list[int]) -> str:
    consecutive = positions == list(range(positions[0], positions[-1] + 1))
    where = f"{positions[0]} to {positions[-1]}" if consecutive else ", ".join(map(str, positions[:20]))
    return f"there is no loss at position {position}; losses stand at {where}"
