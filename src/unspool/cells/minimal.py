"""Linear recurrences: gates that do not see the state, so that training runs parallel over time."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.cells.base import LinearCell

__all__ = ["CELLS", "MinGRUCell", "MinLSTMCell", "MinimalState"]


class MinimalState(NamedTuple):
    """State of a minimal cell."""

    h: Tensor  # (batch, hidden)


class MinGRUCell(LinearCell[MinimalState]):
    r"""One step of a minimal GRU.

    .. math::
        z_t &= \sigma(W_z x_t + b_z) \\
        \tilde h_t &= W_h x_t + b_h \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot \tilde h_t

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.1. Differs: with biases, and computed as it stands rather
    than in logarithms.
    """

    gates: ClassVar[tuple[str, ...]] = ("update", "candidate")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(2 * hidden_size, input_size), self.parameter(2 * hidden_size)

    def initial_state(self, batch_size: int) -> MinimalState:
        return MinimalState(h=self.weight_ih.new_zeros(batch_size, self.hidden_size))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sum_z, candidate = F.linear(x, self.weight_ih, self.bias_ih).chunk(2, dim=-1)
        z = torch.sigmoid(sum_z)
        self.record(update=z, candidate=candidate)
        return 1 - z, z * candidate


class MinLSTMCell(LinearCell[MinimalState]):
    r"""One step of a minimal LSTM.

    .. math::
        f_t &= \sigma(W_f x_t + b_f), \quad i_t = \sigma(W_i x_t + b_i) \\
        \tilde h_t &= W_h x_t + b_h \\
        f'_t &= f_t / (f_t + i_t), \quad i'_t = i_t / (f_t + i_t) \\
        h_t &= f'_t \odot h_{t-1} + i'_t \odot \tilde h_t

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.2. Differs: with biases; the quotient is taken as
    :math:`f' = \sigma(\log f - \log i)`, which can't divide nothing by nothing.
    """

    gates: ClassVar[tuple[str, ...]] = ("forget", "input", "candidate")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias_ih = self.parameter(3 * hidden_size, input_size), self.parameter(3 * hidden_size)

    def initial_state(self, batch_size: int) -> MinimalState:
        return MinimalState(h=self.weight_ih.new_zeros(batch_size, self.hidden_size))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sum_f, sum_i, candidate = F.linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        forget = torch.sigmoid(F.softplus(-sum_i) - F.softplus(-sum_f))
        self.record(forget=forget, input=1 - forget, candidate=candidate)
        return forget, (1 - forget) * candidate


CELLS = {"mingru": MinGRUCell, "minlstm": MinLSTMCell}
