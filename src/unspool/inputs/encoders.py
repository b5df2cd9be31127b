"""Builders of sequence encoders from settings: recurrent stacks and Transformers."""

from __future__ import annotations

from typing import Any

from unspool.cells import Cell
from unspool.inputs.network_settings import EncoderSettings, NetworkSettings, StackSettings
from unspool.layers import Projected, Recurrent, TransformerEncoder

__all__ = ["reading_stack", "recurrent_stack", "transformer_options"]


def reading_stack(
    network: EncoderSettings, kind: str, cell: str | type[Cell[Any]], input_size: int
) -> Recurrent | Projected:
    """Build a sequence encoder: Transformer layers if `kind` is `transformer`, otherwise recurrent layers."""
    if kind == "transformer":
        return Projected(input_size, TransformerEncoder(network.hidden, **transformer_options(network)))
    return recurrent_stack(network, cell, input_size, bidirectional=network.bidirectional)


def transformer_options(network: NetworkSettings) -> dict[str, Any]:
    """Return the keyword arguments of `TransformerEncoder` for some settings."""
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
    """Build the recurrent layers for some settings."""
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
