"""Decoders of an encoder-decoder: recurrent, with attention before or after, window network, Transformer.

All share one interface, so that training and decoding do not depend on the kind:

- `forward(inputs, memory)` runs all steps (teacher forcing);
- `start(memory)` returns the state before the first unit, every tensor with the batch first;
- `advance(inputs, state)` makes one step, with results equal to those of `forward`;
- `output_size` is the width of its outputs; `attends` is whether it has attention weights.
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
    drop_weights,
)

__all__ = [
    "AttentiveDecoder",
    "AttentiveDecoderState",
    "Bridge",
    "Decoded",
    "LateAttentionDecoder",
    "LearnedStart",
    "Memory",
    "RecurrentDecoder",
    "RecurrentDecoderState",
    "TransformerDecoding",
    "WindowDecoder",
    "WindowState",
]


class Memory(NamedTuple):
    """Output of an encoder for a decoder; every tensor has the batch first."""

    states: Tensor  # of every source unit, zero in the padding, (batch, source time, width)
    mask: Tensor  # True at valid units, bool (batch, source time)
    summary: Tensor  # of the whole source, (batch, summary)
    final: RecurrentState | None = None  # final states of a recurrent encoder
    vectors: Tensor | None = None  # embedded units, without an encoder, (batch, source time, embedding)


class Decoded(NamedTuple):
    """Outputs and attention of a decoder."""

    outputs: Tensor  # (time, batch, output_size)
    attention: Tensor | None  # (time, batch, source time); None without attention or `need_weights`


class Bridge(nn.Module):
    r"""Map an encoder's summary to the initial state of each layer of a decoder, :math:`s = \tanh(W c + b)`.

    Args:
        summary_size: Width of the summary.
        cells: The cell of each layer.
    """

    def __init__(self, summary_size: int, cells: list[Cell[Any]]) -> None:
        super().__init__()
        self._kinds = [type(cell.initial_state(1)) for cell in cells]
        self._widths = [[part.shape[-1] for part in cell.initial_state(1)] for cell in cells]
        self.project = nn.Linear(summary_size, sum(sum(widths) for widths in self._widths))

    def forward(self, summary: Tensor) -> list[Any]:
        """Return the initial state of each layer, for summaries (batch, summary)."""
        widths = [width for widths in self._widths for width in widths]
        initial = torch.tanh(self.project(summary)).to(
            self.project.weight.dtype
        )  # states have the dtype of the weights
        parts = list(torch.split(initial, widths, dim=-1))
        return [kind(*(parts.pop(0) for _ in widths)) for kind, widths in zip(self._kinds, self._widths, strict=True)]


class LearnedStart(nn.Module):
    """Initial state of each layer of a decoder, learned and the same for every source, in place of a `Bridge`.

    The decoder then sees the source through its attention alone.

    Args:
        cells: The cell of each layer.
    """

    def __init__(self, cells: list[Cell[Any]]) -> None:
        super().__init__()
        states = [cell.initial_state(1) for cell in cells]
        self._kinds = [type(state) for state in states]
        self.parts = nn.ParameterList(nn.Parameter(part.detach().clone()) for state in states for part in state)
        self._counts = [len(state) for state in states]

    def forward(self, summary: Tensor) -> list[Any]:
        """Return the initial state of each layer, for summaries (batch, summary), which give no more than the batch."""
        parts = [part.expand(len(summary), *part.shape[1:]) for part in self.parts]
        return [
            kind(*(parts.pop(0) for _ in range(count))) for kind, count in zip(self._kinds, self._counts, strict=True)
        ]


class RecurrentDecoderState(NamedTuple):
    """State of a decoder without attention."""

    layers: RecurrentState
    context: Tensor | None  # of the whole source, the same at every step, (batch, context)
    attention: None = None


class RecurrentDecoder(nn.Module):
    """Recurrent decoder that starts from the final state of the source, and optionally sees it at every step.

    Args:
        stack: The recurrent layers, which may be those of the encoder.
        bridge: Maps the summary to the initial states. None: the encoder's final states (Sutskever et al. 2014,
            arXiv:1409.3215).
        context_size: Width of the summary if it is concatenated to every input and output (Cho et al. 2014,
            arXiv:1406.1078), else 0.
    """

    def __init__(self, stack: Recurrent, bridge: Bridge | None, *, context_size: int = 0) -> None:
        super().__init__()
        self.stack, self.bridge, self.context_size = stack, bridge, context_size
        self.output_size = stack.output_size + context_size
        self.attends = False

    def start(self, memory: Memory) -> RecurrentDecoderState:
        """Return the state before the first unit."""
        context = memory.summary if self.context_size else None
        if self.bridge is not None:
            return RecurrentDecoderState(tuple((state,) for state in self.bridge(memory.summary)), context)
        if memory.final is None:
            raise SettingError("an encoder without recurrent states needs a bridge to this decoder")
        return RecurrentDecoderState(memory.final, context)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """Run all steps of inputs, (time, batch, input)."""
        return Decoded(self._run(inputs, self.start(memory))[0], None)

    def advance(self, inputs: Tensor, state: RecurrentDecoderState) -> tuple[Tensor, RecurrentDecoderState]:
        """Make one step, for inputs (batch, input)."""
        outputs, layers = self._run(inputs.unsqueeze(0), state)
        return outputs[0], state._replace(layers=layers)

    def _run(self, inputs: Tensor, state: RecurrentDecoderState) -> tuple[Tensor, RecurrentState]:
        if state.context is None:
            return self.stack(inputs, None, state.layers)  # type: ignore[no-any-return]
        context = state.context.to(inputs.dtype).expand(len(inputs), -1, -1)
        outputs, layers = self.stack(torch.cat([inputs, context], -1), None, state.layers)
        return torch.cat([outputs, context.to(outputs.dtype)], -1), layers


class AttentiveDecoderState(NamedTuple):
    """State of a decoder with attention."""

    layers: RecurrentState
    keys: Tensor  # (batch, source time, key)
    memory: Tensor  # (batch, source time, memory)
    mask: Tensor  # bool (batch, source time)
    attention: Tensor | None = None  # of the last step, (batch, source time)


class AttentiveDecoder(nn.Module):
    """Recurrent decoder with attention from the previous state: attend, then step (see `AttentiveCell`).

    Upper layers read output and context of the first layer.

    Args:
        cell: The first layer.
        upper: The layers above it. None: no other layers.
        bridge: Maps the summary to the initial states of the first layer's inner cell and of the upper layers.
        dropout: Dropout between the first layer and the upper layers.
        weight_dropout: Dropout rate of the first layer's recurrent weights, one mask per batch.
        backend: Engine backend of the first layer.
    """

    def __init__(
        self,
        cell: AttentiveCell,
        upper: Recurrent | None,
        bridge: Bridge | LearnedStart,
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
        """Return the state before the first unit."""
        first, *upper = self.bridge(memory.summary)
        layers = ((self.cell.start_from(first),), *((state,) for state in upper))
        return AttentiveDecoderState(layers, self.cell.attention.keys(memory.states), memory.states, memory.mask)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """Run all steps of inputs, (time, batch, input)."""
        state = self.start(memory)
        initial = state.layers[0][0]
        context = (state.keys, state.memory, state.mask)
        with drop_weights(self.cell.cell, self.weight_dropout):
            outputs, _ = unroll(self.cell, inputs, initial, context=context, backend=self.backend)
        weights = self._weights(outputs, initial, state) if need_weights else None
        if self.upper is not None:
            above, _ = self.upper(self.dropout(outputs), None, state.layers[1:])
            outputs = torch.cat([above, outputs[..., self.cell.cell.hidden_size :]], -1)
        return Decoded(outputs, weights)

    def _weights(self, outputs: Tensor, initial: Any, state: AttentiveDecoderState) -> Tensor:
        """Return the weights of all steps at once, with the outputs as queries."""
        queries = outputs[:-1, :, : self.cell.cell.hidden_size]
        queries = torch.cat([initial.output.to(queries.dtype).unsqueeze(0), queries])
        weights = self.cell.attention(queries.transpose(0, 1), state.memory, state.mask, keys=state.keys).weights
        return cast(Tensor, weights.transpose(0, 1))

    def advance(self, inputs: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, AttentiveDecoderState]:
        """Make one step, for inputs (batch, input)."""
        before = state.layers[0][0]
        context, weights = self.cell.look(before, state.keys, state.memory, state.mask)
        self._stepper.refresh()
        with drop_weights(self.cell.cell, self.weight_dropout):
            output, after = self.cell.move(inputs, before, context, self._stepper)
        layers: RecurrentState = ((after,),)
        if self.upper is not None:
            above, rest = self.upper(self.dropout(output.unsqueeze(0)), None, state.layers[1:])
            output = torch.cat([above[0], output[..., self.cell.cell.hidden_size :]], -1)
            layers = (*layers, *rest)
        return output, state._replace(layers=layers, attention=weights)


class LateAttentionDecoder(nn.Module):
    r"""Recurrent decoder with attention after the recurrence: the stack runs first, then all steps attend at once.

    The output is :math:`[c_t; h_t]`. Source: Luong et al. 2015, arXiv:1508.04025, without input feeding.

    Args:
        stack: The recurrent layers.
        bridge: Maps the summary to their initial states.
        attention: Attention from the top layer to the source states.
    """

    def __init__(self, stack: Recurrent, bridge: Bridge | LearnedStart, attention: Attention) -> None:
        super().__init__()
        self.stack, self.bridge, self.attention = stack, bridge, attention
        self.output_size = stack.output_size + attention.memory_size
        self.attends = True

    def start(self, memory: Memory) -> AttentiveDecoderState:
        """Return the state before the first unit."""
        layers = tuple((state,) for state in self.bridge(memory.summary))
        return AttentiveDecoderState(layers, self.attention.keys(memory.states), memory.states, memory.mask)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """Run all steps of inputs, (time, batch, input)."""
        state = self.start(memory)
        states, _ = self.stack(inputs, None, state.layers)
        outputs, weights = self._look(states, state)
        return Decoded(outputs, weights if need_weights else None)

    def advance(self, inputs: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, AttentiveDecoderState]:
        """Make one step, for inputs (batch, input)."""
        states, layers = self.stack(inputs.unsqueeze(0), None, state.layers)
        outputs, weights = self._look(states, state)
        return outputs[0], state._replace(layers=layers, attention=weights[0])

    def _look(self, states: Tensor, state: AttentiveDecoderState) -> tuple[Tensor, Tensor]:
        context, weights = self.attention(states.transpose(0, 1), state.memory, state.mask, keys=state.keys)
        return torch.cat([context.transpose(0, 1).to(states.dtype), states], -1), weights.transpose(0, 1)


class WindowState(NamedTuple):
    """State of a window network."""

    source: Tensor  # part of the hidden layer's sum from the source window, (batch, hidden)
    recent: Tensor  # vectors of the last target units, oldest first, (batch, window, embedding)
    attention: None = None


class WindowDecoder(nn.Module):
    r"""Feed-forward decoder over fixed windows of source and target: a baseline without recurrence.

    .. math:: h_t = \tanh(W_s [x_1; \ldots; x_n] + W_y [y_{t-n}; \ldots; y_{t-1}] + b)

    The network sees only the first `window` source units. Source: Bengio et al. 2003, JMLR 3, with a source window
    beside the target window.

    Args:
        source_size: Width of the source embeddings.
        input_size: Width of the target embeddings.
        hidden_size: Width of the hidden layers.
        window: Number of units in each window.
        layers: Number of hidden layers.
        dropout: Dropout between the layers.
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
        """Return the state before the first unit."""
        assert memory.vectors is not None
        vectors = memory.vectors.masked_fill(~memory.mask.unsqueeze(-1), 0)[:, : self.window]
        padding = self.window - vectors.shape[1]
        vectors = nn.functional.pad(vectors, (0, 0, 0, padding))
        recent = vectors.new_zeros(len(vectors), self.window, self.input_size)
        return WindowState(self.source(vectors.flatten(1)), recent)

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """Run all steps of inputs, (time, batch, input)."""
        state = self.start(memory)
        whole = torch.cat([state.recent[:, 1:].to(inputs.dtype), inputs.transpose(0, 1)], 1)
        windows = whole.unfold(1, self.window, 1).permute(1, 0, 3, 2).flatten(2)  # (time, batch, window * input)
        return Decoded(self._hidden(windows, state), None)

    def advance(self, inputs: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        """Make one step, for inputs (batch, input)."""
        recent = torch.cat([state.recent[:, 1:].to(inputs.dtype), inputs.unsqueeze(1)], 1)
        return self._hidden(recent.flatten(1).unsqueeze(0), state)[0], state._replace(recent=recent)

    def _hidden(self, windows: Tensor, state: WindowState) -> Tensor:
        hidden = torch.tanh(self.target(windows) + state.source)
        for layer in self.upper:
            hidden = torch.tanh(layer(self.dropout(hidden)))
        return hidden


class TransformerDecoding(nn.Module):
    """Transformer decoder with the interface of this module (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        stack: The decoder's layers.
        input_size: Width of the inputs; a linear projection maps them to the width of the layers.
    """

    def __init__(self, stack: TransformerDecoder, input_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, stack.size) if input_size != stack.size else nn.Identity()
        self.stack, self.output_size, self.attends = stack, stack.size, True

    def start(self, memory: Memory) -> Any:
        """Return the state before the first unit: an empty cache, and keys and values of the source."""
        return self.stack.start(memory.states.transpose(0, 1), memory.mask.sum(1))

    def forward(self, inputs: Tensor, memory: Memory, *, need_weights: bool = False) -> Decoded:
        """Run all steps of inputs, (time, batch, input)."""
        output = self.stack(
            self.project(inputs), memory.states.transpose(0, 1), memory.mask.sum(1), need_weights=need_weights
        )
        weights = output.weights[-1].mean(1).transpose(0, 1) if need_weights else None
        return Decoded(output.outputs, weights)

    def advance(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Make one step, for inputs (batch, input)."""
        return cast("tuple[Tensor, Any]", self.stack.advance(self.project(inputs), state, need_weights=True))
