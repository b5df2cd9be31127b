"""Builder of encoder–decoder networks from settings, with one architecture per value of `network`."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from unspool.cells import Cell, cell_class
from unspool.data import PADDING, UNKNOWN, Encoded, Vocabulary, evaluation_batches
from unspool.inputs.encoders import recurrent_stack, transformer_options
from unspool.inputs.network_settings import NetworkSettings
from unspool.layers import (
    AttentiveCell,
    FullSoftmax,
    Projected,
    Recurrent,
    SequenceDropout,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    WordDropout,
    initialize,
    make_attention,
)
from unspool.models import (
    AttentiveDecoder,
    Bridge,
    EncoderDecoder,
    LateAttentionDecoder,
    LatentVariable,
    LearnedStart,
    RecurrentDecoder,
    TransformerDecoding,
    WindowDecoder,
)
from unspool.tasks.parts.pair_settings import TranslatorNetwork

__all__ = ["build_decoder", "build_encoder_decoder", "most_written", "never_written", "pair_perplexity"]

_LEARNED_POSITIONS = 1024  # maximum length of a Transformer with learned positions, per side
_MOST_WRITTEN = 100_000  # maximum output length of any network, in units


def build_encoder_decoder(
    network: TranslatorNetwork,
    cell: str | type[Cell[Any]],
    source: Vocabulary,
    target: Vocabulary,
    **training: Any,
) -> EncoderDecoder:
    """Build an encoder–decoder network from settings.

    Args:
        network: The settings.
        cell: The cell, or its name.
        source: Source vocabulary.
        target: Target vocabulary; the same object for a shared embedding table.
        training: Training arguments of `EncoderDecoder`: `label_smoothing`, `coverage_penalty`, `sampling`.
    """
    reads = _embedding(network, source)
    writes = reads if target is source else _embedding(network, target)
    encoder, decoder, latent = _parts(network, cell)
    combine = None
    width = decoder.output_size
    if network.network in ("every-step", "latent", "dot", "additive", "bilinear"):
        width = network.embedding if network.tied else network.hidden
        combine = nn.Linear(decoder.output_size, width)
    own_dropout = network.network == "transformer"  # the Transformer applies dropout after scaling its inputs
    model = EncoderDecoder(
        reads,
        writes,
        encoder,
        decoder,
        FullSoftmax(width, len(target), tied=cast(nn.Parameter, writes.table.weight) if network.tied else None),
        combine=combine,
        latent=latent,
        input_dropout=0.0 if own_dropout else network.dropout,
        output_dropout=0.0 if own_dropout else network.dropout,
        variational=network.variational,
        **training,
    )
    initialize(model, network.initialization, forget_bias=network.forget_bias)
    return model


def most_written(network: NetworkSettings) -> int:
    """Return the maximum output length of a network in units, including the end symbol."""
    learned = getattr(network, "network", "") == "transformer" and network.positions == "learned"
    return _LEARNED_POSITIONS if learned else _MOST_WRITTEN


def never_written(vocabulary: Vocabulary, device: torch.device, *, unknown: bool = False) -> Tensor:
    """Return the mask of forbidden output units, bool (vocabulary,): padding, and the unknown unit if not `unknown`."""
    forbidden = torch.zeros(len(vocabulary), dtype=torch.bool, device=device)
    forbidden[[PADDING] if unknown else [PADDING, UNKNOWN]] = True
    return forbidden


@torch.no_grad()
def pair_perplexity(model: EncoderDecoder, examples: Encoded[Any], batch_tokens: int) -> float:
    """Compute the perplexity of the target units and end symbols, given the sources."""
    device, nats, count = next(model.parameters()).device, 0.0, 0
    for _, batch in evaluation_batches(examples, batch_tokens=batch_tokens):
        loss = model.loss(batch.to(device))
        nats, count = nats + float(loss.total), count + loss.count
    return math.exp(min(nats / count, 700.0))


def _embedding(network: TranslatorNetwork, vocabulary: Vocabulary) -> TokenEmbedding:
    dropout = WordDropout(network.word_dropout, unknown=UNKNOWN) if network.word_dropout else None
    return TokenEmbedding(len(vocabulary), network.embedding, word_dropout=dropout)


def _parts(network: TranslatorNetwork, cell: str | type[Cell[Any]]) -> tuple[Any, Any, LatentVariable | None]:
    """Build encoder, decoder and latent variable."""
    kind, size = network.network, network.embedding
    if kind == "transformer":
        return (*_transformer(network), None)
    if kind == "window":
        dropout = SequenceDropout(network.dropout, variational=network.variational)
        decoder = WindowDecoder(
            size, size, network.hidden, window=network.window, layers=network.layers, dropout=dropout
        )
        return None, decoder, None
    if kind == "concatenated":
        stack = recurrent_stack(network, cell, size, bidirectional=False)
        return stack, RecurrentDecoder(stack, None), None
    encoder = recurrent_stack(network, cell, size, bidirectional=network.bidirectional)
    if kind == "initial" and not network.bidirectional:
        return encoder, RecurrentDecoder(recurrent_stack(network, cell, size, bidirectional=False), None), None
    if kind in ("every-step", "latent"):
        return _every_step(network, cell, encoder)
    return encoder, build_decoder(network, cell, encoder.output_size), None


def build_decoder(
    network: NetworkSettings, cell: str | type[Cell[Any]], memory_size: int, *, learned_start: bool = False
) -> Any:
    """Build a decoder of `network.network`: initial, dot, additive, bilinear or transformer.

    Args:
        network: The settings.
        cell: The cell, or its name.
        memory_size: Width of the encoder's states, and of their summary; for a Transformer, its own width.
        learned_start: Whether a decoder with attention starts from a learned state, not from the summary.
    """
    kind = getattr(network, "network", "")
    if kind == "transformer":
        options = transformer_options(network) | {"max_length": _LEARNED_POSITIONS}
        return TransformerDecoding(TransformerDecoder(network.hidden, **options), network.embedding)
    if kind in ("initial", "bilinear"):
        stack = recurrent_stack(network, cell, network.embedding, bidirectional=False)
        if kind == "initial":
            return RecurrentDecoder(stack, _bridge(memory_size, stack))
        start = _start([cell for _, cell, _ in stack.named_cells()], memory_size, learned=learned_start)
        return LateAttentionDecoder(stack, start, make_attention(kind, network.hidden, memory_size))
    return _attentive(network, cell, memory_size, learned_start=learned_start)


def _bridge(summary_size: int, stack: Recurrent) -> Bridge:
    return Bridge(summary_size, [cell for _, cell, _ in stack.named_cells()])


def _start(cells: list[Cell[Any]], summary_size: int, *, learned: bool) -> Bridge | LearnedStart:
    return LearnedStart(cells) if learned else Bridge(summary_size, cells)


def _transformer(network: TranslatorNetwork) -> tuple[Projected, TransformerDecoding]:
    options = transformer_options(network) | {"max_length": _LEARNED_POSITIONS}
    encoder = Projected(network.embedding, TransformerEncoder(network.hidden, **options))
    return encoder, build_decoder(network, network.cell, network.hidden)


def _every_step(
    network: TranslatorNetwork, cell: str | type[Cell[Any]], encoder: Recurrent
) -> tuple[Recurrent, RecurrentDecoder, LatentVariable | None]:
    context, latent = encoder.output_size, None
    if network.network == "latent":
        reader = recurrent_stack(network, cell, network.embedding, bidirectional=True)
        latent = LatentVariable(
            context, reader, network.latent, annealing=network.annealing, free_bits=network.free_bits
        )
        context += network.latent
    stack = recurrent_stack(network, cell, network.embedding + context, bidirectional=False)
    return encoder, RecurrentDecoder(stack, _bridge(context, stack), context_size=context), latent


def _attentive(
    network: NetworkSettings, cell: str | type[Cell[Any]], memory_size: int, *, learned_start: bool
) -> AttentiveDecoder:
    hidden = network.hidden
    first = cell_class(cell)(network.embedding + memory_size, hidden)
    attention = make_attention(getattr(network, "network", ""), hidden, memory_size)
    cells, upper = [first], None
    if network.layers > 1:
        above = network.replace(layers=network.layers - 1)
        upper = recurrent_stack(above, cell, hidden + memory_size, bidirectional=False)
        cells += [layer for _, layer, _ in upper.named_cells()]
    return AttentiveDecoder(
        AttentiveCell(first, attention),
        upper,
        _start(cells, memory_size, learned=learned_start),
        dropout=SequenceDropout(network.dropout, variational=network.variational),
        weight_dropout=network.weight_dropout,
        backend=network.backend,
    )
