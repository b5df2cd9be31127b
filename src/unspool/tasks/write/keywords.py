"""Settings of LanguageModel as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["LanguageModelKeywords"]


class LanguageModelKeywords(TrainingKeywords, total=False):
    """Settings of LanguageModel as typed keyword arguments."""

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
    network: Literal["recurrent", "transformer"]
    tied: bool
    output: Literal["full", "adaptive"]
    activation_penalty: float
    slowness_penalty: float
    word_dropout: float
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
    valid_fraction: float
    test_fraction: float
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
    mix: bool
