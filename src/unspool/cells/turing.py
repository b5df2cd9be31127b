"""The Neural Turing Machine: a controller with a memory that it reads and writes by attention."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells.addressing import add, address_by_content, erase, interpolate, read, sharpen, shift
from unspool.cells.base import Cell
from unspool.cells.lstm import LSTMCell, LSTMState
from unspool.errors import SettingError

__all__ = ["CELLS", "FeedForwardNTMCell", "FeedForwardNTMState", "NTMCell", "NTMState"]

_BLANK = 1e-6  # what the memory holds at the start, everywhere; Collier and Beel 2018, arXiv:1807.08518, section 3

S = TypeVar("S", bound=tuple[Any, ...])


class NTMState(NamedTuple):
    """State of a Neural Turing Machine whose controller is an LSTM."""

    h: Tensor  # of the controller, (batch, hidden)
    c: Tensor  # of the controller, (batch, hidden)
    memory: Tensor  # (batch, slots, width)
    read_weights: Tensor  # where each reading head looks, (batch, heads, slots)
    write_weights: Tensor  # where each writing head looks, (batch, heads, slots)
    reads: Tensor  # what was read, (batch, heads, width)


class FeedForwardNTMState(NamedTuple):
    """State of a Neural Turing Machine whose controller remembers nothing by itself."""

    memory: Tensor  # (batch, slots, width)
    read_weights: Tensor  # where each reading head looks, (batch, heads, slots)
    write_weights: Tensor  # where each writing head looks, (batch, heads, slots)
    reads: Tensor  # what was read, (batch, heads, width)


class _Turn(NamedTuple):
    """What the memory is after a step, and what was read; the last four parts of either state."""

    memory: Tensor
    read_weights: Tensor
    write_weights: Tensor
    reads: Tensor


class _TuringCell(Cell[S]):
    """What both machines share: the heads and the memory."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        slots: int = 128,
        width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        reach: int = 1,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if min(slots, width, read_heads, write_heads) < 1 or not 0 <= reach <= slots:
            raise SettingError(
                f"a memory of {slots} slots, {width} wide, with {read_heads} reading and {write_heads} writing heads "
                f"that reach {reach} slots: expected at least 1 of each, and a reach of 0 to the number of slots"
            )
        self.slots, self.width, self.read_heads, self.write_heads = slots, width, read_heads, write_heads
        # of each head: key, strength, gate, shifts, sharpening; of a writing head also: erase, add
        self._parts = [width, 1, 1, 2 * reach + 1, 1]
        self._rows = [(read_heads + write_heads) * sum(self._parts), write_heads * 2 * width]
        self.weight_heads, self.bias_heads = (
            self.parameter(sum(self._rows), hidden_size),
            self.parameter(sum(self._rows)),
        )
        self.weight_reads = self.parameter(hidden_size, read_heads * width)

    def _begin(self, batch_size: int) -> _Turn:
        """A blank memory, all heads at its first slot, nothing read."""
        like = self.weight_heads
        read_weights, write_weights = (
            like.new_zeros(batch_size, heads, self.slots) for heads in (self.read_heads, self.write_heads)
        )
        read_weights[..., 0] = write_weights[..., 0] = 1
        memory = like.new_full((batch_size, self.slots, self.width), _BLANK)
        return _Turn(memory, read_weights, write_weights, like.new_zeros(batch_size, self.read_heads, self.width))

    def _seen(self, x: Tensor, reads: Tensor) -> Tensor:
        return torch.cat([x, reads.flatten(1)], dim=-1)

    def _turn(self, h: Tensor, before: _Turn) -> tuple[Tensor, _Turn]:
        """From the controller's output, (batch, hidden): the cell's output, and the memory after this step."""
        addressing, writing = torch.split(F.linear(h, self.weight_heads, self.bias_heads), self._rows, dim=-1)
        heads = addressing.view(len(h), self.read_heads + self.write_heads, -1)
        key, strength, gate, shifts, exponent = torch.split(heads, self._parts, dim=-1)
        strength, gate, shifts = F.softplus(strength), torch.sigmoid(gate), shifts.softmax(-1)
        exponent = 1 + F.softplus(exponent)

        found = address_by_content(before.memory, torch.tanh(key), strength)
        previous = torch.cat([before.read_weights, before.write_weights], dim=1)
        focus = sharpen(shift(interpolate(found, previous, gate), shifts), exponent)
        read_weights, write_weights = torch.split(focus, [self.read_heads, self.write_heads], dim=1)

        erased, added = writing.view(len(h), self.write_heads, 2, self.width).unbind(2)
        erased, added = torch.sigmoid(erased), torch.tanh(added)
        memory = add(erase(before.memory, write_weights, erased), write_weights, added)
        reads = read(memory, read_weights)

        self.record(
            strength=strength.flatten(1),
            gate=gate.flatten(1),
            shift=shifts.flatten(1),
            sharpening=exponent.flatten(1),
            erase=erased.flatten(1),
            add=added.flatten(1),
        )
        output = h + F.linear(reads.flatten(1), self.weight_reads)
        return output, _Turn(memory, read_weights, write_weights, reads)

    def extra_repr(self) -> str:
        heads = f"read_heads={self.read_heads}, write_heads={self.write_heads}"
        return f"{super().extra_repr()}, slots={self.slots}, width={self.width}, {heads}"


class NTMCell(_TuringCell[NTMState]):
    r"""One step of a Neural Turing Machine with an LSTM for a controller.

    .. math::
        h_t, c_t &= \mathrm{LSTM}([x_t; r_{t-1}], h_{t-1}, c_{t-1}) \\
        k_t, \beta_t, g_t, s_t, \gamma_t, e_t, a_t &= W_{heads} h_t + b_{heads} \\
        w_t &= \mathrm{sharpen}(\mathrm{shift}(\mathrm{interpolate}(
            \mathrm{content}(M_{t-1}, k_t, \beta_t), w_{t-1}, g_t), s_t), \gamma_t) \\
        M_t &= \mathrm{add}(\mathrm{erase}(M_{t-1}, w_t, e_t), w_t, a_t) \\
        r_t &= \mathrm{read}(M_t, w_t) \\
        y_t &= h_t + W_{reads} r_t

    The steps of the third line and after are the functions of `unspool.cells.addressing`. Of the heads' parameters,
    :math:`k, a` go through tanh, :math:`g, e` through the logistic function, :math:`s` through a softmax, and
    :math:`\beta, \gamma - 1` through a softplus.

    Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 3. Differs: all heads look for their keys in
    :math:`M_{t-1}`, at once; the output is as wide as the controller. The memory starts at 1e-6 everywhere (Collier and
    Beel 2018, arXiv:1807.08518), the heads at its first slot.

    Args:
        input_size: Width of one input vector.
        hidden_size: Units of the controller, and width of the output.
        slots: Places of the memory.
        width: Numbers that a slot holds.
        read_heads: Heads that read.
        write_heads: Heads that write.
        reach: Slots that a head can move in one step, to either side.

    Raises:
        SettingError: If a size is less than 1, or `reach` is more than `slots`.
    """

    def __init__(self, input_size: int, hidden_size: int, **sizes: int) -> None:
        super().__init__(input_size, hidden_size, **sizes)
        self.controller = LSTMCell(input_size + self.read_heads * self.width, hidden_size)

    def initial_state(self, batch_size: int) -> NTMState:
        return NTMState(*self.controller.initial_state(batch_size), *self._begin(batch_size))

    def step(self, x: Tensor, state: NTMState, *context: Tensor) -> tuple[Tensor, NTMState]:
        h, controller = self.controller.step(self._seen(x, state.reads), LSTMState(state.h, state.c))
        output, turn = self._turn(h, _Turn(*state[2:]))
        return output, NTMState(*controller, *turn)


class FeedForwardNTMCell(_TuringCell[FeedForwardNTMState]):
    r"""One step of a Neural Turing Machine whose controller is a layer of tanh: all that it remembers is in the memory.

    .. math::
        h_t &= \tanh(W [x_t; r_{t-1}] + b) \\
        k_t, \beta_t, g_t, s_t, \gamma_t, e_t, a_t &= W_{heads} h_t + b_{heads} \\
        w_t &= \mathrm{sharpen}(\mathrm{shift}(\mathrm{interpolate}(
            \mathrm{content}(M_{t-1}, k_t, \beta_t), w_{t-1}, g_t), s_t), \gamma_t) \\
        M_t &= \mathrm{add}(\mathrm{erase}(M_{t-1}, w_t, e_t), w_t, a_t) \\
        r_t &= \mathrm{read}(M_t, w_t) \\
        y_t &= h_t + W_{reads} r_t

    All else, sizes included, is as in `NTMCell`.

    Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 3.
    """

    def __init__(self, input_size: int, hidden_size: int, **sizes: int) -> None:
        super().__init__(input_size, hidden_size, **sizes)
        self.controller = nn.Linear(input_size + self.read_heads * self.width, hidden_size)

    def initial_state(self, batch_size: int) -> FeedForwardNTMState:
        return FeedForwardNTMState(*self._begin(batch_size))

    def step(self, x: Tensor, state: FeedForwardNTMState, *context: Tensor) -> tuple[Tensor, FeedForwardNTMState]:
        h = torch.tanh(self.controller(self._seen(x, state.reads)))
        output, turn = self._turn(h, _Turn(*state))
        return output, FeedForwardNTMState(*turn)


CELLS = {"ntm": NTMCell, "ntm-feedforward": FeedForwardNTMCell}
