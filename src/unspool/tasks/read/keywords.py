"""Settings of Reader as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `Reader(epoch=3)` and `Reader(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = ["ReaderKeywords"]


class ReaderKeywords(TypedDict, total=False):
    """Settings of Reader."""

    network: Literal["memory", "key-value", "dynamic"]
    embedding: int
    hops: int
    slots: int
    encoder: Literal["position", "bag", "cell"]
    cell: str | type[Cell[Any]]
    cell_options: Mapping[str, object] | None
    dropout: float
    tying: Literal["adjacent", "layer-wise"]
    time_noise: float
    linear_epochs: int
    gated: bool
    valid_fraction: float
    test_fraction: float
    format: Literal["babi", "jsonl"] | None
    skip_bad: bool
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
