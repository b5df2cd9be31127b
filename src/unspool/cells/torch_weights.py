"""Conversion of weights to and from `torch.nn.RNN`, `torch.nn.LSTM` and `torch.nn.GRU`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unspool.cells.base import Cell
from unspool.cells.elman import ElmanCell, ElmanReLUCell
from unspool.cells.gru import GRUCell
from unspool.cells.lstm import LSTMCell
from unspool.errors import CellError

__all__ = ["from_torch", "to_torch"]

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(module: nn.RNNBase, layer: int = 0, *, reverse: bool = False) -> Cell[Any]:
    """Return the cell that is equivalent to one layer of a torch module, with a copy of its weights.

    Args:
        module: A `torch.nn.RNN`, `LSTM` or `GRU`, without projection.
        layer: Index of the layer, from 0.
        reverse: Whether to take the backward direction of a bidirectional module.

    Raises:
        CellError: If no cell is equivalent.
    """
    if getattr(module, "proj_size", 0):
        raise CellError(f"{module}: an LSTM with a projection has no matching cell; use proj_size=0")
    suffix = f"_l{layer}" + ("_reverse" if reverse else "")
    if not hasattr(module, f"weight_ih{suffix}"):
        raise CellError(f"{module} has no weights {suffix!r}; it has {module.num_layers} layers")
    weight = getattr(module, f"weight_ih{suffix}")
    cell = _cell_class(module)(weight.shape[1], module.hidden_size).to(device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        for name in _NAMES:
            source = getattr(module, f"{name}{suffix}", None)
            getattr(cell, name).copy_(source) if source is not None else getattr(cell, name).zero_()
    return cell


def to_torch(cell: Cell[Any]) -> nn.RNNBase:
    """Return the one-layer torch module that is equivalent to a cell, with a copy of its weights.

    Raises:
        CellError: If torch has no such module.
    """
    makers: dict[type[Cell[Any]], Any] = {
        ElmanCell: nn.RNN,
        ElmanReLUCell: lambda inputs, hidden: nn.RNN(inputs, hidden, nonlinearity="relu"),
        LSTMCell: nn.LSTM,
        GRUCell: nn.GRU,
    }
    if type(cell) not in makers:
        names = ", ".join(kind.__name__ for kind in makers)
        raise CellError(f"torch.nn has no module that computes a {type(cell).__name__}; it has one for {names}")
    module: nn.RNNBase = makers[type(cell)](cell.input_size, cell.hidden_size)
    weight = cell.get_parameter("weight_ih")
    module = module.to(device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        for name in _NAMES:
            getattr(module, f"{name}_l0").copy_(cell.get_parameter(name))
    return module


def _cell_class(module: nn.RNNBase) -> type[Cell[Any]]:
    if isinstance(module, nn.LSTM):
        return LSTMCell
    if isinstance(module, nn.GRU):
        return GRUCell
    if isinstance(module, nn.RNN):
        return ElmanReLUCell if module.nonlinearity == "relu" else ElmanCell
    raise CellError(f"{type(module).__name__} is none of torch.nn.RNN, LSTM, GRU")
