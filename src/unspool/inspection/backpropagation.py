"""Backpropagation through time, measured: gradients of each loss with respect to every state of a recurrent stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from unspool.cells import Cell, edit_steps
from unspool.engine import any_backend, unroll
from unspool.errors import ShapeError, UsageError
from unspool.inspection.gradients import INPUT, STATE, Gradients, Norms, StepJacobians
from unspool.inspection.progress import Progress
from unspool.inspection.step_jacobian import largest_singular_values
from unspool.layers import Recurrent
from unspool.randomness import keep_global_state

__all__ = ["NamedCell", "gradients_through_time", "measure_gradients"]

S = TypeVar("S", bound=tuple[Any, ...])
NamedCell = tuple[str, Cell[Any], bool]
"""Name of a cell's place, the cell, and whether it runs backwards."""
Losses = Callable[[Tensor, Tensor], Tensor]
"""From copies of the inputs, (time, batch, features), and the loss of each copy, (batch,), to its value, (batch,)."""

_BYTES = 1 << 30  # of the graph of one backward pass, roughly
_PER_NUMBER = 24  # tensors of the size of the state that autograd keeps for one step of a gated cell, roughly


def gradients_through_time(
    network: Recurrent | Cell[Any],
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    at: Sequence[int] | None = None,
    tokens: Sequence[str] | None = None,
    jacobians: bool = True,
    truncation: int | None = None,
) -> Gradients:
    """Measure the gradients of your own loss with respect to every earlier state of a stack or a cell.

    The network runs in evaluation mode, on the plain loop, in its own number type: in float32, norms below 1e-45 are
    zero, so pass `network.double()` and double inputs for long sequences. Weights keep their `grad`.

    Args:
        network: Recurrent stack, or a single cell.
        inputs: One sequence, (time, features) or (time, 1, features).
        loss: From outputs, (time, batch, units), to one loss per step and sequence, (time, batch), or to one loss per
            sequence, (batch,). It must treat sequences independently, and not draw random numbers.
        at: Steps whose losses count, from 0; all of them if omitted. Only for losses per step.
        tokens: Name of each step; their numbers from 1 if omitted.
        jacobians: Whether to compute the largest singular values of the step Jacobians too.
        truncation: Length of truncated backpropagation to compare with, in steps.

    Raises:
        ShapeError: If `inputs`, or what `loss` returns, has another shape.
        UsageError: If `at` names a step that does not exist.
    """
    inputs = inputs.unsqueeze(1) if inputs.dim() == 2 else inputs
    if inputs.dim() != 3 or inputs.shape[1] != 1 or not len(inputs):
        raise ShapeError(f"inputs have shape {tuple(inputs.shape)}; expected one sequence, (time, 1, features)")
    with torch.inference_mode(False), any_backend(), keep_global_state(), torch.no_grad():
        network = deepcopy(network).eval()
        stepwise = _is_stepwise(loss(_outputs(network, inputs.clone())), len(inputs))
    if at is not None and not stepwise:
        raise UsageError("`at` chooses among losses per step, and this loss has one value per sequence")
    steps = list(range(len(inputs))) if at is None else list(at)
    if any(not 0 <= step < len(inputs) for step in steps):
        raise UsageError(f"at = {steps}: expected steps from 0 to {len(inputs) - 1}")
    places = torch.tensor(steps, device=inputs.device)

    def losses(copies: Tensor, rows: Tensor) -> Tensor:
        value = loss(_outputs(network, copies))
        return value[places[rows], torch.arange(len(rows), device=value.device)] if stepwise else value

    names = [str(step + 1) for step in range(len(inputs))] if tokens is None else [str(token) for token in tokens]
    cells = list(network.named_cells()) if isinstance(network, Recurrent) else [("cell", network, False)]
    return measure_gradients(
        cells,
        inputs,
        losses,
        tokens=names,
        rows=[names[step] for step in steps] if stepwise else ["loss"],
        at=steps if stepwise else None,
        jacobians=jacobians,
        truncation=truncation,
        model=_described(network),
    )


def measure_gradients(
    cells: Sequence[NamedCell],
    inputs: Tensor,
    losses: Losses,
    *,
    tokens: Sequence[str],
    rows: Sequence[str],
    at: Sequence[int] | None,
    jacobians: bool = True,
    truncation: int | None = None,
    model: str = "",
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Gradients:
    """Measure the gradients of any losses with respect to the states of some cells.

    Each loss runs on a copy of the sequence of its own, so that one backward pass serves many losses. A part of the
    state counts as a variable of its own: its gradient holds all paths through the next step, and through the output
    of its own step where the output is that part or is computed from it.

    Args:
        cells: The cells, in evaluation mode.
        inputs: The embedded sequence, (time, 1, features).
        losses: Runs the cells; see `Losses`.
        tokens: Name of each step.
        rows: Name of each loss.
        at: Step of each loss, from 0; None if all depend on the last state.
        jacobians: Whether to compute the largest singular values of the step Jacobians too.
        truncation: Length of truncated backpropagation to compare with, in steps.
        model: One line that describes the network.
        notes: Remarks for the reader.
        progress: Called after each of several backward passes, with the number of losses.
    """
    pieces: list[_Piece] = []
    steps: list[_Steps] = []
    size = max(1, sum(part.numel() for _, cell, _ in cells for part in cell.initial_state(1)))
    columns = max(1, _BYTES // (_PER_NUMBER * inputs.element_size() * len(inputs) * size))
    with torch.inference_mode(False), torch.enable_grad(), any_backend(), keep_global_state():
        for begin in range(0, len(rows), columns):
            chunk = torch.arange(begin, min(begin + columns, len(rows)), device=inputs.device)
            taps = [_Taps() for _ in cells]
            pieces.append(_backward(cells, taps, inputs, losses, chunk))
            if progress is not None and columns < len(rows):
                progress("gradients", begin + len(chunk), len(rows))
            steps = steps or [tap.steps(backward) for tap, (_, _, backward) in zip(taps, cells, strict=True)]
        singular: dict[str, StepJacobians] = {}
        remarks = list(notes)
        for (place, cell, _), record in zip(cells, steps, strict=True):
            if jacobians:
                try:
                    singular[place] = largest_singular_values(cell, *record)
                except RuntimeError as error:  # the step can't be differentiated twice
                    remarks.append(f"{place}: no singular values of the step Jacobians: {str(error).splitlines()[0]}")
    norms = {name: np.concatenate([piece.norms[name] for piece in pieces]) for name in pieces[0].norms}
    return Gradients(
        tuple(tokens),
        tuple(rows),
        norms,
        np.concatenate([piece.values for piece in pieces]),
        None if at is None else tuple(at),
        singular,
        truncation,
        model,
        tuple(remarks),
    )


class _Piece(NamedTuple):
    """Norms and values of some of the losses."""

    norms: dict[str, Norms]
    values: Norms


class _Steps(NamedTuple):
    """Inputs and states before each step of one cell, in token order."""

    inputs: Tensor  # (time, features)
    before: tuple[Tensor, ...]  # (time, ...) each
    state_type: Any
    context: tuple[Tensor, ...]


class _Output(NamedTuple):
    """An output that is no part of the state: the original, its tap, and the state that it was computed beside."""

    original: Tensor
    tap: Tensor
    state: tuple[Tensor, ...]


class _Taps:
    """Editor that runs the steps of one cell unchanged, and keeps the state after each step as a variable."""

    def __init__(self) -> None:
        self.states: list[tuple[Tensor, ...]] = []
        self.names: tuple[str, ...] = ()
        self._originals: list[_Output | None] = []
        self._inputs: list[Tensor] = []
        self._before: list[tuple[Tensor, ...]] = []
        self._context: tuple[Tensor, ...] = ()
        self._state_type: Any = tuple

    def step(self, cell: Cell[Any], x: Tensor, state: S, context: Sequence[Tensor]) -> tuple[Tensor, S]:
        """Make one step; the next step, and the layers above, read the variables."""
        self._inputs.append(x[:1].detach())
        self._before.append(tuple(part[:1].detach() for part in state))
        self._state_type, self._context = type(state), tuple(context)
        output, new = cell.step(x, state, *context)
        parts = tuple(map(_tap, new))
        self.names = type(state)._fields  # type: ignore[attr-defined]
        self.states.append(parts)
        same = next((index for index, part in enumerate(new) if part is output), None)
        if same is not None:
            self._originals.append(None)
            return parts[same], type(state)(*parts)
        tap = _tap(output)
        self._originals.append(_Output(output, tap, tuple(new)))
        return tap, type(state)(*parts)

    def variables(self) -> list[Tensor]:
        """Return all variables: the parts of each state, and outputs that are no part of it."""
        parts = [part for state in self.states for part in state if _is_real(part)]
        return parts + [entry.tap for entry in self._originals if entry is not None]

    def norms(self, gradients: Iterable[Tensor | None], backward: bool) -> dict[str, Norms]:
        """Return the norms of gradients in the order of `variables`, (losses, steps) by part, in token order."""
        rest = iter(gradients)
        parts = [[next(rest) if _is_real(part) else None for part in state] for state in self.states]
        outputs = [None if entry is None else next(rest) for entry in self._originals]
        squares: dict[str, list[Tensor]] = {name: [] for name in self.names}
        for state, gradient, entry, of_output in zip(self.states, parts, self._originals, outputs, strict=True):
            through = [None] * len(state) if entry is None or of_output is None else _pull_back(entry, of_output)
            for name, part, *terms in zip(self.names, state, gradient, through, strict=True):
                total = sum(term for term in terms if term is not None)
                squares[name].append(_squares(total if isinstance(total, Tensor) else torch.zeros_like(part)))
        arrays = {name: _numpy(torch.stack(values, dim=1)) for name, values in squares.items()}
        if len(arrays) > 1:
            arrays[STATE] = np.sum(list(arrays.values()), axis=0)
        return {name: np.sqrt(array[:, ::-1] if backward else array) for name, array in arrays.items()}

    def steps(self, backward: bool) -> _Steps:
        """Return what each step read, in token order."""
        order = slice(None, None, -1) if backward else slice(None)
        before = tuple(torch.cat(parts) for parts in zip(*self._before[order], strict=True))
        return _Steps(torch.cat(self._inputs[order]), before, self._state_type, self._context)


def _backward(
    cells: Sequence[NamedCell], taps: Sequence[_Taps], inputs: Tensor, losses: Losses, rows: Tensor
) -> _Piece:
    """Run some losses, each on its own copy of the sequence, and one backward pass."""
    copies = inputs.detach().expand(-1, len(rows), -1).clone().requires_grad_()
    with ExitStack() as editing:
        for (_, cell, _), tap in zip(cells, taps, strict=True):
            editing.enter_context(edit_steps(cell, tap))
        values = losses(copies, rows)
    if values.shape != rows.shape:
        raise ShapeError(f"the losses have shape {tuple(values.shape)}; expected {tuple(rows.shape)}")
    variables = [tap.variables() for tap in taps]
    everything = [copies, *(variable for several in variables for variable in several)]
    gradients = list(torch.autograd.grad(values.sum(), everything, retain_graph=True, allow_unused=True))
    of_inputs = gradients.pop(0)
    norms: dict[str, Norms] = {}
    for (place, _, backward), tap, several in zip(cells, taps, variables, strict=True):
        own, gradients = gradients[: len(several)], gradients[len(several) :]
        norms |= {f"{place} / {part}": array for part, array in tap.norms(own, backward).items()}
    of_inputs = torch.zeros_like(copies) if of_inputs is None else of_inputs
    norms[INPUT] = np.sqrt(_numpy(torch.stack([_squares(step) for step in of_inputs], dim=1)))
    return _Piece(norms, _numpy(values.detach()))


def _tap(value: Tensor) -> Tensor:
    """Return a variable in the place of a value; whole numbers stay as they are."""
    if not _is_real(value):
        return value
    return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()


def _is_real(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _pull_back(entry: _Output, gradient: Tensor) -> list[Tensor | None]:
    """Return the gradients of the state parts through an output that is computed from them.

    The other parts stay fixed: hooks on them block the paths from one part through another.
    """
    gradients: list[Tensor | None] = []
    for part in entry.state:
        if not part.requires_grad or not entry.original.requires_grad:
            gradients.append(None)
            continue
        others = [other for other in entry.state if other is not part and other.requires_grad]
        blocks = [other.register_hook(torch.zeros_like) for other in others]  # type: ignore[no-untyped-call]
        try:
            gradients += torch.autograd.grad(entry.original, part, gradient, retain_graph=True, allow_unused=True)
        finally:
            for block in blocks:
                block.remove()
    return gradients


def _squares(gradient: Tensor) -> Tensor:
    """Return the squared norm of each column, (batch,), in float64."""
    if not _is_real(gradient):
        return torch.zeros(len(gradient), dtype=torch.float64, device=gradient.device)
    wide = gradient.detach().abs().flatten(1).double()
    return wide.square().sum(1)


def _numpy(values: Tensor) -> Norms:
    array: Norms = values.detach().double().cpu().numpy()
    return array


def _outputs(network: Recurrent | Cell[Any], inputs: Tensor) -> Tensor:
    outputs: Tensor = network(inputs).outputs if isinstance(network, Recurrent) else unroll(network, inputs)[0]
    return outputs


def _is_stepwise(value: object, time: int) -> bool:
    """Return whether a loss of one sequence has a value per step."""
    shape = tuple(value.shape) if isinstance(value, Tensor) else None
    if shape not in ((time, 1), (1,)):
        came = f"shape {shape}" if shape is not None else type(value).__name__
        raise ShapeError(f"the loss returned {came}; expected (time, batch) or (batch,), here ({time}, 1) or (1,)")
    return shape == (time, 1)


def _described(network: nn.Module) -> str:
    if isinstance(network, Recurrent):
        kind = type(next(network.named_cells())[1]).__name__
        both = "bidirectional " if network.directions == 2 else ""
        layers = "1 layer" if network.num_layers == 1 else f"{network.num_layers} layers"
        return f"{both}{kind}, {layers} of {network.hidden_size}"
    return f"{type(network).__name__}, {network.extra_repr()}"
