"""A hypernetwork: a small LSTM that, at every step, scales the weights of a larger one."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells.base import Cell
from unspool.cells.lstm import LayerNormLSTMCell, LSTMCell, LSTMState
from unspool.errors import SettingError

__all__ = ["CELLS", "HyperLSTMCell", "HyperLSTMState"]


class HyperLSTMState(NamedTuple):
    """State of a HyperLSTM: the larger network's, and the smaller one's."""

    h: Tensor  # what the network shows, (batch, hidden)
    c: Tensor  # what it keeps, (batch, hidden)
    hyper_h: Tensor  # (batch, hyper)
    hyper_c: Tensor  # (batch, hyper)


class HyperLSTMCell(Cell[HyperLSTMState]):
    r"""One step of a HyperLSTM.

    .. math::
        \hat h_t, \hat c_t &= \mathrm{LSTM}([h_{t-1}; x_t], \hat h_{t-1}, \hat c_{t-1}) \\
        z^y_h, z^y_x, z^y_b &= W^y_{\hat h} \hat h_t + b^y_{\hat h} \\
        y_t &= (W^y_{hz} z^y_h) \odot (W^y_h h_{t-1}) + (W^y_{xz} z^y_x) \odot (W^y_x x_t) + W^y_{bz} z^y_b + b^y
            \quad \text{for } y \in \{i, f, g, o\} \\
        c_t &= \sigma(f_t) \odot c_{t-1} + \sigma(i_t) \odot \tanh(g_t) \\
        h_t &= \sigma(o_t) \odot \tanh(c_t)

    With `layer_norm`, the smaller LSTM, each :math:`y_t` and :math:`c_t` inside the tanh are normalised.

    Source: Ha, Dai and Le 2016, arXiv:1609.09106, section 3.2 and appendix A.2.2. Differs: the scales are read off
    :math:`\hat h_t`, as in the authors' program, rather than :math:`\hat h_{t-1}`; they start scattered around 1,
    where the cell is a plain LSTM, rather than all at 0.1, where the parts of an embedding would never part.

    Args:
        input_size: Width of one input vector.
        hidden_size: Width of one output vector.
        hyper_size: Units of the smaller LSTM; an eighth of `hidden_size`, but at least 4, if omitted.
        embedding_size: Width of each :math:`z`.
        layer_norm: Whether sums are normalised.
    """

    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        hyper_size: int | None = None,
        embedding_size: int = 4,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.hyper_size = max(4, hidden_size // 8) if hyper_size is None else hyper_size
        if min(self.hyper_size, embedding_size) < 1:
            raise SettingError(
                f"hyper_size = {self.hyper_size} and embedding_size = {embedding_size}: expected at least 1 of each"
            )
        self.embedding_size, self.layer_norm = embedding_size, layer_norm
        kind = LayerNormLSTMCell if layer_norm else LSTMCell
        self.hyper = kind(hidden_size + input_size, self.hyper_size)
        self.weight_ih, self.weight_hh = (
            self.parameter(4 * hidden_size, input_size),
            self.parameter(4 * hidden_size, hidden_size),
        )
        self.bias = self.parameter(4 * hidden_size)
        # of h, x and b, for each of the four gates
        self.embed = nn.Parameter(torch.zeros(3 * 4 * embedding_size, self.hyper_size))
        self.embed_shift = nn.Parameter(torch.zeros(3 * 4 * embedding_size))
        self.scale_h, self.scale_x, self.scale_b = (
            nn.Parameter(torch.zeros(4, hidden_size, embedding_size)) for _ in range(3)
        )
        with torch.no_grad():
            self.embed_shift[: 2 * 4 * embedding_size] = 1
            self.embed[2 * 4 * embedding_size :].normal_(std=0.01)
            for scale in (self.scale_h, self.scale_x):
                scale.uniform_(0, 2 / embedding_size)
        if layer_norm:
            self.gain, self.gain_c = nn.Parameter(torch.ones(4, hidden_size)), nn.Parameter(torch.ones(hidden_size))
            self.shift_c = nn.Parameter(torch.zeros(hidden_size))

    def initial_state(self, batch_size: int) -> HyperLSTMState:
        zeros = self.weight_hh.new_zeros(batch_size, self.hidden_size)
        return HyperLSTMState(zeros, zeros, *self.hyper.initial_state(batch_size))

    def step(self, x: Tensor, state: HyperLSTMState, *context: Tensor) -> tuple[Tensor, HyperLSTMState]:
        seen = torch.cat([state.h, x], dim=-1)
        _, (hyper_h, hyper_c) = self.hyper.step(seen, LSTMState(state.hyper_h, state.hyper_c))
        z = F.linear(hyper_h, self.embed, self.embed_shift).chunk(12, dim=-1)  # of h, x and b, for each gate
        from_context, from_text = (
            F.linear(state.h, self.weight_hh).chunk(4, -1),
            F.linear(x, self.weight_ih).chunk(4, -1),
        )
        sum_i, sum_f, sum_g, sum_o = (
            self._shifted(
                gate,
                F.linear(z[gate], self.scale_h[gate]) * from_context[gate]
                + F.linear(z[4 + gate], self.scale_x[gate]) * from_text[gate]
                + F.linear(z[8 + gate], self.scale_b[gate]),
            )
            for gate in range(4)
        )
        i = torch.sigmoid(sum_i)
        f = torch.sigmoid(sum_f)
        g = torch.tanh(sum_g)
        o = torch.sigmoid(sum_o)
        c = f * state.c + i * g
        h = o * torch.tanh(self._shown(c))
        self.record(input=i, forget=f, candidate=g, output=o)
        return h, HyperLSTMState(h, c, hyper_h, hyper_c)

    def _shifted(self, gate: int, total: Tensor) -> Tensor:
        bias = self.bias.chunk(4)[gate]
        if not self.layer_norm:
            return total + bias
        return F.layer_norm(total, (self.hidden_size,), self.gain[gate], bias)

    def _shown(self, c: Tensor) -> Tensor:
        return F.layer_norm(c, (self.hidden_size,), self.gain_c, self.shift_c) if self.layer_norm else c

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, hyper_size={self.hyper_size}, embedding_size={self.embedding_size}"


CELLS = {"hyperlstm": HyperLSTMCell}
