"""Settings of Translator as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: mypy refuses `Translator(epoch=3)` and `Translator(epochs="3")`.
A short name that stands for several settings of the task is no keyword; set those in a struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = ["TranslatorKeywords"]


class TranslatorKeywords(TypedDict, total=False):
    """Settings of Translator."""

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
    network: Literal[
        "window",
        "concatenated",
        "initial",
        "every-step",
        "dot",
        "additive",
        "bilinear",
        "transformer",
        "latent",
    ]
    bidirectional: bool
    tied: bool
    word_dropout: float
    window: int
    latent: int
    annealing: float
    free_bits: float
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
    joint: bool
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    source: str | None
    target: str | None
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
    search: Literal["greedy", "beam", "sample"]
    beam: int
    best: int
    length_penalty: float
    coverage_penalty: float
    min_length: int
    max_length: int | None
    no_repeat_ngram: int
    temperature: float
    top_k: int | None
    top_p: float | None
    label_smoothing: float
    sampling_start: float
    sampling_end: float
    coverage: float
    copy_unknown: bool
    choose_by: Literal["bleu", "perplexity"]
    tokenization: Literal["13a", "none", "intl", "zh", "char"]
    references: Literal["grouped", "single"]
