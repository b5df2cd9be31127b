"""The Elman network: one matrix for the text, one for the context."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.cells.base import Cell

__all__ = ["CELLS", "ElmanCell", "ElmanReLUCell", "ElmanState"]


class ElmanState(NamedTuple):
    """State of an Elman cell."""

    h: Tensor  # (batch, hidden)


class ElmanCell(Cell[ElmanState]):
    r"""One step of an Elman network.

    .. math:: h_t = \tanh(W_{xh} x_t + b + W_{hh} h_{t-1} + c)

    Source: Elman 1990, "Finding structure in time". Weights are laid out as in `torch.nn.RNN`.
    """

    gates: ClassVar[tuple[str, ...]] = ("hidden",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
        self.weight_hh, self.bias_hh = self.parameter(hidden_size, hidden_size), self.parameter(hidden_size)

    def initial_state(self, batch_size: int) -> ElmanState:
        return ElmanState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: ElmanState, *context: Tensor) -> tuple[Tensor, ElmanState]:
        from_text = F.linear(x, self.weight_ih, self.bias_ih)
        from_context = F.linear(state.h, self.weight_hh, self.bias_hh)
        h = torch.tanh(from_text + from_context)
        self.record(text=from_text, context=from_context)
        return h, ElmanState(h)


class ElmanReLUCell(ElmanCell):
    r"""One step of an Elman network with rectified units.

    .. math:: h_t = \max(0, W_{xh} x_t + b + W_{hh} h_{t-1} + c)

    Source: Le, Jaitly and Hinton 2015, arXiv:1504.00941 (who start `W_hh` at the identity).
    """

    def step(self, x: Tensor, state: ElmanState, *context: Tensor) -> tuple[Tensor, ElmanState]:
        from_text = F.linear(x, self.weight_ih, self.bias_ih)
        from_context = F.linear(state.h, self.weight_hh, self.bias_hh)
        h = torch.relu(from_text + from_context)
        self.record(text=from_text, context=from_context)
        return h, ElmanState(h)


CELLS = {"elman": ElmanCell, "elman-relu": ElmanReLUCell}
