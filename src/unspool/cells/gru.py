"""The gated recurrent unit, in its two forms: reset after the recurrent product, and reset before it."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.cells.base import Cell

__all__ = ["CELLS", "GRUCell", "GRUState", "ResetBeforeGRUCell"]


class GRUState(NamedTuple):
    """State of a GRU."""

    h: Tensor  # (batch, hidden)


class GRUCell(Cell[GRUState]):
    r"""One step of a gated recurrent unit, reset gate applied after the recurrent product.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \\
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        n_t &= \tanh(W_n x_t + b_n + r_t \odot (U_n h_{t-1} + d_n)) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    Source: Cho et al. 2014, arXiv:1406.1078v1; the form of cuDNN. Weights are laid out as in `torch.nn.GRU`: rows
    r, z, n.
    """

    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(3 * hidden_size, input_size), self.parameter(3 * hidden_size)
        self.weight_hh, self.bias_hh = self.parameter(3 * hidden_size, hidden_size), self.parameter(3 * hidden_size)

    def initial_state(self, batch_size: int) -> GRUState:
        return GRUState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: GRUState, *context: Tensor) -> tuple[Tensor, GRUState]:
        x_r, x_z, x_n = F.linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(state.h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        h = (1 - z) * n + z * state.h
        self.record(reset=r, update=z, candidate=n)
        return h, GRUState(h)


class ResetBeforeGRUCell(GRUCell):
    r"""One step of a gated recurrent unit, reset gate applied before the recurrent product: the textbook form.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \\
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        n_t &= \tanh(W_n x_t + b_n + U_n (r_t \odot h_{t-1}) + d_n) \\
        h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot n_t

    Update gate at 1 copies the past; reset gate at 0 forgets it.

    Source: Cho et al. 2014, arXiv:1406.1078v3, equations 5 to 8. Rows r, z, n as in `GRUCell`, but the weights of one
    form do not mean the same in the other.
    """

    def step(self, x: Tensor, state: GRUState, *context: Tensor) -> tuple[Tensor, GRUState]:
        gates = 2 * self.hidden_size
        x_r, x_z, x_n = F.linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        h_r, h_z = F.linear(state.h, self.weight_hh[:gates], self.bias_hh[:gates]).chunk(2, dim=-1)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + F.linear(r * state.h, self.weight_hh[gates:], self.bias_hh[gates:]))
        h = z * state.h + (1 - z) * n
        self.record(reset=r, update=z, candidate=n)
        return h, GRUState(h)


CELLS = {"gru": GRUCell, "gru-reset-before": ResetBeforeGRUCell}
