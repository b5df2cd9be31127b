"""What a cell is: sizes, an initial state, and one step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Cell", "LinearCell", "Watcher", "watch"]

S = TypeVar("S", bound=tuple[Any, ...])


class Watcher(Protocol):
    """Whoever wants to see what a cell records, step by step."""

    def add(self, name: str, value: Tensor) -> None:
        """Take one named tensor, (batch, units), of the step that is running."""


class Cell(nn.Module, Generic[S]):
    """One step of a recurrent network; the engine runs it over time.

    A subclass makes its weights with `parameter`, says where it starts (`initial_state`) and what one step does
    (`step`). It knows no loop, no padding and no device. A cell in ten lines::

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
    """Names of the row blocks of `weight_ih` and `weight_hh`, in order, each `hidden_size` rows; empty if unknown.
    The initialisations find the recurrent blocks and the forget gate by it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self._watcher: Watcher | None = None

    def parameter(self, *shape: int) -> nn.Parameter:
        """Make a weight of the given shape, uniform between ±1/√hidden_size as in `torch.nn`."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

    def initial_state(self, batch_size: int) -> S:
        """The state before the first step: a named tuple of tensors, each (batch, ...), most often (batch, units)."""
        raise NotImplementedError(f"{type(self).__name__} has no initial_state")

    def step(self, x: Tensor, state: S, /, *context: Any, **named: Any) -> tuple[Tensor, S]:
        """Read one input vector and go from one state to the next.

        A subclass declares `step(self, x, state)`, or `step(self, x, state, *context: Tensor)` if it reads a context;
        this signature lets type checkers accept both. No step is called with named arguments.

        Args:
            x: Inputs of this step, (batch, input).
            state: State after the step before.
            context: Whatever was passed to `unroll` as context, the same at every step.
            named: Nothing; for type checkers only.

        Returns:
            The output, (batch, hidden), and the new state, of the same shapes as the old one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def record(self, **values: Tensor) -> None:
        """Name what a person may want to see of this step, each (batch, units); free unless someone watches."""
        if self._watcher is not None:
            for name, value in values.items():
                self._watcher.add(name, value)

    @property
    def watched(self) -> bool:
        """Whether someone is watching, so that every step must really run in Python."""
        return self._watcher is not None

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class LinearCell(Cell[S]):
    r"""A cell whose state moves linearly, gate by gate, so that all steps can run at once.

    .. math:: h_t = a_t \odot h_{t-1} + b_t

    A subclass gives `coefficients`, which may not look at the state; the state is a named tuple of one tensor, which
    is also the output. The engine runs such a cell as a scan over time.
    """

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The decay `a` and the input `b`, each (..., hidden), for inputs (..., input) of one step or of many."""
        raise NotImplementedError(f"{type(self).__name__} has no coefficients")

    def step(self, x: Tensor, state: S, *context: Tensor) -> tuple[Tensor, S]:
        a, b = self.coefficients(x)
        h = a * state[0] + b
        return h, type(state)(h)


@contextmanager
def watch(cell: Cell[Any], watcher: Watcher) -> Iterator[None]:
    """Let a watcher see everything the cell records while the context lasts."""
    before, cell._watcher = cell._watcher, watcher
    try:
        yield
    finally:
        cell._watcher = before
