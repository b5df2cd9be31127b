"""Stacks against the same cells run one by one."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from cases import OWN, TOLERANCE, PairCell
from unspool.cells import CELLS, ElmanCell, LSTMCell, from_torch
from unspool.engine import record_dispatch, unroll
from unspool.errors import BackendError, SettingError, ShapeError
from unspool.layers import Recurrent, drop_weights

EXACT = TOLERANCE[torch.float64]
LENGTHS = torch.tensor([7, 1, 4])


def inputs_of(width: int, time: int = 7) -> torch.Tensor:
    inputs = torch.randn(time, 3, width).double()
    if time == 7:
        inputs[torch.arange(7)[:, None] >= LENGTHS] = float("nan")
    return inputs


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru", PairCell], ids=str)
def test_stack_equals_its_cells_one_by_one(cell, num_layers, bidirectional, residual):
    stack = Recurrent(cell, 4, 5, num_layers=num_layers, bidirectional=bidirectional, residual=residual).double()
    directions = 2 if bidirectional else 1
    inputs = inputs_of(4)
    outputs, state = stack(inputs, LENGTHS)
    expected = inputs
    for depth in range(num_layers):
        both = [
            unroll(stack.layers[depth][k], expected, lengths=LENGTHS, reverse=k == 1, backend="reference")
            for k in range(directions)
        ]
        joined = torch.cat([output for output, _ in both], dim=-1)
        expected = expected + joined if residual and depth > 0 else joined
        for k in range(directions):
            assert_close(tuple(state[depth][k]), tuple(both[k][1]), **EXACT)
    assert len(state) == num_layers
    assert outputs.shape[-1] == stack.output_size == 5 * directions
    assert_close(outputs, expected, **EXACT)


def test_a_residual_first_layer_adds_its_input_and_leaves_the_padding_zero():
    stack = Recurrent("gru", 5, 5, residual=True).double()
    inputs = inputs_of(5)
    outputs, _ = stack(inputs, LENGTHS)
    alone, _ = unroll(stack.layers[0][0], inputs, lengths=LENGTHS)
    padding = torch.arange(7)[:, None] >= LENGTHS
    assert_close(outputs[~padding], (inputs + alone)[~padding], **EXACT)
    assert torch.count_nonzero(outputs[padding]) == 0


def test_stack_equals_a_bidirectional_lstm_of_torch():
    module = nn.LSTM(4, 5, num_layers=2, bidirectional=True, dtype=torch.float64)
    stack = Recurrent("lstm", 4, 5, num_layers=2, bidirectional=True).double()
    for depth in range(2):
        for k in range(2):
            stack.layers[depth][k].load_state_dict(from_torch(module, depth, reverse=k == 1).state_dict())
    inputs = inputs_of(4, time=6)
    outputs, state = stack(inputs)
    expected, (h, c) = module(inputs)
    assert_close(outputs, expected, **EXACT)
    assert_close(torch.stack([state[depth][k].h for depth in range(2) for k in range(2)]), h, **EXACT)
    assert_close(torch.stack([state[depth][k].c for depth in range(2) for k in range(2)]), c, **EXACT)


@pytest.mark.parametrize("cell", [*CELLS, *OWN.values()], ids=str)
def test_state_out_and_in_goes_on_where_it_stopped(cell):
    stack = Recurrent(cell, 4, 5, num_layers=2).double()
    inputs = inputs_of(4, time=9)
    whole, final = stack(inputs)
    first, middle = stack(inputs[:4])
    second, end = stack(inputs[4:], None, middle)
    assert_close(torch.cat([first, second]), whole, **EXACT)
    for layer, expected in zip(end, final, strict=True):
        assert_close(tuple(layer[0]), tuple(expected[0]), **EXACT)
    from_start, _ = stack(inputs, None, stack.initial_state(3))
    assert_close(from_start, whole, **EXACT)


def test_what_does_not_fit_is_refused():
    stack = Recurrent("gru", 4, 5, num_layers=2)
    with pytest.raises(ShapeError, match=re.escape("inputs have shape (6, 3, 5), expected (time, batch, 4)")):
        stack(torch.zeros(6, 3, 5))
    with pytest.raises(ShapeError, match="lengths lie between 0 and 6"):
        stack(torch.zeros(6, 2, 4), torch.tensor([6, 0]))
    with pytest.raises(ShapeError, match="state has 1 layers, expected 2"):
        stack(torch.zeros(6, 2, 4), None, stack.initial_state(2)[:1])
    with pytest.raises(SettingError, match="sizes 4, 0 and 1 layers must all be at least 1"):
        Recurrent("gru", 4, 0)
    with pytest.raises(SettingError, match="did you mean 'gru'"):
        Recurrent("grue", 4, 5)
    with pytest.raises(BackendError, match="can't run this"):
        Recurrent("lstm", 4, 5, backend="scan")(torch.zeros(6, 2, 4))


def test_cells_are_named_for_the_reader():
    names = [(name, reverse) for name, _, reverse in Recurrent("gru", 4, 5, num_layers=2).named_cells()]
    assert names == [("layer 1", False), ("layer 2", False)]
    stack = Recurrent("gru", 4, 5, bidirectional=True)
    assert [(name, reverse) for name, _, reverse in stack.named_cells()] == [
        ("layer 1 forward", False),
        ("layer 1 backward", True),
    ]
    assert [cell for _, cell, _ in stack.named_cells()] == list(stack.layers[0])


class MirrorCell(ElmanCell):
    """Shows its input, so that what reaches a layer can be read off its output."""

    def step(self, x, state, *context):
        return x, state


@pytest.mark.parametrize("variational", [False, True], ids=["ordinary", "variational"])
def test_dropout_between_layers(variational):
    stack = Recurrent(MirrorCell, 50, 50, num_layers=3, dropout=0.4, variational=variational)
    outputs, _ = stack(torch.ones(20, 30, 50))
    values = outputs.unique()
    kept = 0.6 if variational else 1 - round(0.4 * 2**16) / 2**16  # 16 random bits decide
    assert_close(values, torch.tensor([0, 1 / kept**2]))  # between layers one and two, and two and three
    assert outputs.mean().item() == pytest.approx(1, abs=0.1)
    assert (outputs == 0).float().mean().item() == pytest.approx(1 - 0.36, abs=0.03)
    assert bool((outputs == outputs[:1]).all()) == variational
    assert not bool((outputs == outputs[:, :1]).all())
    assert torch.equal(stack.eval()(torch.ones(20, 30, 50)).outputs, torch.ones(20, 30, 50))


def test_one_layer_has_nothing_between_layers():
    stack = Recurrent(MirrorCell, 5, 5, dropout=0.9)
    assert torch.equal(stack(torch.ones(4, 2, 5)).outputs, torch.ones(4, 2, 5))


@pytest.mark.parametrize("cell", ["lstm", "lstm-peephole"])
def test_weight_dropout_keeps_one_mask_for_all_steps(cell):
    """With a mask of its own at each step, no fixed weight could give the same outputs."""
    stack = Recurrent(cell, 4, 5, weight_dropout=0.5).double()
    inner = stack.layers[0][0]
    inputs = inputs_of(4, time=9)
    raw = inner.weight_hh.detach().clone()
    torch.manual_seed(3)
    with record_dispatch() as dispatch:
        outputs, _ = stack(inputs)
    assert dispatch.backend == "cpu"
    torch.manual_seed(3)
    with drop_weights(inner, 0.5):
        mask = inner.weight_hh.detach() / raw
    assert_close(mask.unique(), torch.tensor([0.0, 2.0]).double())
    with torch.no_grad():
        inner.weight_hh.mul_(mask)
    stack.eval()
    expected, _ = stack(inputs)
    assert_close(outputs, expected, **EXACT)
    with torch.no_grad():
        inner.weight_hh.copy_(raw)
    assert not torch.allclose(stack(inputs).outputs, outputs)


def test_weight_dropout_restores_the_weights_and_their_order():
    stack = Recurrent("lstm", 4, 5, weight_dropout=0.5)
    inner = stack.layers[0][0]
    names, before = list(stack.state_dict()), {key: value.clone() for key, value in stack.state_dict().items()}
    same = list(inner.parameters())
    stack(torch.randn(6, 2, 4))
    with pytest.raises(ShapeError):
        stack(torch.randn(6, 2, 3))
    with drop_weights(inner, 0.5):
        assert "weight_hh" not in dict(inner.named_parameters())
    assert list(stack.state_dict()) == names
    assert all(one is other for one, other in zip(inner.parameters(), same, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in stack.state_dict().items())


def test_weight_dropout_lets_the_gradient_through_to_the_raw_weight():
    inner = LSTMCell(4, 5).double()
    inputs = inputs_of(4, time=5)
    torch.manual_seed(5)
    with drop_weights(inner, 0.5):
        dropped = inner.weight_hh
        outputs, _ = unroll(inner, inputs)
    (gradient,) = torch.autograd.grad(outputs.square().sum(), inner.weight_hh)
    kept = dropped.detach() != 0
    assert 20 < kept.sum() < 80
    assert torch.count_nonzero(gradient[~kept]) == 0
    assert torch.count_nonzero(gradient[kept]) == kept.sum()
    with drop_weights(inner.eval(), 0.5):
        assert isinstance(inner.weight_hh, nn.Parameter)


@pytest.mark.parametrize("cell", ["lstm", "gru-reset-before"])
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_that_writes_makes_compiled_steps_and_finds_the_same(cell, residual):
    stack = Recurrent(cell, 6, 6, num_layers=2, residual=residual).double().eval()
    inputs, state = torch.randn(4, 3, 6).double(), stack.initial_state(3)
    with torch.no_grad():
        whole = stack(inputs)
        for copied in (stack, copy.deepcopy(stack)):
            after, outputs = state, []
            for x in inputs:
                with record_dispatch() as dispatch:
                    output, after = copied(x.unsqueeze(0), None, after)
                assert [report.backend for report in dispatch.reports] == ["cpu", "cpu"]
                outputs.append(output)
            assert_close(torch.cat(outputs), whole.outputs, rtol=1e-11, atol=1e-11)
            assert_close(after, whole.state, rtol=1e-11, atol=1e-11)
        stack.layers[1][0] = type(stack.layers[1][0])(6, 6).double()  # another cell in the place of one
        actual, right = stack(inputs[:1], None, state), stack(inputs[:1])
        assert_close(actual.outputs, right.outputs, rtol=1e-11, atol=1e-11)
    with record_dispatch() as dispatch:  # with gradients it runs as ever
        stack(inputs[:1], None, state).outputs.sum().backward()
    assert dispatch.backend != "cpu"
    assert stack.layers[0][0].weight_hh.grad is not None
