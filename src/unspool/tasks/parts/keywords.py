"""Keyword arguments of training, for every task; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["TrainingKeywords"]


class TrainingKeywords(TypedDict, total=False):
    """Keyword arguments of training, for every task."""

    plan: bool
    epochs: int
    minutes: float | None
    course: str | None
    batch_tokens: int
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
