"""Named initialisations: what each does to which rows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from cases import ALL_CELLS
from unspool.layers import Recurrent, initialize

GATED = {
    "lstm": 1,
    "lstm-peephole": 1,
    "lstm-layernorm": 1,
    "mlstm": 1,
    "hyperlstm": 1,
    "own-renamed-lstm": 1,
    "minlstm": 0,
}  # the forget rows
WITHOUT = ["elman", "gru", "gru-reset-before", "mingru", "own-pair"]


def bias_sum(cell: nn.Module) -> Tensor:
    return sum(parameter for name, parameter in cell.named_parameters() if name.startswith("bias"))


@pytest.mark.parametrize("how", ["default", "orthogonal", "identity", "small"])
@pytest.mark.parametrize(("name", "row"), GATED.items())
def test_forget_bias_lands_in_the_forget_rows_only_and_only_once(name, row, how):
    torch.manual_seed(1)
    cell = ALL_CELLS[name](3, 7)
    torch.manual_seed(1)
    before = ALL_CELLS[name](3, 7)
    initialize(cell, how, forget_bias=1.5)
    rows = slice(7 * row, 7 * row + 7)
    total = bias_sum(cell)
    assert_close(total[rows], torch.full((7,), 1.5))
    others = torch.ones_like(total, dtype=torch.bool)
    others[rows] = False
    assert_close(total[others], bias_sum(before)[others] if how == "default" else torch.zeros(int(others.sum())))


@pytest.mark.parametrize("name", WITHOUT)
def test_cells_without_a_forget_gate_keep_their_biases(name):
    torch.manual_seed(1)
    cell = ALL_CELLS[name](3, 7)
    torch.manual_seed(1)
    before = ALL_CELLS[name](3, 7)
    initialize(cell, forget_bias=1.5)
    for one, other in zip(cell.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["elman", "elman-relu", "lstm", "lstm-peephole", "lstm-layernorm", "gru"])
def test_orthogonal_blocks_are_orthogonal_gate_by_gate(name):
    cell = ALL_CELLS[name](3, 7)
    initialize(cell, "orthogonal")
    gates = len(cell.gates)
    blocks = cell.weight_hh.split(7)
    assert len(blocks) == gates
    for block in blocks:
        assert_close(block @ block.T, torch.eye(7))
    assert not any(torch.allclose(blocks[0], other) for other in blocks[1:])
    bound = math.sqrt(6 / (3 + 7))  # Glorot, of one gate's block rather than of all rows together
    for block in cell.weight_ih.split(7):
        assert 0.75 * bound < block.abs().max() <= bound
    assert torch.count_nonzero(bias_sum(cell)) == 0


def test_the_factors_of_a_multiplicative_cell_are_one_block_each():
    cell = ALL_CELLS["mlstm"](3, 7)
    initialize(cell, "orthogonal")
    for block in (cell.weight_mh, *cell.weight_hh.split(7)):
        assert_close(block @ block.T, torch.eye(7))
    bound = math.sqrt(6 / (3 + 7))
    assert 0.75 * bound < cell.weight_mx.abs().max() <= bound


def test_identity_blocks_are_identity_matrices():
    cell = ALL_CELLS["lstm"](3, 7)
    initialize(cell, "identity")
    for block in cell.weight_hh.split(7):
        assert torch.equal(block, torch.eye(7))
    assert torch.count_nonzero(bias_sum(cell)) == 0
    assert torch.count_nonzero(cell.weight_ih) == cell.weight_ih.numel()


def test_small_is_small_everywhere():
    cell = ALL_CELLS["gru"](30, 40)
    initialize(cell, "small")
    for weight in (cell.weight_ih, cell.weight_hh):
        assert 0.048 < weight.abs().max() <= 0.05
        assert weight.std().item() == pytest.approx(0.05 / math.sqrt(3), rel=0.03)
    assert torch.count_nonzero(bias_sum(cell)) == 0


def test_default_changes_nothing():
    torch.manual_seed(1)
    cell = ALL_CELLS["lstm"](3, 7)
    torch.manual_seed(1)
    before = ALL_CELLS["lstm"](3, 7)
    initialize(cell)
    for one, other in zip(cell.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_cell_of_a_model_is_reached_and_nothing_else():
    model = nn.ModuleDict({"stack": Recurrent("lstm", 3, 4, num_layers=2, bidirectional=True), "out": nn.Linear(8, 2)})
    before = model["out"].weight.clone()
    initialize(model, "orthogonal", forget_bias=1.0)
    for _, cell, _ in model["stack"].named_cells():
        assert_close(cell.weight_hh[:4] @ cell.weight_hh[:4].T, torch.eye(4))
        assert_close(bias_sum(cell)[4:8], torch.ones(4))
    assert torch.equal(model["out"].weight, before)


def test_norm_gains_stay_one():
    cell = ALL_CELLS["lstm-layernorm"](3, 7)
    initialize(cell, "small", forget_bias=1.0)
    assert torch.equal(cell.gain_hh, torch.ones(28))
    assert torch.equal(cell.gain_c, torch.ones(7))
