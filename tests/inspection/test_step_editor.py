"""Gates and states changed on the way: in every built-in cell, and in cells that name their gates in odd ways."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool import unroll
from unspool.cells import CELLS, Cell, LinearCell, LSTMCell, cell_class, edit_steps, watch
from unspool.engine import record_dispatch
from unspool.errors import CellError, UsageError
from unspool.inspection import Edit, Recording
from unspool.inspection.editor import Change, DonorSteps, EditedSteps

TIME, INPUT, HIDDEN = 6, 5, 4
OPTIONS = {"ntm": {"slots": 5, "width": 3}, "ntm-feedforward": {"slots": 5, "width": 3}}


def run(cell, inputs, *lines, donor=None, reverse=False):
    """Outputs, final state and recorded arrays of a run with edits."""
    recording = Recording()
    editor = EditedSteps("layer 1", [Change(Edit.parse(line), donor) for line in lines])
    with torch.no_grad(), watch(cell, recording), edit_steps(cell, editor), record_dispatch() as dispatch:
        outputs, state = unroll(cell, inputs, reverse=reverse)
    assert dispatch.backend == "reference"
    return outputs, state, recording.arrays("layer 1", reverse=reverse)


def values_of(cell, inputs, reverse=False):
    donor = DonorSteps()
    with torch.no_grad(), edit_steps(cell, donor):
        outputs, state = unroll(cell, inputs, reverse=reverse)
    return donor.values, outputs, state


def built_in(name):
    return cell_class(name, OPTIONS.get(name, {}))(INPUT, HIDDEN)


def bits(arrays):
    return {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("name", CELLS)
def test_every_value_of_every_cell_can_be_edited_and_a_null_edit_changes_no_bit(name):
    cell, inputs = built_in(name), torch.randn(TIME, 1, INPUT)
    outputs, state, arrays = run(cell, inputs)
    plain, plain_state = unroll(cell, inputs, backend="reference")
    assert torch.equal(outputs, plain)
    assert all(map(torch.equal, state, plain_state))
    for array in arrays:
        if name == "minlstm" and array.endswith("/ input"):
            continue  # recorded as 1 - forget, which is tested below
        again = run(cell, inputs, f"{array} = scale 1 @ 3")
        assert torch.equal(again[0], outputs)
        assert all(map(torch.equal, again[1], state))
        assert bits(again[2]) == bits(arrays)
        changed = run(cell, inputs, f"{array}[2] = 3 @ 3")
        expected = arrays[array][2].copy()
        expected[1] = 3
        assert changed[2][array][2].tolist() == expected.tolist()
        assert torch.equal(changed[0][:2], outputs[:2])
        moved = {other for other in arrays if (changed[2][other][2:] != arrays[other][2:]).any()}
        assert len(moved) > 1 or (changed[2][array][3:] != arrays[array][3:]).any(), f"{array} changed nothing else"


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", CELLS)
def test_the_whole_state_of_another_text_gives_its_continuation_bit_for_bit(name, reverse):
    cell, ours, theirs = built_in(name), torch.randn(TIME, 1, INPUT), torch.randn(TIME, 1, INPUT)
    donor, outputs, state = values_of(cell, theirs, reverse)
    rest = slice(0, 3) if reverse else slice(3, TIME)
    mixed = ours.clone()
    mixed[rest] = theirs[rest]
    at = 4 if reverse else 3
    edited, final, _ = run(cell, mixed, f"layer 1 / state = copy 'x' @ {at}", donor=donor, reverse=reverse)
    same = slice(0, 4) if reverse else slice(2, TIME)
    assert torch.equal(edited[same], outputs[same])
    assert all(map(torch.equal, final, state))
    before = slice(4, TIME) if reverse else slice(0, 2)
    assert not torch.equal(edited[before], outputs[before])


def test_a_gate_of_an_lstm_against_its_equations():
    cell, inputs = LSTMCell(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT)
    h = c = torch.zeros(1, HIDDEN)
    expected = []
    with torch.no_grad():
        for step, x in enumerate(inputs):
            sums = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)
            i, f, g, o = sums.chunk(4, -1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            if step in (1, 2):
                f = f.clone()
                f[:, [0, 2]] = 0.25
            if step == 3:
                o = o[:, [0, 3, 2, 1]]
                i = 2 * i
            c = f * c + i * g
            h = o * c.tanh()
            expected.append(h)
    lines = ["layer 1 / forget[1,3] = 0.25 @ 2-3", "layer 1 / output[2,4] = swap @ 4", "layer 1 / input = scale 2 @ 4"]
    assert torch.equal(run(cell, inputs, *lines)[0], torch.stack(expected))


def test_an_edit_of_the_cell_state_counts_from_the_next_step_and_of_the_output_state_at_once():
    cell, inputs = LSTMCell(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT)
    outputs, _, _ = run(cell, inputs)
    c, _, arrays = run(cell, inputs, "layer 1 / c[2] = 0.5 @ 3")
    assert torch.equal(c[:3], outputs[:3])
    assert not torch.equal(c[3], outputs[3])
    assert arrays["layer 1 / c"][2, 1] == 0.5
    h, _, arrays = run(cell, inputs, "layer 1 / h[2] = 0.5 @ 3")
    assert torch.equal(h[:2], outputs[:2])
    assert h[2, 0, 1] == 0.5
    assert not torch.equal(h[3], outputs[3])


def test_gates_copied_from_another_text():
    cell, ours, theirs = built_in("gru"), torch.randn(TIME, 1, INPUT), torch.randn(TIME + 2, 1, INPUT)
    donor, _, _ = values_of(cell, theirs)
    _, _, arrays = run(cell, ours, "layer 1 / update[1,3] = copy 'x' step 8 @ 2", donor=donor)
    _, _, own = run(cell, ours)
    expected = own["layer 1 / update"][1].copy()
    expected[[0, 2]] = donor[7]["update"][0, [0, 2]].numpy()
    assert arrays["layer 1 / update"][1].tolist() == expected.tolist()
    with pytest.raises(UsageError, match="copies from token 9 of 'x', which has 8 tokens"):
        run(cell, ours, "layer 1 / update = copy 'x' step 9 @ 2", donor=donor)


def test_a_slot_of_a_memory_is_a_row():
    cell, inputs = built_in("ntm"), torch.randn(TIME, 1, INPUT)
    _, _, arrays = run(cell, inputs)
    _, state, edited = run(cell, inputs, "layer 1 / memory slot 4 = 0.5 @ 6", "layer 1 / memory slot 2[3] = -2 @ 6")
    expected = arrays["layer 1 / memory"][5].reshape(5, 3).copy()
    expected[3], expected[1, 2] = 0.5, -2
    assert edited["layer 1 / memory"][5].reshape(5, 3).tolist() == expected.tolist()
    assert state.memory[0].tolist() == expected.tolist()
    with pytest.raises(UsageError, match="layer 1 / memory has 5 slots or heads, so there is no 6"):
        run(cell, inputs, "layer 1 / memory slot 6 = 0")
    with pytest.raises(UsageError, match="layer 1 / h has no slots or heads"):
        run(cell, inputs, "layer 1 / h slot 1 = 0")


class OneState(NamedTuple):
    h: Tensor


class OddCell(Cell[OneState]):
    """Names gates that are views, slices, written in place, arguments, copies, or used before they were complete."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(2 * hidden_size, input_size + hidden_size)

    def initial_state(self, batch_size: int) -> OneState:
        return OneState(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: OneState) -> tuple[Tensor, OneState]:
        both = torch.sigmoid(F.linear(torch.cat([x, state.h], -1), self.weight))
        left, right = both.chunk(2, -1)
        clamped = right * 3 - 1
        clamped.clamp_(0, 1)
        heads = torch.tanh(left).unflatten(1, (2, -1))
        same = heads.to(heads.dtype)
        h = 0.5 * state.h + clamped * same.flatten(1)
        self.record(left=left, clamped=clamped, heads=heads.flatten(1), copy=right.clone(), slice=both[:, :2], x=x)
        return h.clone(), OneState(h)


def odd(h, x, weight, **changes):
    """One step of `OddCell`, with functions in place of its gates."""
    left, right = torch.sigmoid(F.linear(torch.cat([x, h], -1), weight)).chunk(2, -1)
    keep = {name: changes.get(name, lambda value: value) for name in ("left", "clamped", "heads")}
    heads = keep["heads"](torch.tanh(keep["left"](left)))
    return 0.5 * h + keep["clamped"]((right * 3 - 1).clamp(0, 1)) * heads


@pytest.mark.parametrize("name", ["left", "clamped", "heads"])
def test_a_cell_of_ones_own(name):
    cell, inputs = OddCell(INPUT, HIDDEN), torch.randn(TIME, 2, INPUT)

    def change(value):
        value = value.clone()
        value[:, 2] = 0.375
        return value

    h, expected = torch.zeros(2, HIDDEN), []
    with torch.no_grad():
        for step, x in enumerate(inputs):
            h = odd(h, x, cell.weight, **({name: change} if step == 2 else {}))
            expected.append(h)
    before = cell.weight.clone()
    outputs, _, arrays = run(cell, inputs, f"layer 1 / {name}[3] = 0.375 @ 3")
    torch.testing.assert_close(outputs, torch.stack(expected))
    assert arrays[f"layer 1 / {name}"][2, 2] == 0.375
    assert torch.equal(cell.weight, before)


@pytest.mark.parametrize("name", ["copy", "slice", "x"])
def test_says_that_an_edit_of_a_copy_has_no_effect(name):
    with pytest.raises(UsageError, match=f"an edit of layer 1 / {name} would have no effect: OddCell records a value"):
        run(OddCell(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT), f"layer 1 / {name} = 0")


def test_minlstm_records_an_input_gate_that_nothing_reads():
    with pytest.raises(UsageError, match="an edit of layer 1 / input would have no effect: MinLSTMCell"):
        run(built_in("minlstm"), torch.randn(TIME, 1, INPUT), "layer 1 / input = 0")


def test_says_what_there_is():
    cell, inputs = LSTMCell(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT)
    with pytest.raises(UsageError, match="layer 1 has no 'forgot'; it has input, forget, candidate, output, h, c"):
        run(cell, inputs, "layer 1 / forgot = 0")
    with pytest.raises(UsageError, match="layer 1 / forget has units 1 to 4, so there is no unit 5"):
        run(cell, inputs, "layer 1 / forget[5] = 0")
    with pytest.raises(UsageError, match="layer 1 / h has units 1 to 4, so there is no unit 9"):
        run(cell, inputs, "layer 1 / h[9] = 0")


class Fickle(LSTMCell):
    """Does something else each time."""

    calls = 0

    def step(self, x, state, *context):
        self.calls += 1
        return super().step(x.abs() if self.calls % 2 else x, state)


def test_says_that_a_step_does_not_repeat():
    with pytest.raises(CellError, match="does other operations when it runs again"):
        run(Fickle(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT), "layer 1 / forget = 0")


class ComplexState(NamedTuple):
    h: Tensor


class Rotation(LinearCell[ComplexState]):
    """A linear cell with a complex state, read out as its real part."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight, self.angle = self.parameter(hidden_size, input_size), self.parameter(hidden_size)

    def initial_state(self, batch_size: int) -> ComplexState:
        return ComplexState(torch.zeros(batch_size, self.hidden_size, dtype=torch.complex64))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.polar(torch.full_like(self.angle, 0.9), self.angle), F.linear(x, self.weight).to(torch.complex64)

    def readout(self, x: Tensor, h: Tensor) -> Tensor:
        return h.real + x.mean(-1, keepdim=True)


def test_the_output_of_a_linear_cell_is_read_from_the_edited_state():
    cell, inputs = Rotation(INPUT, HIDDEN), torch.randn(TIME, 1, INPUT)
    outputs, _, arrays = run(cell, inputs)
    assert torch.equal(run(cell, inputs, "layer 1 / h = scale 1")[0], outputs)
    edited, _, after = run(cell, inputs, "layer 1 / h real[2] = 3 @ 2", "layer 1 / h imaginary[3] = 4 @ 2")
    assert edited[1, 0, 1].item() == pytest.approx(3 + inputs[1].mean().item())
    assert after["layer 1 / h real"][1, 1] == 3
    assert after["layer 1 / h imaginary"][1, 2] == 4
    assert after["layer 1 / h imaginary"][1, 1] == arrays["layer 1 / h imaginary"][1, 1]
    assert edited[1, 0, 2] == outputs[1, 0, 2]
    assert edited[2, 0, 2] != outputs[2, 0, 2]


def test_recorded_values_keep_their_order_and_come_once():
    names = []

    class Names:
        def add(self, name, value):
            names.append(name)

    cell, inputs = LSTMCell(INPUT, HIDDEN), torch.randn(2, 1, INPUT)
    editor = EditedSteps("layer 1", [Change(Edit.parse("layer 1 / forget[1] = 0 @ 1"))])
    with torch.no_grad(), watch(cell, Names()), edit_steps(cell, editor):
        unroll(cell, inputs)
    assert names == 2 * ["input", "forget", "candidate", "output", "h", "c"]


@pytest.mark.parametrize("name", ["lstm", "mingru"])
def test_edits_of_one_step_count_in_their_order(name):
    cell, ours, theirs = built_in(name), torch.randn(TIME, 1, INPUT), torch.randn(TIME, 1, INPUT)
    donor, theirs_outputs, _ = values_of(cell, theirs)
    copied, _, _ = run(cell, ours, "layer 1 / state = copy 'x' @ 2", "layer 1 / h[3] = 4 @ 2", donor=donor)
    expected = theirs_outputs[1].clone()
    expected[:, 2] = 4
    assert torch.equal(copied[1], expected)
    last, _, _ = run(cell, ours, "layer 1 / h[3] = 4 @ 2", "layer 1 / state = copy 'x' @ 2", donor=donor)
    assert torch.equal(last[1], theirs_outputs[1])
