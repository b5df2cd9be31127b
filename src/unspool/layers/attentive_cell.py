"""Recurrent cell with attention: it attends to encoder states before each step."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell, editor_of
from unspool.errors import ShapeError
from unspool.layers.attention import Attended, Attention

__all__ = ["AttentiveCell"]

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


class AttentiveCell(Cell[Any]):
    r"""Wrap a cell: its input is concatenated with a context, for which its last output is the query.

    .. math::
        \alpha_t &= \mathrm{softmax}_i \, e(h_{t-1}, k_i) \\
        c_t &= \textstyle\sum_i \alpha_{ti} \, v_i \\
        h_t &= \mathrm{step}([x_t; c_t], h_{t-1})

    The output is :math:`[h_t; c_t]`. The state is that of the inner cell, with the last output in front as `output`.
    Source: Bahdanau et al. 2015, arXiv:1409.0473; with a dot product in place of the network, Jurafsky and
    Martin, Speech and Language Processing 3rd ed., fig. 9.22.

    The context of `unroll` is the same for every step: keys, (batch, source time, key); states, (batch, source time,
    memory); and a mask, True at valid states, bool (batch, source time).

    Args:
        cell: The inner cell; its input size is `input_size` plus the width of the memory.
        attention: The attention; its query is the output of the inner cell.
    """

    def __init__(self, cell: Cell[Any], attention: Attention) -> None:
        width = attention.memory_size
        if cell.input_size <= width or attention.query_size != cell.hidden_size:
            raise ShapeError(
                f"the inner cell reads {cell.input_size} and puts out {cell.hidden_size}, expected more than the "
                f"memory's {width} and the attention's query size {attention.query_size}"
            )
        super().__init__(cell.input_size - width, cell.hidden_size + width)
        self.cell, self.attention = cell, attention
        inner = type(cell.initial_state(1))
        self._inner = inner
        self._state = namedtuple("AttentiveState", ("output", *inner._fields))  # type: ignore[misc]

    def initial_state(self, batch_size: int) -> Any:
        return self.start_from(self.cell.initial_state(batch_size))

    def start_from(self, inner: Any) -> Any:
        """Return the state that starts from a state of the inner cell; its first tensor is the first query."""
        if inner[0].shape[-1] != self.cell.hidden_size:
            raise ShapeError(
                f"the state of {type(self.cell).__name__} begins with a tensor {inner[0].shape[-1]} wide, "
                f"expected its output's width {self.cell.hidden_size}"
            )
        return self._state(inner[0], *inner)

    def context_of(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the context of `unroll` for encoder states without padding, (batch, source time, memory)."""
        return self.attention.keys(states), states, states.new_ones(states.shape[:2], dtype=torch.bool)

    def look(self, state: Any, keys: Tensor, memory: Tensor, mask: Tensor) -> Attended:
        """Attend with the last output: context, (batch, memory), and weights, (batch, source time)."""
        attended = self.attention(state.output.unsqueeze(1), memory, mask, keys=keys)
        return Attended(attended.context.squeeze(1), attended.weights.squeeze(1))

    def move(self, x: Tensor, state: Any, context: Tensor, step: Step | None = None) -> tuple[Tensor, Any]:
        """Make one step with a context, (batch, memory); `step` replaces the step of the inner cell."""
        output, inner = (step or self._inner_step)(torch.cat([x, context.to(x.dtype)], -1), self._inner(*state[1:]))
        after = (part.to(before.dtype) for part, before in zip((output, *inner), state, strict=True))
        return torch.cat([output, context.to(output.dtype)], -1), self._state(*after)

    @property
    def watched(self) -> bool:
        return super().watched or self.cell.watched

    def _inner_step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        editor = editor_of(self.cell)
        return self.cell.step(x, state) if editor is None else editor.step(self.cell, x, state, ())

    def step(self, x: Tensor, state: Any, *context: Tensor) -> tuple[Tensor, Any]:
        keys, memory, mask = context
        attended = self.look(state, keys, memory, mask)
        self.record(attention=attended.weights)
        return self.move(x, state, attended.context)
