"""The independently recurrent network (IndRNN): each unit sees its own past alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells.base import Cell

__all__ = ["CELLS", "IndRNNCell", "IndRNNState"]


class IndRNNState(NamedTuple):
    """State of an IndRNN."""

    h: Tensor  # (batch, hidden)


class IndRNNCell(Cell[IndRNNState]):
    r"""One step of an independently recurrent network, with rectified units.

    .. math:: h_t = \max(0, W x_t + u \odot h_{t-1} + b)

    Units mix only between layers, so stack several. The gradient of one unit through time is a power of its own
    :math:`u_k`, and of nothing else.

    Source: Li et al. 2018, arXiv:1803.04831, section 3. :math:`u` is `weight_hh`, one number per unit; it starts
    uniform between 0 and 1. Differs: training does not limit :math:`|u_k|`.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
        self.weight_hh = nn.Parameter(torch.empty(hidden_size).uniform_(0, 1))

    def initial_state(self, batch_size: int) -> IndRNNState:
        return IndRNNState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: IndRNNState, *context: Tensor) -> tuple[Tensor, IndRNNState]:
        from_text = F.linear(x, self.weight_ih, self.bias_ih)
        from_context = self.weight_hh * state.h
        h = torch.relu(from_text + from_context)
        self.record(text=from_text, context=from_context)
        return h, IndRNNState(h)


CELLS = {"indrnn": IndRNNCell}
