"""Transformer stacks: encoder, decoder with cross-attention, and causal encoder for language models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple, TypedDict, Unpack, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.engine import check_sequences
from unspool.errors import SettingError, ShapeError
from unspool.layers.linear import Linear
from unspool.layers.multihead_attention import KeyValues, MultiHeadAttention, causal_mask
from unspool.layers.positions import LearnedPositions, SinusoidalPositions
from unspool.layers.residual import add_dropout, drop_values
from unspool.layers.scaled_dot_product import blocked, inner_type

__all__ = [
    "DecoderState",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerOptions",
    "TransformerOutput",
    "TransformerState",
    "record_attention",
]

Norm = Literal["pre", "post"]
Activation = Literal["relu", "gelu"]
Positions = Literal["sinusoidal", "learned", "none"]


class TransformerOutput(NamedTuple):
    """Outputs and attention weights of a stack."""

    outputs: Tensor  # of the last layer, (time, batch, size), zero past each length
    weights: tuple[Tensor, ...]  # of each layer, (batch, heads, query time, key time); empty without `need_weights`


_attention: ContextVar[dict[nn.Module, tuple[Tensor, ...]] | None] = ContextVar("attention", default=None)


@contextmanager
def record_attention() -> Iterator[dict[nn.Module, tuple[Tensor, ...]]]:
    """Record the attention weights of every Transformer stack that runs inside the context, in this thread.

    The stacks take the slower path that computes the weights.

    Yields:
        The weights of the last call of each stack, one per layer, (batch, heads, query time, key time). Of a decoder,
        those over the memory; its self-attention stands under the attention of each layer.
    """
    weights: dict[nn.Module, tuple[Tensor, ...]] = {}
    token = _attention.set(weights)
    try:
        yield weights
    finally:
        _attention.reset(token)


class TransformerState(NamedTuple):
    """State of a causal encoder between steps; every tensor has the batch first."""

    caches: tuple[KeyValues, ...]  # of each layer, for the steps so far
    position: Tensor  # of the next step, int64 (batch,)


class DecoderState(NamedTuple):
    """State of a decoder between steps; every tensor has the batch first."""

    caches: tuple[KeyValues, ...]  # of each layer, for the target steps so far
    memories: tuple[KeyValues, ...]  # of each layer, for the source
    mask: Tensor  # True at valid steps of the source, bool (batch, source time)
    position: Tensor  # of the next step, int64 (batch,)
    attention: Tensor | None  # weights of the last step, (batch, source time)


class TransformerOptions(TypedDict, total=False):
    """Options of encoder and decoder besides their sizes; documented at `TransformerEncoder`."""

    dropout: float
    attention_dropout: float
    activation_dropout: float
    norm: Norm
    activation: Activation
    positions: Positions
    max_length: int
    scale_inputs: bool


_DEFAULTS: TransformerOptions = {
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "norm": "pre",
    "activation": "relu",
    "positions": "sinusoidal",
    "max_length": 1024,
    "scale_inputs": True,
}


class _Layer(nn.Module):
    """One layer: self-attention, cross-attention in a decoder, feed-forward block; batch first."""

    def __init__(self, size: int, heads: int, feedforward: int, options: TransformerOptions, *, memory: bool) -> None:
        super().__init__()
        self.dropout, self.activation_dropout = options["dropout"], options["activation_dropout"]
        self.pre, self.activation = options["norm"] == "pre", options["activation"]
        self.self_attention = MultiHeadAttention(size, heads, options["attention_dropout"])
        self.self_norm = nn.LayerNorm(size)
        if memory:
            self.memory_attention = MultiHeadAttention(size, heads, options["attention_dropout"])
            self.memory_norm = nn.LayerNorm(size)
        self.expand, self.reduce = Linear(size, feedforward), Linear(feedforward, size)
        for product in (self.expand, self.reduce):
            nn.init.xavier_uniform_(product.weight)
            nn.init.zeros_(product.bias)
        self.feedforward_norm = nn.LayerNorm(size)

    def before(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Return the input of a block: normalised if pre-norm."""
        return norm(x) if self.pre else x

    def after(self, x: Tensor, block: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Return the residual sum after a block: normalised if post-norm."""
        x = add_dropout(x, block, self.dropout if self.training else 0.0)
        return x if self.pre else norm(x)

    def feed(self, x: Tensor) -> Tensor:
        """Apply the feed-forward block with its residual sum."""
        hidden = self.expand(self.before(x, self.feedforward_norm))
        hidden = torch.relu_(hidden) if self.activation == "relu" else F.gelu(hidden)
        hidden = drop_values(hidden, self.activation_dropout if self.training else 0.0)
        return self.after(x, self.reduce(hidden), self.feedforward_norm)

    def extra_repr(self) -> str:
        return f"norm={'pre' if self.pre else 'post'}, activation={self.activation}, dropout={self.dropout}"


class _Stack(nn.Module):
    """Base of encoder and decoder: input scaling and positions, layers, last norm."""

    def __init__(
        self, size: int, heads: int, feedforward: int, layers: int, options: TransformerOptions, *, memory: bool
    ) -> None:
        super().__init__()
        options = _checked(_DEFAULTS | options)
        if min(size, heads, feedforward, layers) < 1:
            raise SettingError(
                f"size = {size}, heads = {heads}, feedforward = {feedforward}, layers = {layers}: expected at least 1"
            )
        self.input_size = self.output_size = self.size = size
        self.heads = heads
        self.dropout, self.scale = options["dropout"], size**0.5 if options["scale_inputs"] else 1.0
        self.positions = _positions(options["positions"], size, options["max_length"])
        self.layers = nn.ModuleList(_Layer(size, heads, feedforward, options, memory=memory) for _ in range(layers))
        self.norm = nn.LayerNorm(size) if options["norm"] == "pre" else nn.Identity()

    def _blocks(self) -> list[_Layer]:
        return cast(list[_Layer], list(self.layers))

    def _enter(self, inputs: Tensor, padding: Tensor | None) -> Tensor:
        """Clear the padding of inputs, (time, batch, size), scale, add positions, apply dropout; batch first."""
        x = inputs.transpose(0, 1).contiguous()
        if padding is not None:
            x = x.masked_fill(padding, 0)
        if self.positions is not None:
            x = torch.add(self.positions.rows(x.shape[1], x), x, alpha=self.scale)
        elif self.scale != 1:
            x = x * self.scale
        return drop_values(x, self.dropout if self.training else 0.0)

    def _leave(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """Return outputs from the last layer, (batch, time, size): normalised, zero in the padding, time first."""
        outputs: Tensor = self.norm(x)
        return (outputs if padding is None else outputs.masked_fill(padding, 0)).transpose(0, 1)

    def _output(self, x: Tensor, padding: Tensor | None, weights: list[Tensor]) -> TransformerOutput:
        """Return the output of a stack, and pass its weights to `record_attention`."""
        collected = _attention.get()
        if collected is not None:
            collected[self] = tuple(weights)
        return TransformerOutput(self._leave(x, padding), tuple(weights))

    def _enter_step(self, inputs: Tensor, position: Tensor, time: int) -> Tensor:
        """Prepare inputs of one step, (batch, size), at positions of at most `time`."""
        if inputs.dim() != 2 or inputs.shape[-1] != self.size:
            raise ShapeError(f"inputs have shape {tuple(inputs.shape)}, expected (batch, {self.size})")
        x = inputs * self.scale
        if self.positions is not None:
            x = x + self.positions.rows(time + 1, x)[position]
        return drop_values(x, self.dropout if self.training else 0.0)


def _checked(options: TransformerOptions) -> TransformerOptions:
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        if not 0 <= options[name] < 1:
            raise SettingError(f"{name} = {options[name]}: expected at least 0 and less than 1")
    kinds = {"norm": Norm, "activation": Activation, "positions": Positions}
    for name, kind in kinds.items():
        if options[name] not in get_args(kind):  # type: ignore[literal-required]
            raise SettingError(f"{name} = {options[name]}: expected one of {', '.join(get_args(kind))}")  # type: ignore[literal-required]
    return options


def _positions(kind: Positions, size: int, max_length: int) -> SinusoidalPositions | LearnedPositions | None:
    if kind == "sinusoidal":
        return SinusoidalPositions(size)
    if kind == "learned":
        return LearnedPositions(size, max_length)
    return None


class TransformerEncoder(_Stack):
    """Transformer encoder: every step attends to all steps, or (causal) to earlier ones.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3; norms before each block as in Xiong et al. 2020,
    arXiv:2002.04745, with one more after the last. Products start Xavier uniform with biases of zero, as in the
    authors' tensor2tensor.

    Args:
        size: Width of inputs and outputs.
        heads: Number of heads of each attention; divides `size`.
        feedforward: Width of the hidden layer of the feed-forward blocks.
        layers: Depth.
        dropout: Dropout rate of the inputs and of the output of each block.
        attention_dropout: Dropout rate of attention weights.
        activation_dropout: Dropout rate of the hidden layer of the feed-forward blocks.
        norm: `pre` normalises the input of each block, `post` the residual sum after it.
        activation: Activation of the feed-forward blocks, `relu` or `gelu`.
        positions: `sinusoidal` for any length, `learned` up to `max_length`, or `none`.
        max_length: Maximum length of a sequence, for learned positions.
        causal: Whether a step attends only to itself and earlier steps, for language models.
        scale_inputs: Whether to multiply inputs by √size before adding positions, as the paper does with embeddings in
            section 3.4.

    Raises:
        SettingError: If a value is out of range.
    """

    def __init__(
        self,
        size: int,
        *,
        heads: int,
        feedforward: int,
        layers: int,
        causal: bool = False,
        **options: Unpack[TransformerOptions],
    ) -> None:
        super().__init__(size, heads, feedforward, layers, options, memory=False)
        self.causal = causal

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, need_weights: bool = False) -> TransformerOutput:
        """Run all layers.

        Args:
            inputs: Sequences padded at the end, (time, batch, size).
            lengths: Valid steps of each sequence, int64 (batch,), each between 1 and time; all of them if omitted.
            need_weights: Whether to return attention weights, which takes the slower path.

        Returns:
            Outputs of the last layer, and the weights of every layer.

        Raises:
            ShapeError: If a tensor does not fit.
        """
        check_sequences(inputs, lengths, self.size)
        need_weights = need_weights or _attention.get() is not None
        real = _real(lengths, inputs.shape[0])
        padding = None if real is None else ~real.unsqueeze(-1)
        mask = None if real is None else real[:, None, None]
        if self.causal:
            mask = causal_mask(inputs.shape[0], inputs.shape[0], inputs.device)
        x = self._enter(inputs, padding)
        bias = None if mask is None or need_weights else blocked(mask, inner_type(x))
        weights = []
        for layer in self._blocks():
            h = layer.before(x, layer.self_norm)
            if need_weights:
                block, weight = layer.self_attention.weigh(h, None, mask)
                weights.append(weight)
            else:
                block = layer.self_attention.look(h, None, bias)
            x = layer.feed(layer.after(x, block, layer.self_norm))
        return self._output(x, padding, weights)

    def start(self, batch_size: int) -> TransformerState:
        """Return the state before the first step.

        Raises:
            SettingError: If the stack is not causal.
        """
        if not self.causal:
            raise SettingError(
                "an encoder that attends to later steps can't run step by step; make it with causal=True"
            )
        caches = tuple(layer.self_attention.empty_cache(batch_size) for layer in self._blocks())
        return TransformerState(caches, _zeros(self, batch_size))

    def advance(self, inputs: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """Make one step, (batch, size); return the output of the last layer, (batch, size), and the new state."""
        x = self._enter_step(inputs, state.position, state.caches[0].keys.shape[2])
        caches = []
        for layer, cache in zip(self._blocks(), state.caches, strict=True):
            block, cache = layer.self_attention.advance(layer.before(x, layer.self_norm), cache)
            caches.append(cache)
            x = layer.feed(layer.after(x, block, layer.self_norm))
        return self.norm(x), TransformerState(tuple(caches), state.position + 1)


class TransformerDecoder(_Stack):
    """Transformer decoder: causal self-attention and cross-attention to the outputs of an encoder (the memory).

    Source and arguments as for `TransformerEncoder`.
    """

    def __init__(
        self, size: int, *, heads: int, feedforward: int, layers: int, **options: Unpack[TransformerOptions]
    ) -> None:
        super().__init__(size, heads, feedforward, layers, options, memory=True)

    def forward(
        self,
        inputs: Tensor,
        memory: Tensor,
        memory_lengths: Tensor | None = None,
        need_weights: bool = False,
        *,
        lengths: Tensor | None = None,
    ) -> TransformerOutput:
        """Run all layers over whole sequences.

        Args:
            inputs: Sequences padded at the end, (time, batch, size).
            memory: Outputs of the encoder, padded at the end, (source time, batch, size).
            memory_lengths: Valid steps of each memory, int64 (batch,); all of them if omitted.
            need_weights: Whether to return the weights over the memory, which takes the slower path.
            lengths: Valid steps of each sequence, int64 (batch,); outputs past them are zero. All if omitted.

        Returns:
            Outputs of the last layer, and the weights of every layer over the memory.

        Raises:
            ShapeError: If a tensor does not fit.
        """
        check_sequences(inputs, lengths, self.size)
        collected = _attention.get()
        need_weights = need_weights or collected is not None
        memory, mask = self._memory(memory, memory_lengths)
        if memory.shape[0] != inputs.shape[1]:
            raise ShapeError(f"{inputs.shape[1]} sequences came with {memory.shape[0]} memories")
        time = inputs.shape[0]
        real = _real(lengths, time)
        padding = None if real is None else ~real.unsqueeze(-1)
        x = self._enter(inputs, padding)
        before = causal_mask(time, time, x.device)
        before_bias = blocked(before, inner_type(x))
        bias = None if mask is None or need_weights else blocked(mask, inner_type(x))
        weights = []
        for layer in self._blocks():
            h = layer.before(x, layer.self_norm)
            if collected is None:
                block = layer.self_attention.look(h, None, before_bias)
            else:
                block, own = layer.self_attention.weigh(h, None, before)
                collected[layer.self_attention] = (own,)
            x = layer.after(x, block, layer.self_norm)
            h = layer.before(x, layer.memory_norm)
            if need_weights:
                block, weight = layer.memory_attention.weigh(h, memory, mask)
                weights.append(weight)
            else:
                block = layer.memory_attention.look(h, memory, bias)
            x = layer.feed(layer.after(x, block, layer.memory_norm))
        return self._output(x, padding, weights)

    def start(self, memory: Tensor, memory_lengths: Tensor | None = None) -> DecoderState:
        """Return the state before the first step, with keys and values of the memory.

        Raises:
            ShapeError: If the memory does not fit.
        """
        memory, mask = self._memory(memory, memory_lengths)
        batch, time = memory.shape[:2]
        real = mask[:, 0, 0] if mask is not None else memory.new_ones(batch, time, dtype=torch.bool)
        return DecoderState(
            caches=tuple(layer.self_attention.empty_cache(batch) for layer in self._blocks()),
            memories=tuple(layer.memory_attention.keys_values(memory) for layer in self._blocks()),
            mask=real,
            position=_zeros(self, batch),
            attention=None,
        )

    def advance(self, inputs: Tensor, state: DecoderState, need_weights: bool = False) -> tuple[Tensor, DecoderState]:
        """Make one step of each sequence.

        Args:
            inputs: (batch, size).
            state: From `start` or the step before.
            need_weights: Whether the new state has attention weights: the mean over the heads of the last layer.

        Returns:
            Output of the last layer, (batch, size), and the new state.
        """
        x = self._enter_step(inputs, state.position, state.caches[0].keys.shape[2])
        bias = blocked(state.mask.unsqueeze(1), inner_type(x))
        caches, weights = [], None
        for layer, cache, memory in zip(self._blocks(), state.caches, state.memories, strict=True):
            block, cache = layer.self_attention.advance(layer.before(x, layer.self_norm), cache)
            caches.append(cache)
            x = layer.after(x, block, layer.self_norm)
            block, weights = layer.memory_attention.look_step(layer.before(x, layer.memory_norm), memory, bias)
            x = layer.feed(layer.after(x, block, layer.memory_norm))
        attention = weights.mean(1) if need_weights and weights is not None else None
        state = state._replace(caches=tuple(caches), position=state.position + 1, attention=attention)
        return self.norm(x), state

    def _memory(self, memory: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the memory, batch first and zero in its padding, and its mask."""
        check_sequences(memory, lengths, self.size)
        real = _real(lengths, memory.shape[0])
        memory = memory.transpose(0, 1).contiguous()
        if real is None:
            return memory, None
        return memory.masked_fill(~real.unsqueeze(-1), 0), real[:, None, None]


def _real(lengths: Tensor | None, time: int) -> Tensor | None:
    """Return the mask of valid steps, bool (batch, time); None if there is no padding."""
    if lengths is None or (lengths.device.type == "cpu" and int(lengths.min()) == time):
        return None
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)


def _zeros(module: nn.Module, batch_size: int) -> Tensor:
    return torch.zeros(batch_size, dtype=torch.int64, device=next(module.parameters()).device)
