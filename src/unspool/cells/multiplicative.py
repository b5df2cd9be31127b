"""Multiplicative cells: the input chooses the weights that the state meets."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from unspool.cells.base import Cell
from unspool.cells.elman import ElmanCell, ElmanState
from unspool.cells.lstm import LSTMCell, LSTMState

__all__ = ["CELLS", "MultiplicativeLSTMCell", "MultiplicativeRNNCell"]


class MultiplicativeRNNCell(ElmanCell):
    r"""One step of a multiplicative recurrent network.

    .. math::
        m_t &= (W_{mx} x_t) \odot (W_{mh} h_{t-1}) \\
        h_t &= \tanh(W_{xh} x_t + b + W_{hm} m_t + c)

    Each input has a recurrent matrix of its own, :math:`W_{hm} \, \mathrm{diag}(W_{mx} x_t) \, W_{mh}`: weights
    that are weighted sums.

    Source: Sutskever, Martens and Hinton 2011, "Generating text with recurrent neural networks", equations 8 to 10.
    Weights are those of `ElmanCell`, with :math:`W_{hm}` as `weight_hh`. Differs: as many factors as hidden units.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_mx, self.weight_mh = _factors(self)

    def step(self, x: Tensor, state: ElmanState, *context: Tensor) -> tuple[Tensor, ElmanState]:
        m = F.linear(x, self.weight_mx) * F.linear(state.h, self.weight_mh)
        self.record(product=m)
        return super().step(x, ElmanState(m))


class MultiplicativeLSTMCell(LSTMCell):
    r"""One step of a multiplicative LSTM: the LSTM, with a product of input and state in place of the state.

    .. math::
        m_t &= (W_{mx} x_t) \odot (W_{mh} h_{t-1}) \\
        i_t &= \sigma(W_i x_t + b_i + U_i m_t + d_i) \\
        f_t &= \sigma(W_f x_t + b_f + U_f m_t + d_f) \\
        g_t &= \tanh(W_g x_t + b_g + U_g m_t + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o m_t + d_o) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    Source: Krause et al. 2016, arXiv:1609.07959, equations 16 to 21. Differs: with biases, and the candidate goes
    through tanh, as in `LSTMCell`, whose rows i, f, g, o these are.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_mx, self.weight_mh = _factors(self)

    def step(self, x: Tensor, state: LSTMState, *context: Tensor) -> tuple[Tensor, LSTMState]:
        m = F.linear(x, self.weight_mx) * F.linear(state.h, self.weight_mh)
        self.record(product=m)
        return super().step(x, LSTMState(m, state.c))


def _factors(cell: Cell[ElmanState] | Cell[LSTMState]) -> tuple[Tensor, Tensor]:
    hidden = cell.hidden_size
    return cell.parameter(hidden, cell.input_size), cell.parameter(hidden, hidden)


CELLS = {"mrnn": MultiplicativeRNNCell, "mlstm": MultiplicativeLSTMCell}
