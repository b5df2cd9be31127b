"""Network settings shared by several tasks: recurrent stacks, Transformers, sequence encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from unspool.cells.names import cell_names
from unspool.errors import SettingError
from unspool.settings import Dropout, NonNegative, PositiveInt, Settings

__all__ = ["TRANSFORMER", "EncoderSettings", "NetworkSettings", "StackSettings"]


class StackSettings(Settings):
    """Cell, layers and dropout of a recurrent stack."""

    lists: ClassVar = {"cells": cell_names}

    cell: str = "lstm"
    """Cell: {cells}, or your own as my_file.py:MyCell or module:MyCell. Options of the cell,
    arguments of its __init__, follow in brackets: "ntm(slots=32, width=8)",
    "my_cell.py:MyCell(rate=0.9, gate=false)"."""
    hidden: PositiveInt = 128
    """Hidden units per layer and direction."""
    layers: PositiveInt = 1
    """Number of stacked layers."""
    residual: bool = False
    """Whether a layer's input is added to its output (residual connection) if both have the same width."""
    dropout: Dropout = 0.3
    """Dropout rate before, between and after the layers."""
    variational: bool = False
    """Whether dropout uses one mask for all steps of a sequence (variational dropout)."""
    weight_dropout: Dropout = 0.0
    """Dropout rate of the recurrent weights, one mask per batch."""
    initialization: Literal["default", "orthogonal", "identity", "small"] = "default"
    """Initialization of recurrent weights: default (uniform, as in torch.nn), orthogonal, identity, or small
    (±0.05)."""
    forget_bias: float | None = None
    """Initial bias of the forget gate, for cells with one; 1 helps long-term memory. None: set by initialization."""
    backend: str = "auto"
    """Engine path. auto: the fastest path that supports the cell; reference, cpu, native and scan require that path."""

    def check(self) -> None:
        """Refuse sizes above the limits, so that a model folder from others can't exhaust memory."""
        if self.layers > 64 or self.hidden > 65_536:
            raise SettingError(
                f"{self.layers} layers of {self.hidden} units: expected at most 64 layers and a width of at most 65536"
            )


class NetworkSettings(StackSettings):
    """Embedding and Transformer settings, added to those of a recurrent stack."""

    embedding: PositiveInt = 100
    """Embedding dimension."""
    heads: PositiveInt = 4
    """Number of attention heads (transformer)."""
    feedforward: PositiveInt = 1024
    """Hidden width of the feed-forward blocks (transformer)."""
    norm: Literal["pre", "post"] = "pre"
    """Layer normalisation: pre (before each block), or post (after it, as in Vaswani et al. 2017) (transformer)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """Positional encoding (transformer); learned positions end at 1,024 units."""
    attention_dropout: Dropout = 0.0
    """Dropout rate of the attention weights (transformer); slower than dropout elsewhere."""

    def check(self) -> None:
        """Refuse sizes above the limits, and a width that the attention heads don't divide."""
        super().check()
        if self.embedding > 65_536:
            raise SettingError(f"embedding = {self.embedding}: expected at most 65536")
        if getattr(self, "network", "") == "transformer" and self.hidden % self.heads:
            raise SettingError(f"hidden = {self.hidden} can't be divided among heads = {self.heads}")


class EncoderSettings(NetworkSettings):
    """A network that encodes whole sequences."""

    bidirectional: bool = True
    """Whether the recurrent layers are bidirectional."""
    word_dropout: NonNegative = 0.0
    """Replaces words by the unknown word in training, with probability word_dropout / (word_dropout + n) for a word
    that occurs n times."""
    characters: Literal["none", "convolution", "recurrent"] = "none"
    """Character-level encoder, concatenated to the word embedding: none, convolution or recurrent."""
    character_embedding: PositiveInt = 32
    """Character embedding dimension."""
    character_hidden: PositiveInt = 100
    """Output width of the character-level encoder; an even number if recurrent."""
    character_dropout: Dropout = 0.0
    """Dropout rate of the character-level encoder, one mask per word."""

    def check(self) -> None:
        """Refuse an odd width of a recurrent character-level encoder: each direction has half of it."""
        super().check()
        if self.characters == "recurrent" and self.character_hidden % 2:
            raise SettingError(
                f"character_hidden = {self.character_hidden}: expected an even number, half for each side"
            )


TRANSFORMER: Mapping[str, Mapping[str, object]] = {"transformer": {"network.network": "transformer"}}
"""The name of a Transformer for `compare`, with its settings."""
