"""Pruned cells equal cells whose units are clamped at zero, on every path of the engine; or they are refused."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from cases import TOLERANCE, ConstantDecayCell, DecayCell, HalvedLSTMCell, PairCell
from unspool import Recurrent
from unspool.cells import CELLS, ElmanReLUCell, GRUCell, HyperLSTMCell, LSTMCell, edit_steps
from unspool.engine import unroll
from unspool.errors import UsageError
from unspool.inspection.concepts.ablation import Clamp
from unspool.inspection.pruning import prune_cell, weights_of_units

KINDS = {name: kind for name, kind in CELLS.items() if not name.startswith("ntm")} | {
    "own, linear": DecayCell,
    "own, a weight as decay": ConstantDecayCell,
    "hyperlstm, normalised": lambda *sizes: HyperLSTMCell(*sizes, layer_norm=True),
}
SIZES = [(5, 9, (2, 6)), (9, 9, (0,)), (1, 4, (0, 1, 3)), (4, 17, (16,))]  # input, hidden, units


def random_cell(kind, *sizes, seed=1):
    cell = kind(*sizes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in cell.parameters():
            scale = 0.4 if weight.dim() < 2 else 1.3 * weight.shape[-1] ** -0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return cell


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_a_pruned_cell_is_the_clamped_cell(name, size):
    width, hidden, units = size
    cell = random_cell(KINDS[name], width, hidden)
    pruned = deepcopy(cell)
    weights = prune_cell(pruned, units, "layer 1")
    changed = sum(int((new != old).sum()) for new, old in zip(pruned.parameters(), cell.parameters(), strict=True))
    assert changed == weights > 0
    inputs, lengths = torch.randn(13, 5, width), torch.tensor([13, 1, 7, 12, 2])
    part = cell.initial_state(1)._fields[0]
    for reverse in (False, True):
        with torch.no_grad(), edit_steps(cell, Clamp({part: dict.fromkeys(units, 0.0)})):
            expected, _ = unroll(cell, inputs, lengths=lengths, reverse=reverse)
        for backend in ("auto", "reference"):
            with torch.no_grad():
                outputs, state = unroll(pruned, inputs, lengths=lengths, reverse=reverse, backend=backend)
            assert outputs[..., list(units)].count_nonzero() == 0
            assert state[0][:, list(units)].count_nonzero() == 0
            torch.testing.assert_close(outputs, expected, **TOLERANCE[torch.float32])
        assert torch.equal(outputs, expected)  # the plain loop of both, to the bit
    with torch.no_grad():
        assert (unroll(cell, inputs, lengths=lengths)[0] - outputs).abs().max() > 1e-2  # the units mattered


def test_the_weights_of_an_lstm_unit_are_its_rows():
    masks = weights_of_units(LSTMCell(3, 4), [1])
    assert set(masks) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
    for name, mask in masks.items():
        rows = mask if mask.dim() == 1 else mask.all(1)
        assert rows.nonzero().flatten().tolist() == [1, 5, 9, 13], name  # of i, f, g and o
        assert torch.equal(mask, (rows if mask.dim() == 1 else rows[:, None]).expand_as(mask))


@pytest.mark.parametrize("kind", [CELLS["ntm"], CELLS["ntm-feedforward"], PairCell, HalvedLSTMCell], ids=str)
def test_a_cell_that_zeros_do_not_silence_is_refused_and_stays_as_it_is(kind):
    cell = random_cell(kind, 3, 7)
    before = deepcopy(cell.state_dict())
    with pytest.raises(UsageError, match=r"units 3,7 of layer 2 can't be pruned.*keep the clamp as an edit") as raised:
        prune_cell(cell, [2, 6], "layer 2")
    assert "\n" not in raised.value.message
    assert all(torch.equal(weight, before[name]) for name, weight in cell.state_dict().items())


def test_a_rectified_unit_that_sleeps_on_random_inputs_is_pruned_too():
    cell = random_cell(ElmanReLUCell, 3, 6)
    with torch.no_grad():
        cell.bias_ih[[1, 4]] = -60.0  # both sleep unless an input is large
    other = cell.weight_ih[4].clone()
    prune_cell(cell, [1], "layer 1")
    assert cell.weight_ih[1].count_nonzero() == cell.bias_ih[1] == 0
    assert torch.equal(cell.weight_ih[4], other)
    assert cell.bias_ih[4] == -60


def test_pruning_keeps_the_random_state_and_the_gradients_on():
    cell = random_cell(GRUCell, 3, 5)
    before = torch.get_rng_state()
    prune_cell(cell, [3], "layer 1")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.requires_grad and weight.grad is None for weight in cell.parameters())


@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_with_residual_connections_reads_the_rest(residual):
    stack = Recurrent("gru", 6, 6, num_layers=2, residual=residual).eval()
    pruned = deepcopy(stack)
    prune_cell(pruned.layers[0][0], [2], "layer 1")
    inputs = torch.randn(7, 3, 6)
    with torch.no_grad(), edit_steps(stack.layers[0][0], Clamp({"h": {2: 0.0}})):
        expected = stack(inputs).outputs
    with torch.no_grad():
        torch.testing.assert_close(pruned(inputs).outputs, expected, rtol=1e-6, atol=1e-6)


def test_a_cell_without_weights_is_refused():
    class Empty(GRUCell):
        def __init__(self, input_size, hidden_size):
            super(GRUCell, self).__init__(input_size, hidden_size)
            self.weight_hh = nn.Buffer(torch.ones(1))

        def step(self, x, state):
            h = torch.tanh(state.h + x.sum(1, keepdim=True))
            return h, type(state)(h)

    with pytest.raises(UsageError, match="Empty"):
        prune_cell(Empty(2, 3), [0], "layer 1")
