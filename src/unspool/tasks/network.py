"""From settings to the parts that tasks share: embeddings and recurrent stacks."""

from __future__ import annotations

from typing import Any

import torch

from unspool.cells import Cell
from unspool.data import UNKNOWN, Spelling, Vocabulary
from unspool.layers import CharacterComposition, Recurrent, TokenEmbedding, WordDropout
from unspool.tasks.settings import EncoderSettings, StackSettings

__all__ = ["recurrent_stack", "token_embedding"]


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
        counts = torch.tensor(vocabulary.counts) if vocabulary.counts else None
        dropout = WordDropout(network.word_dropout, unknown=UNKNOWN, counts=counts)
    return TokenEmbedding(len(vocabulary), network.embedding, characters=characters, word_dropout=dropout)


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
