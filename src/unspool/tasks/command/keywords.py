"""Settings of CommandParser as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["CommandParserKeywords"]


class CommandParserKeywords(TrainingKeywords, total=False):
    """Settings of CommandParser as typed keyword arguments."""

    cell: str | type[Cell[Any]]
    cell_options: Mapping[str, object] | None
    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
    dropout: float
    variational: bool
    weight_dropout: float
    initialization: Literal["default", "orthogonal", "identity", "small"]
    forget_bias: float | None
    backend: str
    embedding: int
    heads: int
    feedforward: int
    norm: Literal["pre", "post"]
    positions: Literal["sinusoidal", "learned"]
    attention_dropout: float
    bidirectional: bool
    word_dropout: float
    characters: Literal["none", "convolution", "recurrent"]
    character_embedding: int
    character_hidden: int
    character_dropout: float
    network: Literal["recurrent", "transformer"]
    pooling: Literal["last", "mean", "max", "attention"]
    output: Literal["auto", "softmax", "crf"]
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    text: str | None
    intent: str | None
    slots: str | None
    separator: str
    out_of_scope: str
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
    several: Literal["auto", "yes", "no"]
    threshold: float | None
    keep: float
    label_smoothing: float
    slot_weight: float
    ngrams: bool
    sentences: int
    background: bool
