"""Cells with complex states: the scan agrees with the plain loop and with torch's own autograd, or says why not."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool import Cell, Classifier, LinearCell, Recurrent, load, unroll
from unspool.engine import Stepper, explain, linear_scan, record_dispatch
from unspool.errors import BackendError, CellError, ShapeError
from unspool.training import Reporter

KINDS = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class SpectralState(NamedTuple):
    h: Tensor  # complex (batch, hidden)


class RotationCell(LinearCell[SpectralState]):
    """A complex state that is also the output; the decay depends on the input."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.angle, self.size = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
        self.real, self.imaginary = self.parameter(hidden_size, input_size), self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> SpectralState:
        return SpectralState(torch.complex(*[self.size.new_zeros(batch_size, self.hidden_size)] * 2))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.polar(torch.sigmoid(self.size).expand(*x.shape[:-1], -1), x @ self.angle.T)
        return decay, torch.complex(x @ self.real.T, x @ self.imaginary.T)


class LRUCell(RotationCell):
    """Real outputs from a complex state: Orvieto et al. 2023, arXiv:2303.06349, equation 2."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = self.parameter(2, hidden_size, hidden_size)

    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        return h.real @ self.read[0].T - h.imag @ self.read[1].T


class S4DState(NamedTuple):
    h: Tensor  # complex (batch, hidden, 3)


class S4DCell(LinearCell[S4DState]):
    """Several complex states for each unit: Gu et al. 2022, arXiv:2206.11893, with hidden_size = input_size."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inward, self.step_size = self.parameter(hidden_size, input_size), self.parameter(hidden_size, 1)
        self.output_real, self.output_imaginary = self.parameter(hidden_size, 3), self.parameter(hidden_size, 3)
        self.skip = self.parameter(hidden_size)

    def initial_state(self, batch_size: int) -> S4DState:
        return S4DState(torch.complex(*[self.skip.new_zeros(batch_size, self.hidden_size, 3)] * 2))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        poles = torch.complex(-torch.full_like(self.output_real[0], 0.5), math.pi * torch.arange(3).to(self.skip))
        decay = torch.exp(self.step_size.exp() * poles)
        return decay, ((decay - 1) / poles) * (x @ self.inward.T).unsqueeze(-1)

    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        read = (torch.complex(self.output_real, self.output_imaginary) * h).sum(-1)
        return 2 * read.real + self.skip * (x @ self.inward.T)


class ComplexStepCell(Cell[SpectralState]):
    """A complex state in a step of its own: only the plain loop can run it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight, self.turn = self.parameter(hidden_size, input_size), self.parameter(hidden_size)

    def initial_state(self, batch_size: int) -> SpectralState:
        return SpectralState(torch.complex(*[self.turn.new_zeros(batch_size, self.hidden_size)] * 2))

    def step(self, x: Tensor, state: SpectralState) -> tuple[Tensor, SpectralState]:
        h = torch.polar(torch.full_like(self.turn, 0.9), self.turn) * state.h + (x @ self.weight.T)
        return h.abs(), SpectralState(h)


LINEAR = [RotationCell, LRUCell, S4DCell]


def problem(kind: type[Cell], dtype: torch.dtype, time: int = 23):
    chance = torch.Generator().manual_seed(7)
    torch.manual_seed(5)
    cell = kind(4, 5).to(dtype)
    inputs = torch.randn(time, 3, 4, generator=chance, dtype=torch.float64).to(dtype).requires_grad_()
    state = cell.initial_state(3)
    part = torch.randn(state[0].shape, generator=chance, dtype=torch.complex128).to(state[0].dtype).requires_grad_()
    return cell, inputs, type(state)(part), torch.tensor([time, 1, max(1, time - 6)])


def results(cell, inputs, state, lengths, backend, reverse=False):
    outputs, final = unroll(cell, inputs, state, lengths=lengths, reverse=reverse, backend=backend)
    parts = [outputs, *final]
    flat = [torch.view_as_real(part) if part.is_complex() else part for part in parts]
    loss = sum((part * torch.linspace(-1, 1, part.numel()).view_as(part).to(part)).sum() for part in flat)
    leaves = {"inputs": inputs, "state": state[0], **dict(cell.named_parameters())}
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return {"output": outputs, "final": final[0], **dict(zip(leaves, gradients, strict=True))}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("time", [1, 7, 23, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", LINEAR)
def test_a_complex_scan_agrees_with_the_plain_loop(kind, dtype, time, ragged, reverse):
    cell, inputs, state, lengths = problem(kind, dtype, time)
    lengths = lengths if ragged else None
    with record_dispatch() as dispatch:
        actual = results(cell, inputs, state, lengths, "auto", reverse)
    assert dispatch.backend == "scan", dispatch.reason
    expected = results(cell, inputs, state, lengths, "reference", reverse)
    assert state[0].dtype == KINDS[dtype]
    for key, right in expected.items():
        assert actual[key].dtype == right.dtype
        assert_close(actual[key], right, **TOLERANCE[dtype], msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("time", [1, 2, 18, 25])
def test_a_complex_scan_passes_gradcheck(time):
    leaves = [torch.randn(*shape, 2, dtype=torch.complex128) for shape in ((time, 2), (time, 2), (2,))]
    assert torch.autograd.gradcheck(linear_scan, [leaf.requires_grad_() for leaf in leaves])


def test_a_complex_step_runs_on_the_plain_loop_and_says_why():
    cell, inputs, state, _ = problem(ComplexStepCell, torch.float32)
    report = explain(cell, inputs.detach())
    assert report.backend == "reference"
    assert "complex" in report.refusals["cpu"]
    with pytest.raises(BackendError, match="complex"):
        unroll(cell, inputs, state, backend="cpu")
    with torch.no_grad():
        stepper = Stepper(cell)
        output, after = stepper(inputs[0], state)
    assert stepper.report.backend == "reference"
    assert_close(after.h, cell.step(inputs[0], state)[1].h)
    assert_close(output, after.h.abs())


def test_a_stack_of_complex_cells_with_real_outputs_reads_both_ways():
    torch.manual_seed(2)
    stack = Recurrent(LRUCell, 4, 6, num_layers=2, bidirectional=True)
    inputs, lengths = torch.randn(9, 3, 4), torch.tensor([9, 2, 5])
    actual = stack(inputs, lengths).outputs
    for _, cell, _ in stack.named_cells():
        assert explain(cell).backend == "scan"
    stack.backend = "reference"
    assert_close(actual, stack(inputs, lengths).outputs, **TOLERANCE[torch.float32])


class RealStart(RotationCell):
    def initial_state(self, batch_size: int) -> SpectralState:
        return SpectralState(self.size.new_zeros(batch_size, self.hidden_size))


@pytest.mark.parametrize("backend", ["auto", "scan", "reference"])
def test_complex_coefficients_on_a_real_state_are_refused(backend):
    with pytest.raises(CellError, match=r"initial_state is float32.*complex64"):
        unroll(RealStart(4, 5), torch.randn(6, 2, 4), backend=backend)


class NarrowReadout(LRUCell):
    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        return h.real[..., :-1]


@pytest.mark.parametrize("backend", ["scan", "reference"])
def test_a_readout_of_another_width_is_refused(backend):
    with pytest.raises(ShapeError, match=r"NarrowReadout.*expected .*5"):
        unroll(NarrowReadout(4, 5), torch.randn(6, 2, 4), backend=backend)


def test_complex_inputs_are_refused_in_words():
    with pytest.raises(ShapeError, match="reads real numbers"):
        unroll(LRUCell(4, 5), torch.randn(6, 2, 4, dtype=torch.complex64))


class ComplexWeightCell(RotationCell):
    """One complex weight in place of two real ones."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        del self.real, self.imaginary, self.angle
        self.inward = torch.nn.Parameter(torch.randn(hidden_size, input_size, dtype=torch.complex64))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(self.size).to(self.inward.dtype), x.to(self.inward.dtype) @ self.inward.T

    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        return h.abs()


def test_a_cell_with_a_complex_weight_trains_saves_and_loads(tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("".join(f"{'good fine' if i % 2 else 'bad poor'} thing {i % 7}\t{i % 2}\n" for i in range(60)))
    model = Classifier(cell=ComplexWeightCell, hidden=8, epochs=3).fit(
        str(data), out=tmp_path / "model", baselines=False, reporter=Reporter()
    )
    assert any(weight.is_complex() for weight in model.model.parameters())
    same = load(tmp_path / "model", cell=ComplexWeightCell)
    assert same.predict(["good thing", "bad thing 3"]) == model.predict(["good thing", "bad thing 3"])
    assert model.trace("good thing").array("layer 1 forward / h imaginary").shape == (2, 8)
