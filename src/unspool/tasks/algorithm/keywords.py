"""Settings of Algorithm as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `Algorithm(epoch=3)` and `Algorithm(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = ["AlgorithmKeywords"]


class AlgorithmKeywords(TypedDict, total=False):
    """Settings of Algorithm."""

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
    valid_fraction: float
    test_fraction: float
    min_length: int
    max_length: int
    test_lengths: str | None
    width: int
    repeats: int
    examples: int
    valid_examples: int
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
