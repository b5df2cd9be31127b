"""Requests: the checked arguments of `unroll`; and the protocol of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unspool.cells import Cell
from unspool.errors import CellError, ShapeError

__all__ = [
    "Backend",
    "Lengths",
    "Path",
    "Request",
    "check_keeps",
    "check_lengths",
    "check_request",
    "check_sequences",
    "lengths_tensor",
]

Backend = str
"""`auto`, or the name of one of the `PATHS`."""
State = tuple[Any, ...]


@dataclass(frozen=True)
class Request:
    """The checked arguments of one `unroll` call."""

    cell: Cell[Any]
    inputs: Tensor  # (time, batch, input)
    state: State  # named tuple of (batch, ...)
    lengths: Tensor | None  # (batch,), None when every sequence is as long as the padded batch
    reverse: bool
    context: tuple[Tensor, ...]


class Path(Protocol):
    """One way to run a cell over time; agrees with the plain loop in outputs and in all gradients."""

    name: str

    def why_unsupported(self, request: Request) -> str | None:
        """Say why this path can't run the request; None if it can."""

    def why_slower(self, request: Request) -> str | None:
        """Say why another path is at least as fast for the request; None if this one is fastest."""
        return None

    def describe(self, request: Request) -> str:
        """Return what `explain` adds to the report of this path."""
        return ""

    def run(self, request: Request) -> tuple[Tensor, State]:
        """Return outputs, (time, batch, hidden), zero past each length; and the state after each last valid step."""


Lengths = Tensor | Sequence[int]
"""Valid steps of each sequence, whole numbers (batch,)."""


def lengths_tensor(lengths: Lengths | None) -> Tensor | None:
    """Convert lengths to a tensor: a list, a tuple or an array becomes int64 (batch,) on the CPU.

    Raises:
        ShapeError: If they are no whole numbers.
    """
    if lengths is None or isinstance(lengths, Tensor):
        return lengths
    try:
        values = torch.as_tensor(lengths, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(f"lengths are {repr(lengths)[:80]}, expected a whole number for each sequence") from None
    return values if values.is_floating_point() else values.long()


def check_sequences(inputs: Tensor, lengths: Tensor | None, input_size: int) -> None:
    """Check a padded batch.

    Args:
        inputs: Expected as (time, batch, input_size), with at least one step and one sequence.
        lengths: Valid steps, (batch,), each between 1 and time; None for all.
        input_size: Of the cell.

    Raises:
        ShapeError: If `inputs` has another shape, or `lengths` does not fit it.
    """
    if not isinstance(inputs, Tensor):
        raise ShapeError(_not_a_tensor(inputs, input_size))
    if inputs.dim() != 3 or inputs.shape[-1] != input_size:
        raise ShapeError(f"inputs have shape {tuple(inputs.shape)}, expected (time, batch, {input_size})")
    if inputs.shape[0] == 0 or inputs.shape[1] == 0:
        raise ShapeError(f"inputs have shape {tuple(inputs.shape)}: there must be at least one step and one sequence")
    if lengths is not None:
        check_lengths(lengths, time=inputs.shape[0], batch=inputs.shape[1])


def _not_a_tensor(inputs: object, input_size: int) -> str:
    if isinstance(inputs, PackedSequence):
        return (
            "inputs are a PackedSequence; unpack them: inputs, lengths = "
            "torch.nn.utils.rnn.pad_packed_sequence(packed), and pass lengths=lengths"
        )
    return f"inputs are {type(inputs).__name__}, expected a tensor (time, batch, {input_size})"


def check_keeps(cell: Cell[Any], value: Tensor, start: Tensor) -> None:
    """Check that the state's number type can hold a value of the next state.

    Raises:
        CellError: If the value is complex and the state is real, so that its imaginary part would be lost.
    """
    if value.is_complex() and not start.is_complex():
        state, kind = (str(part.dtype).removeprefix("torch.") for part in (start, value))
        raise CellError(
            f"{type(cell).__name__}.initial_state is {state}, and a step makes it {kind}; begin with a complex state"
        )


def check_lengths(lengths: Tensor, *, time: int, batch: int) -> None:
    """Check that lengths are whole numbers, (batch,), each between 1 and time.

    Raises:
        ShapeError: If they are not. Values on a GPU are not checked, because that would make the GPU wait.
    """
    if lengths.shape != (batch,) or lengths.is_floating_point():
        raise ShapeError(f"lengths are {lengths.dtype} {tuple(lengths.shape)}, expected whole numbers ({batch},)")
    if lengths.device.type == "cpu":
        values: list[int] = lengths.tolist()
        shortest, longest = min(values), max(values)
        if shortest < 1 or longest > time:
            raise ShapeError(f"lengths lie between {shortest} and {longest}, expected between 1 and {time}")


def check_request(
    cell: Cell[Any],
    inputs: Tensor,
    state: State | None,
    lengths: Lengths | None,
    reverse: bool,
    context: Sequence[Tensor],
) -> Request:
    """Check the arguments of `unroll`, and fill in the initial state.

    Raises:
        ShapeError: If a tensor does not fit the cell.
        CellError: If `cell` is no cell, or its state is no named tuple.
    """
    if not isinstance(cell, Cell):
        raise CellError(_not_a_cell(cell))
    lengths = lengths_tensor(lengths)
    check_sequences(inputs, lengths, cell.input_size)
    _check_kind(cell, inputs)
    initial = cell.initial_state(inputs.shape[1])
    if not (isinstance(initial, tuple) and hasattr(initial, "_fields")):
        raise CellError(f"{type(cell).__name__}.initial_state returned {type(initial).__name__}, expected a NamedTuple")
    if state is None:
        state = initial
    elif [part.shape for part in state] != [part.shape for part in initial]:
        came, expected = ([tuple(part.shape) for part in tensors] for tensors in (state, initial))
        raise ShapeError(f"{type(cell).__name__}: state has shapes {came}, expected {expected}")
    elif type(state) is not type(initial):
        state = type(initial)(*state)
    if lengths is not None and lengths.device.type == "cpu" and min(lengths.tolist()) == inputs.shape[0]:
        lengths = None
    return Request(cell, inputs, state, lengths, reverse, tuple(context))


def _not_a_cell(cell: object) -> str:
    if isinstance(cell, type) and issubclass(cell, Cell):
        return f"the cell is the class {cell.__name__}; make one of it: {cell.__name__}(input_size, hidden_size)"
    if isinstance(cell, nn.RNNBase):
        return f"the cell is torch.nn.{type(cell).__name__}; unspool.cells.from_torch makes a cell of it"
    if isinstance(cell, partial):
        return "the cell is a functools.partial; call it first: cell(input_size, hidden_size)"
    return f"the cell is {type(cell).__name__}, expected an unspool.Cell"


def _check_kind(cell: Cell[Any], inputs: Tensor) -> None:
    weight: Tensor | None = next(iter(cell._parameters.values()), None)  # in most cells, and found at once
    if weight is None:
        weight = next(cell.parameters(), inputs)
    kind = weight.device.type
    real = weight.dtype.to_real() if weight.is_complex() else weight.dtype
    mixed = inputs.dtype != real and not torch.is_autocast_enabled(kind)
    if inputs.is_complex():
        raise ShapeError(
            f"inputs are {inputs.dtype}, and {type(cell).__name__} reads real numbers; pass real and imaginary parts "
            f"as units of their own, or give the cell below a readout with real outputs"
        )
    if mixed or not inputs.is_floating_point() or inputs.device != weight.device:
        came, expected = f"{inputs.dtype} on {inputs.device}", f"{real} on {weight.device}"
        raise ShapeError(
            f"inputs are {came}, the weights of {type(cell).__name__} are {expected}; use .to() on one of them"
        )
