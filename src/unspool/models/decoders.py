"""Decoders: what writes a target sequence, having an encoder's states at hand.

Each offers the same four things, so that training and decoding are the same whatever it is:

- `forward(inputs, memory)`: all steps of known inputs, as in teacher forcing;
- `start(memory)`: the state before the first unit, every tensor with the batch first;
- `advance(inputs, state)`: one step, with results equal to those of `forward`;
- `output_size`: how wide its outputs are; `attends`: whether it has attention weights to show.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine import Stepper, unroll
from unspool.errors import SettingError
from unspool.layers import (
    Attention,
    AttentiveCell,
    Recurrent,
    RecurrentState,
    SequenceDropout,
    TransformerDecoder,
    dropped_weights,
)

__all__ = [
    "AttentiveDecoder",
    "AttentiveDecoderState",
    "Bridge",
    "Decoded",
    "LateAttentionDecoder",
    "Memory",
    "RecurrentDecoder",
    "RecurrentDecoderState",
    "TransformerDecoding",
    "WindowDecoder",
    "WindowState",
]


class Memory(NamedTuple):
    """What an encoder hands to a decoder; every tensor has the batch first."""

    states: Tensor  # of every source unit, zero in the padding, (batch, source time, width)
    mask: Tensor  # True at real units, bool (batch, source time)
    summary: Tensor  # of the whole source, (batch, summary)
    final: RecurrentState | None = None  # the encoder's last states, where it is recurrent
    vectors: Tensor | None = None  # the embedded units, where a decoder wants them, (batch, source time, embedding)


class Decoded(NamedTuple):
    """What a decoder makes of known inputs."""

    outputs: Tensor  # (time, batch, output_size)
    attention: Tensor | None  # (time, batch, source time), where there is any and it was asked for


class Bridge(nn.Module):
    r"""From an encoder's summary to the first state of each layer of a decoder, :math:`s = \tanh(W c + b)`.

    Args:
        summary_size: Width of the summary.
        cells: One cell for each layer.
    """

    def __init__(self, summary_size: int, cells: list[Cell[Any]]) -> None:
        super().__init__()
        self._kinds = [type(cell.initial_state(1)) for cell in cells]
        self._widths = [[part.shape[-1] for part in cell.initial_state(1)] for cell in cells]
        self.project = nn.Linear(summary_size, sum(sum(widths) for widths in self._widths))

    def forward(self, summary: Tensor) -> list[Any]:
        """The first state of each layer, for summaries (batch, summary)."""
        widths = [width for widths in self._widths for width in widths]
        begun = torch.tanh(self.project(summary)).to(self.project.weight.dtype)  # states are kept as weights are
        parts = list(torch.split(begun, widths, dim=-1))
        return [kind(*(parts.pop(0) for _ in widths)) for kind, widths in zip(self._kinds, self._widths, strict=True)]


class RecurrentDecoderState(NamedTuple):
    """Where a decoder without attention stands."""

    layers: RecurrentState
    context: Tensor | None  # of the whole source, the same at every step, (batch, context)
    attention: None = None


class RecurrentDecoder(nn.Module):
    """A stack that starts from the source's last state, and may see it at every step.

    Args:
        stack: The recurrent layers; those of the encoder itself, if one network is to read source and target.
        bridge: Makes the first states from the summary; None passes the encoder's last states on as they are
            (Sutskever et al. 2014, arXiv:1409.3215).
        context_size: Width of what is seen at every step, beside each input and each output; 0 for nothing (Cho et al.
            2014, arXiv:1406.1078).
    """

    def __init__(self, stack: Recurrent, bridge: Bridge | None, *, context_size: int = 0) -> None:
        super().__init__()
        self.stack, self.bridge, self.context_size = stack, bridge, context_size
        self.output_size = stack.output_size + context_size
        self.attends = False

    def start(self, memory: Memory) -> RecurrentDecoderState:
        """The state before the first unit."""
        context = memory.summary if self.context_size else None
        if self.bridge is not None:
            return RecurrentDecoderState(tuple((state,) for state in self.bridge(memory.summary)), context)
        if memory.final is None:
            raise SettingError("an encoder without recurrent states needs a bridge to this decoder")
        return RecurrentDecoderState(memory.final, context)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """All steps of known inputs, (time, batch, input)."""
        return Decoded(self._run(inputs, self.start(memory))[0], None)

    def advance(self, inputs: Tensor, state: RecurrentDecoderState) -> tuple[Tensor, RecurrentDecoderState]:
        """One step, (batch, input)."""
        outputs, layers = self._run(inputs.unsqueeze(0), state)
        return outputs[0], state._replace(layers=layers)

    def _run(self, inputs: Tensor, state: RecurrentDecoderState) -> tuple[Tensor, RecurrentState]:
        if state.context is None:
            return self.stack(inputs, None, state.layers)  # type: ignore[no-any-return]
        context = state.context.to(inputs.dtype).expand(len(inputs), -1, -1)
        outputs, layers = self.stack(torch.cat([inputs, context], -1), None, state.layers)
        return torch.cat([outputs, context.to(outputs.dtype)], -1), layers


class AttentiveDecoderState(NamedTuple):
    """Where a decoder with attention stands."""

    layers: RecurrentState
    keys: Tensor  # (batch, source time, key)
    memory: Tensor  # (batch, source time, memory)
    mask: Tensor  # bool (batch, source time)
    attention: Tensor | None = None  # of the last step, (batch, source time)


class AttentiveDecoder(nn.Module):
    """Attention from the previous state: each step chooses its context, then moves (see `AttentiveCell`).

    Layers above the first read the first's output and context.

    Args:
        cell: The first layer.
        upper: The layers above it; None if there are none.
        bridge: Makes the first states from the summary, for the first layer's inner cell and those above.
        dropout: Between the first layer and those above.
        weight_dropout: Share of the first layer's recurrent weights dropped, one mask per batch.
        backend: Engine path of the first layer.
    """

    def __init__(
        self,
        cell: AttentiveCell,
        upper: Recurrent | None,
        bridge: Bridge,
        *,
        dropout: SequenceDropout | None = None,
        weight_dropout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.cell, self.upper, self.bridge, self.backend = cell, upper, bridge, backend
        self.weight_dropout = weight_dropout
        self.dropout = dropout if dropout is not None else SequenceDropout(0.0)
        self._stepper = Stepper(cell.cell, backend="reference" if backend == "reference" else "auto")
        self.output_size = (cell.cell.hidden_size if upper is None else upper.output_size) + cell.attention.memory_size
        self.attends = True

    def start(self, memory: Memory) -> AttentiveDecoderState:
        """The state before the first unit."""
        first, *upper = self.bridge(memory.summary)
        layers = ((self.cell.begun(first),), *((state,) for state in upper))
        return AttentiveDecoderState(layers, self.cell.attention.keys(memory.states), memory.states, memory.mask)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """All steps of known inputs, (time, batch, input)."""
        state = self.start(memory)
        begun = state.layers[0][0]
        context = (state.keys, state.memory, state.mask)
        with dropped_weights(self.cell.cell, self.weight_dropout):
            outputs, _ = unroll(self.cell, inputs, begun, context=context, backend=self.backend)
        weights = self._weights(outputs, begun, state) if need_weights else None
        if self.upper is not None:
            above, _ = self.upper(self.dropout(outputs), None, state.layers[1:])
            outputs = torch.cat([above, outputs[..., self.cell.cell.hidden_size :]], -1)
        return Decoded(outputs, weights)

    def _weights(self, outputs: Tensor, begun: Any, state: AttentiveDecoderState) -> Tensor:
        """The weights of all steps at once, from the outputs that were the queries."""
        queries = outputs[:-1, :, : self.cell.cell.hidden_size]
        queries = torch.cat([begun.output.to(queries.dtype).unsqueeze(0), queries])
        weights = self.cell.attention(queries.transpose(0, 1), state.memory, state.mask, keys=state.keys).weights
        return cast(Tensor, weights.transpose(0, 1))

    def advance(self, inputs: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, AttentiveDecoderState]:
        """One step, (batch, input)."""
        begun = state.layers[0][0]
        context, weights = self.cell.look(begun, state.keys, state.memory, state.mask)
        self._stepper.refresh()
        with dropped_weights(self.cell.cell, self.weight_dropout):
            output, after = self.cell.move(inputs, begun, context, self._stepper)
        layers: RecurrentState = ((after,),)
        if self.upper is not None:
            above, rest = self.upper(self.dropout(output.unsqueeze(0)), None, state.layers[1:])
            output = torch.cat([above[0], output[..., self.cell.cell.hidden_size :]], -1)
            layers = (*layers, *rest)
        return output, state._replace(layers=layers, attention=weights)


class LateAttentionDecoder(nn.Module):
    r"""Attention after the recurrence: the stack runs over all steps first, then all of them look at once.

    Its output is :math:`[c_t; h_t]`. Source: Luong et al. 2015, arXiv:1508.04025, without input feeding.

    Args:
        stack: The recurrent layers.
        bridge: Makes their first states from the summary.
        attention: How a state of the top layer fits each source state.
    """

    def __init__(self, stack: Recurrent, bridge: Bridge, attention: Attention) -> None:
        super().__init__()
        self.stack, self.bridge, self.attention = stack, bridge, attention
        self.output_size = stack.output_size + attention.memory_size
        self.attends = True

    def start(self, memory: Memory) -> AttentiveDecoderState:
        """The state before the first unit."""
        layers = tuple((state,) for state in self.bridge(memory.summary))
        return AttentiveDecoderState(layers, self.attention.keys(memory.states), memory.states, memory.mask)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """All steps of known inputs, (time, batch, input)."""
        state = self.start(memory)
        states, _ = self.stack(inputs, None, state.layers)
        outputs, weights = self._look(states, state)
        return Decoded(outputs, weights if need_weights else None)

    def advance(self, inputs: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, AttentiveDecoderState]:
        """One step, (batch, input)."""
        states, layers = self.stack(inputs.unsqueeze(0), None, state.layers)
        outputs, weights = self._look(states, state)
        return outputs[0], state._replace(layers=layers, attention=weights[0])

    def _look(self, states: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, Tensor]:
        context, weights = self.attention(states.transpose(0, 1), state.memory, state.mask, keys=state.keys)
        return torch.cat([context.transpose(0, 1).to(states.dtype), states], -1), weights.transpose(0, 1)


class WindowState(NamedTuple):
    """Where a window network stands."""

    source: Tensor  # what the source's window adds to the hidden layer, (batch, hidden)
    recent: Tensor  # vectors of the last target units, oldest first, (batch, window, embedding)
    attention: None = None


class WindowDecoder(nn.Module):
    r"""A feed-forward network over a fixed window of source and target so far: the baseline without recurrence.

    .. math:: h_t = \tanh(W_s [x_1; \ldots; x_n] + W_y [y_{t-n}; \ldots; y_{t-1}] + b)

    Only the first `window` source units are seen. Source: Bengio et al. 2003, JMLR 3, with the source's window beside
    the target's.

    Args:
        source_size: Width of a source unit's vector.
        input_size: Width of a target unit's vector.
        hidden_size: Width of the hidden layer.
        window: Units of each side that are seen.
        layers: Hidden layers.
        dropout: Between the layers.
    """

    def __init__(
        self,
        source_size: int,
        input_size: int,
        hidden_size: int,
        *,
        window: int,
        layers: int = 1,
        dropout: SequenceDropout | None = None,
    ) -> None:
        super().__init__()
        self.window, self.input_size, self.output_size = window, input_size, hidden_size
        self.attends = False
        self.source = nn.Linear(window * source_size, hidden_size)
        self.target = nn.Linear(window * input_size, hidden_size, bias=False)
        self.upper = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(layers - 1))
        self.dropout = dropout if dropout is not None else SequenceDropout(0.0)

    def start(self, memory: Memory) -> WindowState:
        """The state before the first unit."""
        assert memory.vectors is not None
        vectors = memory.vectors.masked_fill(~memory.mask.unsqueeze(-1), 0)[:, : self.window]
        missing = self.window - vectors.shape[1]
        vectors = nn.functional.pad(vectors, (0, 0, 0, missing))
        recent = vectors.new_zeros(len(vectors), self.window, self.input_size)
        return WindowState(self.source(vectors.flatten(1)), recent)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """All steps of known inputs, (time, batch, input)."""
        state = self.start(memory)
        whole = torch.cat([state.recent[:, 1:].to(inputs.dtype), inputs.transpose(0, 1)], 1)
        windows = whole.unfold(1, self.window, 1).permute(1, 0, 3, 2).flatten(2)  # (time, batch, window * input)
        return Decoded(self._hidden(windows, state), None)

    def advance(self, inputs: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        """One step, (batch, input)."""
        recent = torch.cat([state.recent[:, 1:].to(inputs.dtype), inputs.unsqueeze(1)], 1)
        return self._hidden(recent.flatten(1).unsqueeze(0), state)[0], state._replace(recent=recent)

    def _hidden(self, windows: Tensor, state: WindowState) -> Tensor:
        hidden = torch.tanh(self.target(windows) + state.source)
        for layer in self.upper:
            hidden = torch.tanh(layer(self.dropout(hidden)))
        return hidden


class TransformerDecoding(nn.Module):
    """A Transformer's decoder behind the same four names (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        stack: The decoder's layers.
        input_size: Width of the inputs, which are brought to the layers' own.
    """

    def __init__(self, stack: TransformerDecoder, input_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, stack.size) if input_size != stack.size else nn.Identity()
        self.stack, self.output_size, self.attends = stack, stack.size, True

    def start(self, memory: Memory) -> Any:
        """The state before the first unit: an empty cache, and the source's keys and values."""
        return self.stack.start(memory.states.transpose(0, 1), memory.mask.sum(1))

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """All steps of known inputs, (time, batch, input)."""
        said = self.stack(
            self.project(inputs), memory.states.transpose(0, 1), memory.mask.sum(1), need_weights=need_weights
        )
        weights = said.weights[-1].mean(1).transpose(0, 1) if need_weights else None
        return Decoded(said.outputs, weights)

    def advance(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step, (batch, input)."""
        return cast("tuple[Tensor, Any]", self.stack.advance(self.project(inputs), state, need_weights=True))
