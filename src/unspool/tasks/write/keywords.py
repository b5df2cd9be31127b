"""Settings of LanguageModel as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `LanguageModel(epoch=3)` and `LanguageModel(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = ["LanguageModelKeywords"]


class LanguageModelKeywords(TypedDict, total=False):
    """Settings of LanguageModel."""

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
    epochs: int
    minutes: float | None
    batch_tokens: int
    batch_size: int
    steps: int
    accumulate: int
    optimizer: Literal["adamw", "adam", "sgd"]
    learning_rate: float
    lr: float
    weight_decay: float
    momentum: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float | None
    schedule: Literal["constant", "cosine", "linear", "plateau", "anneal"]
    warmup: int
    final_learning_rate_fraction: float
    anneal_factor: float
    plateau_length: int
    precision: Literal["float32", "bfloat16"]
    average: Literal["none", "ema", "tail", "asgd"]
    decay: float
    tail: float
    trigger: int
    patience: int | None
    validate_every: float
    checkpoint_minutes: float
    seed: int
    device: str
    threads: int | None
    tensorboard: bool
