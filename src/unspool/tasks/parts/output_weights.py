"""Weights of the output layer for the units of the last recurrent layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.cells import Cell
from unspool.inspection.retention import HIDDEN_STATES
from unspool.layers import Recurrent

__all__ = ["weights_of_units"]


def weights_of_units(stack: Recurrent | None, row: Tensor | None) -> dict[str, NDArray[np.float32]]:
    """Return a row of the output layer by the arrays of a trace: `layer 2 forward / h` and the weights, (units,).

    Args:
        stack: The recurrent stack; None for other networks.
        row: Weights of one choice, (width,); None if there is no such row.

    Returns:
        Empty if the row does not weigh the outputs of the last layer.
    """
    if stack is None or row is None or row.numel() != stack.output_size:
        return {}
    last = list(stack.named_cells())[-stack.directions :]
    parts = torch.split(row.detach().float().cpu(), stack.hidden_size)
    return {f"{place} / {_hidden_part(cell)}": part.numpy() for (place, cell, _), part in zip(last, parts, strict=True)}


def _hidden_part(cell: Cell[Any]) -> str:
    """Return the name of the hidden state among the parts of a cell's state; without a usual name, the first part."""
    parts: tuple[str, ...] = cell.initial_state(1)._fields
    return next((part for part in parts if part in HIDDEN_STATES), parts[0])
