"""From settings to the parts that tasks share: embeddings and recurrent stacks."""

from __future__ import annotations

from typing import Any

import torch

from unspool.cells import Cell
from unspool.data import UNKNOWN, Spelling, Vocabulary
from unspool.layers import CharacterComposition, Projected, Recurrent, TokenEmbedding, TransformerEncoder, WordDropout
from unspool.tasks.parts.network_settings import EncoderSettings, NetworkSettings, StackSettings

__all__ = ["reading_stack", "recurrent_stack", "token_embedding", "transformer_options"]


def token_embedding(network: EncoderSettings, vocabulary: Vocabulary, spelling: Spelling | None) -> TokenEmbedding:
    """The vectors of a reading network: a table, word dropout, and characters if asked for."""
    characters = None
    if network.characters != "none" and spelling is not None:
        characters = CharacterComposition(
            network.characters,
            len(spelling),
            network.character_embedding,
            network.character_hidden,
            dropout=network.character_dropout,
        )
    dropout = None
    if network.word_dropout:
        counts = torch.tensor(vocabulary.counts, device="cpu") if vocabulary.counts else None
        dropout = WordDropout(network.word_dropout, unknown=UNKNOWN, counts=counts)
    return TokenEmbedding(len(vocabulary), network.embedding, characters=characters, word_dropout=dropout)


def reading_stack(
    network: EncoderSettings, kind: str, cell: str | type[Cell[Any]], input_size: int
) -> Recurrent | Projected:
    """Build what reads whole sequences: the layers of a Transformer if `kind` says so, or else recurrent layers."""
    if kind == "transformer":
        return Projected(input_size, TransformerEncoder(network.hidden, **transformer_options(network)))
    return recurrent_stack(network, cell, input_size, bidirectional=network.bidirectional)


def transformer_options(network: NetworkSettings) -> dict[str, Any]:
    """The arguments of a Transformer's layers that the settings describe."""
    return {
        "heads": network.heads,
        "feedforward": network.feedforward,
        "layers": network.layers,
        "dropout": network.dropout,
        "attention_dropout": network.attention_dropout,
        "norm": network.norm,
        "positions": network.positions,
    }


def recurrent_stack(
    network: StackSettings, cell: str | type[Cell[Any]], input_size: int, *, bidirectional: bool
) -> Recurrent:
    """The recurrent layers that the settings describe."""
    return Recurrent(
        cell,
        input_size,
        network.hidden,
        num_layers=network.layers,
        bidirectional=bidirectional,
        residual=network.residual,
        dropout=network.dropout,
        variational=network.variational,
        weight_dropout=network.weight_dropout,
        backend=network.backend,
    )
