"""Weights to and from torch's own modules, and that both compute the same."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from cases import TOLERANCE, make_cell
from unspool.cells import (
    ElmanCell,
    ElmanReLUCell,
    GRUCell,
    LSTMCell,
    PeepholeLSTMCell,
    ResetBeforeGRUCell,
    from_torch,
    to_torch,
)
from unspool.engine import unroll
from unspool.errors import CellError

MODULES = {
    "tanh": (nn.RNN, {}, ElmanCell),
    "relu": (nn.RNN, {"nonlinearity": "relu"}, ElmanReLUCell),
    "lstm": (nn.LSTM, {}, LSTMCell),
    "gru": (nn.GRU, {}, GRUCell),
}
EXACT = TOLERANCE[torch.float64]


def make_module(kind: str, **options: object) -> nn.RNNBase:
    maker, more, _ = MODULES[kind]
    return maker(4, 6, dtype=torch.float64, **more, **options)


def parts(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", MODULES)
def test_cell_equals_the_module(kind, bias, backend):
    module = make_module(kind, bias=bias)
    cell = from_torch(module)
    assert type(cell) is MODULES[kind][2]
    inputs = torch.randn(9, 3, 4).double()
    start = [torch.randn(3, 6).double() for _ in cell.initial_state(3)]
    outputs, final = unroll(cell, inputs, type(cell.initial_state(1))(*start), backend=backend)
    stacked = tuple(part[None] for part in start)
    expected, expected_final = module(inputs, stacked if len(stacked) > 1 else stacked[0])
    assert_close(outputs, expected, **EXACT)
    assert_close(tuple(final), tuple(part[0] for part in parts(expected_final)), **EXACT)


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("kind", MODULES)
def test_two_bidirectional_layers_equal_the_module_on_packed_sequences(kind, backend):
    module = make_module(kind, bidirectional=True, num_layers=2)
    inputs, lengths = torch.randn(9, 4, 4).double(), torch.tensor([3, 9, 1, 5])
    packed, expected_final = module(pack_padded_sequence(inputs, lengths, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed)
    outputs, finals = inputs, []
    for layer in range(2):
        both = [
            unroll(
                from_torch(module, layer, reverse=reverse), outputs, lengths=lengths, reverse=reverse, backend=backend
            )
            for reverse in (False, True)
        ]
        outputs = torch.cat([output for output, _ in both], dim=-1)
        finals += [final for _, final in both]
    assert_close(outputs, expected, **EXACT)
    for place, final in enumerate(finals):
        assert_close(tuple(final), tuple(part[place] for part in parts(expected_final)), **EXACT)


@pytest.mark.parametrize("kind", MODULES)
def test_there_and_back_keeps_every_weight(kind):
    cell = make_cell(MODULES[kind][2], 4, 6)
    module = to_torch(cell)
    back = from_torch(module)
    assert type(back) is type(cell)
    for (name, weight), again in zip(cell.named_parameters(), back.parameters(), strict=True):
        assert torch.equal(weight, again), name
        assert weight.dtype == again.dtype
        assert again.data_ptr() != weight.data_ptr()
    inputs = torch.randn(5, 2, 4).double()
    assert_close(module(inputs)[0], unroll(cell, inputs)[0], **EXACT)
    with torch.no_grad():
        next(module.parameters()).zero_()  # copies: the cell does not follow
    assert torch.count_nonzero(next(back.parameters())) > 0


@pytest.mark.parametrize(
    "cell", [PeepholeLSTMCell(2, 3), ResetBeforeGRUCell(2, 3)], ids=lambda cell: type(cell).__name__
)
def test_a_cell_that_torch_lacks_is_refused(cell):
    with pytest.raises(CellError, match=f"no module that computes a {type(cell).__name__}; it has one for ElmanCell"):
        to_torch(cell)


@pytest.mark.parametrize(
    ("module", "choice", "message"),
    [
        (nn.LSTM(3, 4, proj_size=2), {}, "an LSTM with a projection has no matching cell"),
        (nn.GRU(3, 4), {"layer": 1}, "has no weights '_l1'; it has 1 layers"),
        (nn.GRU(3, 4), {"reverse": True}, "has no weights '_l0_reverse'"),
    ],
    ids=["projection", "layer", "direction"],
)
def test_a_module_that_has_no_cell_is_refused(module, choice, message):
    with pytest.raises(CellError, match=re.escape(message)):
        from_torch(module, **choice)
