"""Random problems for cells, cells written for the tests, and how close is close enough."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.cells import CELLS, Cell, LinearCell, LSTMCell, LSTMState, cell_class
from unspool.engine import PATHS, Request, unroll

SIZES = [(1, 1, 1, 1), (2, 3, 4, 5), (63, 7, 6, 17), (64, 16, 32, 64)]  # time, batch, input, hidden

# Two right ways to add the same numbers differ by rounding only. The longest sum here is a weight's gradient: 1,024
# products (64 steps of 16 sequences) of order 10, whose partial sums wander up to some 300. An addition there rounds by
# 300 times half a unit in the last place (6e-8 or 1e-16), and a few of those are left over even where the sum cancels:
# 1e-4 in float32, and in float64 less than 1e-11. A wrong gate shows at 1e-2.
TOLERANCE = {
    torch.float64: {"rtol": 1e-11, "atol": 1e-11},
    torch.float32: {"rtol": 2e-5, "atol": 1e-4},
}


@contextmanager
def memory_of_nan() -> Iterator[None]:
    """Fresh memory holds NaN, so that nothing is read before it is written."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


class PairState(NamedTuple):
    h: Tensor  # (batch, hidden)
    memory: Tensor  # (batch, hidden + 3)


class PairCell(Cell[PairState]):
    """Two states of different widths, and weights under names of its own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = self.parameter(hidden_size + 3, input_size)
        self.keep = self.parameter(hidden_size + 3)
        self.mix = self.parameter(hidden_size, 2 * hidden_size + 3)

    def initial_state(self, batch_size: int) -> PairState:
        return PairState(
            h=self.mix.new_zeros(batch_size, self.hidden_size),
            memory=self.mix.new_full((batch_size, self.hidden_size + 3), 0.1),
        )

    def step(self, x: Tensor, state: PairState, *context: Tensor) -> tuple[Tensor, PairState]:
        keep = torch.sigmoid(self.keep)
        memory = keep * state.memory + (1 - keep) * torch.tanh(F.linear(x, self.read))
        h = torch.tanh(F.linear(torch.cat([state.h, memory], dim=-1), self.mix))
        self.record(keep=keep.expand_as(memory))
        return 2 * h - 0.25, PairState(h, memory)  # what it shows is not what it keeps


class DecayState(NamedTuple):
    level: Tensor  # (batch, hidden)


class DecayCell(LinearCell[DecayState]):
    """A linear cell of one's own, whose decay looks at the input."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.slow, self.inward = self.parameter(hidden_size, input_size), self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> DecayState:
        return DecayState(self.slow.new_zeros(batch_size, self.hidden_size))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.tanh(F.linear(x, self.slow))  # of either sign
        return decay, F.linear(x, self.inward).sin()


class ConstantDecayCell(DecayCell):
    """A linear cell whose decay is a weight, the same at all steps."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.slow = self.parameter(hidden_size)

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(self.slow), F.linear(x, self.inward)


class SteppedDecayCell(DecayCell):
    """A linear cell with a step of its own beside its coefficients: a scan would miss it."""

    def step(self, x: Tensor, state: DecayState, *context: Tensor) -> tuple[Tensor, DecayState]:
        h, new = super().step(x, state)
        return h + 1, new


class HalvedLSTMCell(LSTMCell):
    """An LSTM with another step: no kernel knows it."""

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        _, new = super().step(x, state)
        return 0.5 * new.h, LSTMState(0.5 * new.h, new.c)


class RenamedLSTMCell(LSTMCell):
    """An LSTM with nothing changed: a kernel knows it."""


class ContextCell(HalvedLSTMCell):
    """An LSTM that also sees a vector that stays the same at all steps, as wide as its input."""

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        return LSTMCell.step(self, x + sum(context), state)


class ChoosyState(NamedTuple):
    h: Tensor  # (batch, hidden)


class ChoosyCell(Cell[ChoosyState]):
    """A cell that looks at its values, which the compiler can't trace."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inward = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> ChoosyState:
        return ChoosyState(self.inward.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: ChoosyState, *context: Tensor) -> tuple[Tensor, ChoosyState]:
        new = torch.tanh(x @ self.inward.T)
        self.record(new=new)
        h = new if float(x.sum()) > 0 else state.h
        return h, ChoosyState(h)


OWN = {
    "own-pair": PairCell,
    "own-linear": DecayCell,
    "own-constant-decay": ConstantDecayCell,
    "own-stepped-linear": SteppedDecayCell,
    "own-halved-lstm": HalvedLSTMCell,
    "own-renamed-lstm": RenamedLSTMCell,
}
SMALL = {  # cells whose sizes of their own would make a test long
    "ntm": "ntm(slots=5, width=3, read_heads=2)",
    "ntm-feedforward": "ntm-feedforward(slots=4, width=3, write_heads=2, reach=2)",
}
ALL_CELLS: dict[str, type[Cell[Any]]] = {**{name: cell_class(SMALL.get(name, name)) for name in CELLS}, **OWN}


def assert_agrees(
    actual: dict[str, Tensor], truth: dict[str, Tensor], dtype: torch.dtype, plain: dict[str, Tensor] | None = None
) -> None:
    """Hold results against the truth, which was computed in float64.

    Given what the plain loop finds in the same number type, four times its own largest error is granted on top: a cell
    that normalises its states enlarges any rounding over the steps, until it has little to do with the tolerance.
    """
    assert actual.keys() == truth.keys()
    for key, right in truth.items():
        bound = dict(TOLERANCE[dtype])
        if plain is not None:
            bound["atol"] += 4 * float((plain[key].double() - right).detach().abs().max())
        torch.testing.assert_close(actual[key].double(), right, **bound, msg=lambda text, key=key: f"{key}: {text}")


@dataclass
class Case:
    """One call of `unroll`, and a random cotangent for everything that it returns."""

    cell: Cell[Any]
    inputs: Tensor
    state: Any
    lengths: Tensor | None
    reverse: bool
    cotangents: list[Tensor]  # of the outputs, then of each part of the final state

    @property
    def dtype(self) -> torch.dtype:
        return self.inputs.dtype

    def double(self) -> Case:
        """The very same problem in float64."""

        def double(tensor: Tensor) -> Tensor:
            return tensor.detach().double().requires_grad_(tensor.requires_grad)

        state = type(self.state)(*map(double, self.state))
        cell = copy.deepcopy(self.cell).double()
        return Case(cell, double(self.inputs), state, self.lengths, self.reverse, [*map(double, self.cotangents)])

    def run(self, backend: str) -> tuple[Tensor, Any]:
        return unroll(self.cell, self.inputs, self.state, lengths=self.lengths, reverse=self.reverse, backend=backend)

    def outputs_and_gradients(self, backend: str) -> dict[str, Tensor]:
        outputs, final = self.run(backend)
        results = {"output": outputs} | {f"state.{key}": value for key, value in final._asdict().items()}
        leaves = {"inputs": self.inputs} | {f"state.{key}": value for key, value in self.state._asdict().items()}
        leaves |= dict(self.cell.named_parameters())
        gradients = torch.autograd.grad(
            list(results.values()), list(leaves.values()), self.cotangents, materialize_grads=True
        )
        return results | {f"grad/{key}": value for key, value in zip(leaves, gradients, strict=True)}


def make_case(
    name: str | type[Cell[Any]],
    size: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float32,
    ragged: bool = True,
    reverse: bool = False,
    device: str = "cpu",
    seed: int = 0,
) -> Case:
    """Distinct random weights, inputs, initial state and cotangents; NaN in the padding."""
    time, batch, input_size, hidden_size = size
    chance = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance, dtype=torch.float64).to(device, dtype)

    cell = make_cell(name, input_size, hidden_size, seed=seed).to(device, dtype)
    inputs, lengths = draw(time, batch, input_size), None
    if ragged:
        lengths = torch.randint(1, time + 1, (batch,), generator=chance)
        lengths[0] = time
        if batch > 2:
            lengths[1] = 1
        lengths = lengths.to(device)
        padding = torch.arange(time, device=device)[:, None] >= lengths
        inputs[padding] = float("nan")
    state = cell.initial_state(batch)
    state = type(state)(*(draw(*part.shape).requires_grad_() for part in state))
    cotangents = [draw(time, batch, hidden_size), *(draw(*part.shape) for part in state)]
    return Case(cell, inputs.requires_grad_(), state, lengths, reverse, cotangents)


def make_cell(name: str | type[Cell[Any]], input_size: int, hidden_size: int, seed: int = 0) -> Cell[Any]:
    """A float64 cell whose every weight is random, gains and shifts too, and whose state neither dies nor explodes."""
    cell = (ALL_CELLS[name] if isinstance(name, str) else name)(input_size, hidden_size).double()
    chance = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for key, weight in cell.named_parameters():
            noise = torch.randn(weight.shape, generator=chance, dtype=torch.float64)
            if weight.dim() == 2:
                weight.copy_(0.7 * noise / weight.shape[1] ** 0.5)
            else:
                weight.copy_((1.0 if key.startswith("gain") else 0.0) + 0.4 * noise)
    return cell


def runs_on(backend: str, cell: Cell[Any]) -> bool:
    """Whether a path takes a cell at all."""
    inputs = torch.zeros(2, 1, cell.input_size)
    return PATHS[backend].why_unsupported(Request(cell, inputs, cell.initial_state(1), None, False, ())) is None


def fast_pairs() -> list[tuple[str, str]]:
    """Every cell with every path other than the plain loop that takes it."""
    return [
        (name, backend)
        for name in ALL_CELLS
        for backend in PATHS
        if backend != "reference" and runs_on(backend, make_cell(name, 2, 3))
    ]
