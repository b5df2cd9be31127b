"""The step editor of mean ablation, on every kind of state, against steps made by hand."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from unspool import Cell, Recurrent, unroll
from unspool.cells import edit_steps, watch
from unspool.inspection import Recording
from unspool.inspection.concepts.ablation import Clamp, StateRecorder, quantities, state_parts


class LeakyState(NamedTuple):
    h: torch.Tensor


class LeakyCell(Cell[LeakyState]):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.weight_hh = (
            self.parameter(hidden_size, input_size),
            self.parameter(hidden_size, hidden_size),
        )

    def initial_state(self, batch_size):
        return LeakyState(self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state):
        h = 0.9 * state.h + 0.1 * torch.tanh(F.linear(x, self.weight_ih) + F.linear(state.h, self.weight_hh))
        return h, LeakyState(h)


def test_a_clamped_lstm_unit_equals_steps_by_hand():
    cell = Recurrent("lstm", 3, 5).layers[0][0]
    inputs = torch.randn(6, 2, 3)
    with torch.no_grad(), edit_steps(cell, Clamp({"h": {2: 0.25}, "c": {2: -1.5}})):
        outputs, final = unroll(cell, inputs, cell.initial_state(2))
    state, expected = cell.initial_state(2), []
    with torch.no_grad():
        for x in inputs:
            h, state = cell.step(x, state)
            h, c = state.h.clone(), state.c.clone()
            h[:, 2], c[:, 2] = 0.25, -1.5
            state = type(state)(h, c)
            expected.append(h)
    assert torch.equal(outputs, torch.stack(expected))
    assert torch.equal(final.c, state.c)


def test_a_custom_cell_and_its_output_are_clamped():
    cell = LeakyCell(3, 4)
    with torch.no_grad(), edit_steps(cell, Clamp({"h": {1: 7.0, 3: -7.0}})):
        outputs, _ = unroll(cell, torch.randn(5, 2, 3), cell.initial_state(2))
    assert (outputs[:, :, 1] == 7).all()
    assert (outputs[:, :, 3] == -7).all()
    assert outputs[:, :, [0, 2]].abs().max() < 1.5


def test_without_units_nothing_changes():
    cell = LeakyCell(3, 4)
    inputs = torch.randn(5, 2, 3)
    with torch.no_grad():
        plain, _ = unroll(cell, inputs, cell.initial_state(2), backend="reference")
        with edit_steps(cell, Clamp({"h": {}})):
            edited, _ = unroll(cell, inputs, cell.initial_state(2))
    assert torch.equal(plain, edited)


def test_the_recorder_returns_states_in_the_order_of_the_text():
    stack = Recurrent("gru", 3, 4, bidirectional=True)
    inputs, lengths = torch.randn(7, 2, 3), torch.tensor([7, 4])
    for _, cell, reverse in stack.named_cells():
        recorder, recording = StateRecorder(["h"], reverse=reverse), Recording()
        with torch.no_grad(), watch(cell, recorder):
            unroll(cell, inputs, cell.initial_state(2), lengths=lengths, reverse=reverse)
        with torch.no_grad(), watch(cell, recording):
            unroll(cell, inputs, cell.initial_state(2), lengths=lengths, reverse=reverse)
        taken = recorder.take()["h"]
        for column, length in enumerate((7, 4)):
            expected = recording.arrays("x", column=column, length=length, reverse=reverse)["x / h"]
            assert (taken[:length, column] == expected).all()


def test_complex_parts_are_two_quantities():
    values = torch.complex(torch.ones(2, 1, 3), torch.full((2, 1, 3), 2.0)).numpy()
    parts = quantities("h", values)
    assert {name: float(array[0, 0, 0]) for name, array in parts.items()} == {"h real": 1.0, "h imaginary": 2.0}
    assert state_parts(Recurrent("lstm", 3, 5).layers[0][0]) == {"h": (5, False), "c": (5, False)}
