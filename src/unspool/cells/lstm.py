"""Long short-term memory: plain, with peepholes, with layer normalisation."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells.base import Cell

__all__ = ["CELLS", "LSTMCell", "LSTMState", "LayerNormLSTMCell", "PeepholeLSTMCell"]


class LSTMState(NamedTuple):
    """State of an LSTM."""

    h: Tensor  # what the network shows, (batch, hidden)
    c: Tensor  # what it keeps, (batch, hidden)


class LSTMCell(Cell[LSTMState]):
    r"""One step of long short-term memory, with a forget gate.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 for the forget gate. Weights are laid
    out as in `torch.nn.LSTM`: rows i, f, g, o.
    """

    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(4 * hidden_size, input_size), self.parameter(4 * hidden_size)
        self.weight_hh, self.bias_hh = self.parameter(4 * hidden_size, hidden_size), self.parameter(4 * hidden_size)

    def initial_state(self, batch_size: int) -> LSTMState:
        zeros = self.weight_hh.new_zeros(batch_size, self.hidden_size)
        return LSTMState(h=zeros, c=zeros)

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        sums = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(state.h, self.weight_hh, self.bias_hh)
        sum_i, sum_f, sum_g, sum_o = sums.chunk(4, dim=-1)
        i = torch.sigmoid(sum_i)
        f = torch.sigmoid(sum_f)
        g = torch.tanh(sum_g)
        o = torch.sigmoid(sum_o)
        c = f * state.c + i * g
        h = o * torch.tanh(c)
        self.record(input=i, forget=f, candidate=g, output=o)
        return h, LSTMState(h, c)


class PeepholeLSTMCell(LSTMCell):
    r"""One step of an LSTM whose gates also see the cell state.

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o) \\
        h_t &= o_t \odot \tanh(c_t)

    Source: Gers, Schraudolph and Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks".
    Differs: two bias vectors, as in `LSTMCell`.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peephole_i = self.parameter(hidden_size)
        self.peephole_f = self.parameter(hidden_size)
        self.peephole_o = self.parameter(hidden_size)

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        sums = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(state.h, self.weight_hh, self.bias_hh)
        sum_i, sum_f, sum_g, sum_o = sums.chunk(4, dim=-1)
        i = torch.sigmoid(sum_i + self.peephole_i * state.c)
        f = torch.sigmoid(sum_f + self.peephole_f * state.c)
        g = torch.tanh(sum_g)
        c = f * state.c + i * g
        o = torch.sigmoid(sum_o + self.peephole_o * c)
        h = o * torch.tanh(c)
        self.record(input=i, forget=f, candidate=g, output=o)
        return h, LSTMState(h, c)


class LayerNormLSTMCell(LSTMCell):
    r"""One step of an LSTM with layer normalisation of both products and of the cell state.

    .. math::
        (i, f, g, o)_t &= LN(W x_t; \alpha_1) + LN(U h_{t-1}; \alpha_2) + b \\
        c_t &= \sigma(f_t) \odot c_{t-1} + \sigma(i_t) \odot \tanh(g_t) \\
        h_t &= \sigma(o_t) \odot \tanh(LN(c_t; \alpha_3, \beta_3))

    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 20 to 22. Differs: the shifts of the first two
    normalisations are the two biases, added after them.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gain_ih, self.gain_hh = (
            nn.Parameter(torch.ones(4 * hidden_size)),
            nn.Parameter(torch.ones(4 * hidden_size)),
        )
        self.gain_c, self.shift_c = nn.Parameter(torch.ones(hidden_size)), nn.Parameter(torch.zeros(hidden_size))

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        wide = (4 * self.hidden_size,)
        from_text = F.layer_norm(F.linear(x, self.weight_ih), wide, self.gain_ih, self.bias_ih)
        from_context = F.layer_norm(F.linear(state.h, self.weight_hh), wide, self.gain_hh, self.bias_hh)
        sum_i, sum_f, sum_g, sum_o = (from_text + from_context).chunk(4, dim=-1)
        i = torch.sigmoid(sum_i)
        f = torch.sigmoid(sum_f)
        g = torch.tanh(sum_g)
        o = torch.sigmoid(sum_o)
        c = f * state.c + i * g
        h = o * torch.tanh(F.layer_norm(c, (self.hidden_size,), self.gain_c, self.shift_c))
        self.record(input=i, forget=f, candidate=g, output=o)
        return h, LSTMState(h, c)


CELLS = {"lstm": LSTMCell, "lstm-peephole": PeepholeLSTMCell, "lstm-layernorm": LayerNormLSTMCell}
