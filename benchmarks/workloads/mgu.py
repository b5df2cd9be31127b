"""A minimal gated unit, as a person writes a cell of their own: torch.nn has none, and neither has Unspool."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.cells import Cell

__all__ = ["MGUCell", "MGUState"]


class MGUState(NamedTuple):
    """State of a minimal gated unit."""

    h: Tensor  # (batch, hidden)


class MGUCell(Cell[MGUState]):
    r"""One step of a minimal gated unit: a GRU whose one gate both forgets and resets.

    .. math::
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        \tilde h_t &= \tanh(W_h x_t + U_h (f_t \odot h_{t-1}) + b_h) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot \tilde h_t

    Source: Zhou et al. 2016, arXiv:1603.09420, equation 6.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(2 * hidden_size, input_size), self.parameter(2 * hidden_size)
        self.weight_fh, self.weight_hh = (self.parameter(hidden_size, hidden_size) for _ in range(2))

    def initial_state(self, batch_size: int) -> MGUState:
        return MGUState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: MGUState, *context: Tensor) -> tuple[Tensor, MGUState]:
        x_f, x_h = F.linear(x, self.weight_ih, self.bias_ih).chunk(2, dim=-1)
        f = torch.sigmoid(x_f + F.linear(state.h, self.weight_fh))
        candidate = torch.tanh(x_h + F.linear(f * state.h, self.weight_hh))
        h = (1 - f) * state.h + f * candidate
        return h, MGUState(h)
