"""Weight initialisation of recurrent cells, by name: default, orthogonal, identity, small."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from unspool.cells import Cell

__all__ = ["Initialization", "initialize"]

Initialization = Literal["default", "orthogonal", "identity", "small"]


@torch.no_grad()
def initialize(model: nn.Module, how: Initialization = "default", *, forget_bias: float | None = None) -> None:
    """Initialise the weights of every cell in a model.

    Args:
        model: The model.
        how: `default` keeps the uniform ±1/√hidden of `torch.nn`. `orthogonal` makes each square recurrent block
            orthogonal (Saxe et al. 2014, arXiv:1312.6120) and the other blocks Glorot uniform. `identity` makes the
            recurrent blocks identity matrices (Le et al. 2015, arXiv:1504.00941). `small` draws all weights from ±0.05
            (Zaremba et al. 2014, arXiv:1409.2329) and sets biases to zero.
        forget_bias: Initial bias of the forget gate, for cells that have one (1 in Jozefowicz et al. 2015). None: as
            `how` sets it.
    """
    for cell in model.modules():
        if isinstance(cell, Cell):
            _initialize_cell(cell, how)
            if forget_bias is not None:
                _set_forget_bias(cell, forget_bias)


def _initialize_cell(cell: Cell[Any], how: Initialization) -> None:
    if how == "default":
        return
    for name, weight in cell.named_parameters(recurse=False):
        if name.startswith("bias"):
            weight.zero_()
        elif not name.startswith("weight"):
            continue
        elif how == "small":
            weight.uniform_(-0.05, 0.05)
        elif (
            name.startswith(("weight_hh", "weight_mh")) and weight.dim() == 2 and weight.shape[0] % weight.shape[1] == 0
        ):
            for block in weight.chunk(weight.shape[0] // weight.shape[1]):
                nn.init.orthogonal_(block) if how == "orthogonal" else nn.init.eye_(block)
        elif weight.dim() == 2:
            by_gate = cell.gates and weight.shape[0] == len(cell.gates) * cell.hidden_size
            for block in weight.chunk(len(cell.gates) if by_gate else 1):
                nn.init.xavier_uniform_(block)


def _set_forget_bias(cell: Cell[Any], value: float) -> None:
    if "forget" not in cell.gates:
        return
    row = cell.gates.index("forget") * cell.hidden_size
    for name, bias in cell.named_parameters(recurse=False):
        if name.startswith("bias"):
            bias[row : row + cell.hidden_size] = (
                value if name == "bias_ih" or "bias_ih" not in cell._parameters else 0.0
            )
