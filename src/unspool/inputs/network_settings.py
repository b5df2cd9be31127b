"""Settings of networks that several tasks train: recurrent stacks, Transformers, encoders of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from unspool.cells.names import cell_names
from unspool.errors import SettingError
from unspool.settings import Dropout, NonNegative, PositiveInt, Settings

__all__ = ["TRANSFORMER", "EncoderSettings", "NetworkSettings", "StackSettings"]


class StackSettings(Settings):
    """What a recurrent stack is made of."""

    lists: ClassVar = {"cells": cell_names}

    cell: str = "lstm"
    """Cell: {cells}, or your own as my_file.py:MyCell or module:MyCell. Options of the cell,
    arguments of its __init__, follow in brackets: "ntm(slots=32, width=8)",
    "my_cell.py:MyCell(rate=0.9, gate=false)"."""
    hidden: PositiveInt = 128
    """Units of each layer and direction."""
    layers: PositiveInt = 1
    """Layers, one on the other."""
    residual: bool = False
    """Whether a layer's input is added to its output where both are equally wide."""
    dropout: Dropout = 0.3
    """Share of features dropped before, between and after the layers, in training."""
    variational: bool = False
    """Whether dropout keeps one mask for all steps of a sequence."""
    weight_dropout: Dropout = 0.0
    """Share of recurrent weights dropped, one mask per batch."""
    initialization: Literal["default", "orthogonal", "identity", "small"] = "default"
    """How recurrent weights start: default (uniform, as in torch.nn), orthogonal, identity, or small (±0.05)."""
    forget_bias: float | None = None
    """Start of the forget gate's bias, for cells that have one; 1 helps to remember. None: as initialization has it."""
    backend: str = "auto"
    """Engine path: auto takes the fastest that is right; reference, native and scan demand that path."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end."""
        if self.layers > 64 or self.hidden > 65_536:
            raise SettingError(
                f"{self.layers} layers of {self.hidden} units: expected at most 64 layers and a width of at most 65536"
            )


class NetworkSettings(StackSettings):
    """What the network is made of."""

    embedding: PositiveInt = 100
    """Width of a unit's vector."""
    heads: PositiveInt = 4
    """Heads of each attention (transformer)."""
    feedforward: PositiveInt = 1024
    """Width of the inner layer of each block (transformer)."""
    norm: Literal["pre", "post"] = "pre"
    """Where layers are normalised: before each block, or after it as in Vaswani et al. 2017 (transformer)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How places are told apart (transformer); learned ones end at 1,024 units."""
    attention_dropout: Dropout = 0.0
    """Share of attention weights dropped (transformer); slower than dropout elsewhere."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end."""
        super().check()
        if self.embedding > 65_536:
            raise SettingError(f"embedding = {self.embedding}: expected at most 65536")
        if getattr(self, "network", "") == "transformer" and self.hidden % self.heads:
            raise SettingError(f"hidden = {self.hidden} can't be divided among heads = {self.heads}")


class EncoderSettings(NetworkSettings):
    """A network that reads whole sequences."""

    bidirectional: bool = True
    """Whether the layers also read from the end."""
    word_dropout: NonNegative = 0.0
    """Replace words by the unknown word in training; one seen n times with chance word_dropout / (word_dropout + n)."""
    characters: Literal["none", "convolution", "recurrent"] = "none"
    """Whether a word's vector is also composed of its characters, and by what."""
    character_embedding: PositiveInt = 32
    """Width of a character's vector."""
    character_hidden: PositiveInt = 100
    """Width of the vector composed of characters; even if recurrent."""
    character_dropout: Dropout = 0.0
    """Share of character features dropped, one mask for each word."""

    def check(self) -> None:
        """Refuse a recurrent composition of odd width: half of it is read from each side."""
        super().check()
        if self.characters == "recurrent" and self.character_hidden % 2:
            raise SettingError(
                f"character_hidden = {self.character_hidden}: expected an even number, half for each side"
            )


TRANSFORMER: Mapping[str, Mapping[str, object]] = {"transformer": {"network.network": "transformer"}}
"""The name that `compare` takes for a Transformer, with the settings that it stands for."""
