"""Base classes of cells: sizes, initial state, one step, and watchers of intermediate values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Cell", "LinearCell", "StepEditor", "Watcher", "attachments", "edit_steps", "editor_of", "watch"]

S = TypeVar("S", bound=tuple[Any, ...])


class Watcher(Protocol):
    """Interface of a receiver of the values that a cell records, step by step."""

    def add(self, name: str, value: Tensor) -> None:
        """Receive a tensor, (batch, units), of the current step, with its name."""


class StepEditor(Protocol):
    """Interface of an object that runs the steps of a cell in its place, to change a gate or a state on the way."""

    def step(self, cell: Cell[Any], x: Tensor, state: Any, context: Sequence[Tensor]) -> tuple[Tensor, Any]:
        """Return the output and the next state of one step, as `cell.step(x, state, *context)` does."""


class _Attached(NamedTuple):
    watcher: Watcher | None = None
    editor: StepEditor | None = None


attachments: ContextVar[Mapping[Cell[Any], _Attached]] = ContextVar("attachments", default=MappingProxyType({}))
"""The watcher and the editor of each cell in the current context. Each thread has a context of its own, so calls of
other threads run without them."""


class Cell(nn.Module, Generic[S]):
    """Base of cells: one time step of a recurrent network, which the engine runs over time.

    A subclass creates its weights with `parameter`, and defines `initial_state` and `step`. It has no loop, no padding
    and no device. A cell in ten lines::

        class LeakyState(NamedTuple):
            h: Tensor  # (batch, hidden)

        class LeakyCell(Cell[LeakyState]):
            def __init__(self, input_size: int, hidden_size: int) -> None:
                super().__init__(input_size, hidden_size)
                self.weight_ih, self.bias = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
                self.weight_hh = self.parameter(hidden_size, hidden_size)

            def initial_state(self, batch_size: int) -> LeakyState:
                return LeakyState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

            def step(self, x: Tensor, state: LeakyState) -> tuple[Tensor, LeakyState]:
                new = torch.tanh(F.linear(x, self.weight_ih, self.bias) + F.linear(state.h, self.weight_hh))
                h = 0.9 * state.h + 0.1 * new
                return h, LeakyState(h)

    Args:
        input_size: Width of one input vector, at least 1.
        hidden_size: Width of one output vector, at least 1.
    """

    gates: ClassVar[tuple[str, ...]] = ()
    """Names of the row blocks of `weight_ih` and `weight_hh`, in order, each `hidden_size` rows; empty without blocks.
    Initialisations use them to find the recurrent blocks and the forget gate."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    def parameter(self, *shape: int) -> nn.Parameter:
        """Create a weight of a shape, uniform between ±1/√hidden_size as in `torch.nn`."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

    def initial_state(self, batch_size: int) -> S:
        """Return the state before the first step: a named tuple of tensors (batch, ...), usually (batch, units)."""
        raise NotImplementedError(f"{type(self).__name__} has no initial_state")

    def step(self, x: Tensor, state: S, /, *context: Any, **keywords: Any) -> tuple[Tensor, S]:
        """Make one time step: from an input and a state to an output and the next state.

        A subclass declares `step(self, x, state)`, or `step(self, x, state, *context: Tensor)` if it uses a context;
        this signature lets type checkers accept both. The engine passes no keyword arguments.

        Args:
            x: Inputs of this step, (batch, input).
            state: State after the previous step.
            context: The `context` of `unroll`, equal at every step.
            keywords: Unused; for type checkers only.

        Returns:
            The output, (batch, hidden), and the next state, with the same shapes as `state`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def record(self, **values: Tensor) -> None:
        """Record named intermediate values of this step, each (batch, units). A no-op unless a watcher is attached."""
        attached = attachments.get().get(self)
        if attached is not None and (watcher := attached.watcher) is not None:
            for name, value in values.items():
                watcher.add(name, value)

    @property
    def watched(self) -> bool:
        """Whether a watcher or an editor is attached in this context, so that every step must run in Python."""
        return self in attachments.get()

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class LinearCell(Cell[S]):
    r"""Base of cells with an elementwise linear recurrence, whose steps the engine runs as a parallel scan.

    .. math::
        h_t &= a_t \odot h_{t-1} + b_t \\
        y_t &= \mathrm{readout}(x_t, h_t)

    A subclass defines `coefficients`, which must not depend on the state. The state is a named tuple of one tensor,
    real or complex. The output is the state, unless the subclass overrides `readout`.
    """

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decay `a` and the input `b`, each (..., hidden), for inputs (..., input) of one or many steps.

        For a state of shape (batch, units, ...), they are (..., units, ...). A decay that is constant over time may
        lack the leading dimensions.
        """
        raise NotImplementedError(f"{type(self).__name__} has no coefficients")

    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the output, (..., hidden), for inputs (..., input) and states of one or many steps; by default `h`."""
        return h

    def step(self, x: Tensor, state: S, *context: Tensor) -> tuple[Tensor, S]:
        a, b = self.coefficients(x)
        h = a * state[0] + b
        return self.readout(x, h), type(state)(h)


@contextmanager
def watch(cell: Cell[Any], watcher: Watcher) -> Iterator[None]:
    """Attach a watcher to a cell inside the `with` block, for calls of this thread alone.

    An inner block replaces the watcher of an outer one until the inner block ends.
    """
    with _attach(cell, watcher=watcher):
        yield


@contextmanager
def edit_steps(cell: Cell[Any], editor: StepEditor) -> Iterator[None]:
    """Let an editor run the steps of a cell inside the `with` block, for calls of this thread alone.

    The engine then takes the plain loop. Watchers see the values that the editor computes. An inner block replaces the
    editor of an outer one until the inner block ends.
    """
    with _attach(cell, editor=editor):
        yield


def editor_of(cell: Cell[Any]) -> StepEditor | None:
    """Return the editor of a cell in the current context; None if there is none."""
    attached = attachments.get().get(cell)
    return None if attached is None else attached.editor


@contextmanager
def _attach(cell: Cell[Any], **parts: Any) -> Iterator[None]:
    attached = attachments.get()
    token = attachments.set({**attached, cell: attached.get(cell, _Attached())._replace(**parts)})
    try:
        yield
    finally:
        attachments.reset(token)
