"""Settings of Classifier as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `Classifier(epoch=3)` and `Classifier(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = ["ClassifierKeywords"]


class ClassifierKeywords(TypedDict, total=False):
    """Settings of Classifier."""

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
    network: Literal["auto", "recurrent", "transformer", "bag", "feedforward"]
    pooling: Literal["last", "mean", "max", "attention"]
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
    label: str | None
    separator: str
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
    several: bool
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    threshold: float
    calibrate: bool
