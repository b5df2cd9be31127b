"""Native path: torch's own kernels (oneDNN on the CPU, cuDNN on NVIDIA GPUs), for cells that torch has exactly.

The kernels run over the padded batch. In a ragged batch the outputs past each length are dropped, and the last valid
ones are gathered. The kernels return an LSTM's cell state for the last step alone, so it can't be gathered: one more
input column, 1 in the padding, drives the input gate to 0 and the forget gate to 1 there, so that the padding keeps the
cell state unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unspool.cells import Cell, ElmanCell, ElmanReLUCell, GRUCell, LSTMCell
from unspool.engine.request import Path, Request, State

__all__ = ["NativePath"]

_KERNELS: dict[type[Cell[Any]], Callable[..., tuple[Tensor, ...]]] = {
    ElmanCell: torch.rnn_tanh,
    ElmanReLUCell: torch.rnn_relu,
    LSTMCell: torch.lstm,
    GRUCell: torch.gru,
}
_SATURATED = 1e4  # a sum at which the logistic function is exactly 0 or 1, in every float type

# The cells keep their weights apart, so cuDNN copies them into one block at each call, and says so each time.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


class NativePath(Path):
    """Run torch's LSTM, GRU and Elman kernels."""

    name = "native"

    def why_unsupported(self, request: Request) -> str | None:
        cell = request.cell
        kernel = _kernel_class(cell)
        if kernel is None:
            return f"torch has no kernel for {type(cell).__name__}"
        if request.context:
            return "torch's kernels take no context"
        if cell.watched:
            return "torch's kernels do not show their gates, and someone is watching"
        return None

    def why_slower(self, request: Request) -> str | None:
        if request.inputs.shape[0] == 1 and request.inputs.is_cpu and self.why_unsupported(request) is None:
            return "for 1 step torch's kernels lay out all weights anew, which may take longer than the step"
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        if request.lengths is None:
            return self._run_full(request)
        return self._run_ragged(request, request.lengths.to(request.inputs.device))

    def _run_full(self, request: Request) -> tuple[Tensor, State]:
        inputs = request.inputs.flip(0) if request.reverse else request.inputs
        outputs, state = _call(request.cell, inputs, request.state)
        return outputs.flip(0) if request.reverse else outputs, state

    def _run_ragged(self, request: Request, lengths: Tensor) -> tuple[Tensor, State]:
        cell, inputs = request.cell, request.inputs
        steps = torch.arange(inputs.shape[0], device=inputs.device)[:, None]
        padding = steps >= lengths  # (time, batch)
        inputs = inputs.masked_fill(padding.unsqueeze(-1), 0)
        mirror = (lengths - 1 - steps).where(~padding, steps) if request.reverse else None
        if mirror is not None:
            inputs = _pick(inputs, mirror)
        outputs, state = _call(cell, inputs, request.state, padding=padding if isinstance(cell, LSTMCell) else None)
        last = _pick(outputs, (lengths - 1)[None])[0]
        outputs = outputs.masked_fill(padding.unsqueeze(-1), 0)
        if mirror is not None:
            outputs = _pick(outputs, mirror)
        return outputs, type(state)(last.to(state[0].dtype), *state[1:])


def _kernel_class(cell: Cell[Any]) -> type[Cell[Any]] | None:
    """Return the built-in class whose step this cell runs unchanged, if torch has a kernel for it."""
    return next((kind for kind in _KERNELS if isinstance(cell, kind) and type(cell).step is kind.step), None)


def _call(cell: Cell[Any], inputs: Tensor, state: State, padding: Tensor | None = None) -> tuple[Tensor, State]:
    kind = _kernel_class(cell)
    assert kind is not None, "refuses() was not asked"
    weight_ih, bias_ih, weight_hh, bias_hh = (
        getattr(cell, name) for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
    )
    if padding is not None:
        hold = torch.zeros(4, cell.hidden_size, 1, dtype=weight_ih.dtype, device=weight_ih.device)
        hold[0], hold[1] = -_SATURATED, _SATURATED  # rows i, f, g, o
        weight_ih = torch.cat([weight_ih, hold.flatten(0, 1)], dim=1)
        inputs = torch.cat([inputs, padding.unsqueeze(-1).to(inputs.dtype)], dim=-1)
    start = [part.unsqueeze(0).to(inputs.dtype) for part in state]
    outputs, *final = _KERNELS[kind](
        inputs,
        start if len(start) > 1 else start[0],
        [weight_ih, weight_hh, bias_ih, bias_hh],
        True,  # has biases
        1,  # layers
        0.0,  # dropout
        torch.is_grad_enabled(),
        False,  # bidirectional
        False,  # batch first
    )
    return outputs, type(state)(*(part.squeeze(0).to(before.dtype) for part, before in zip(final, state, strict=True)))


def _pick(sequences: Tensor, steps: Tensor) -> Tensor:
    """Gather other steps of each sequence; `steps` is (time, batch)."""
    return sequences.gather(0, steps.unsqueeze(-1).expand(-1, -1, sequences.shape[-1]))
