"""Settings of Translator as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["TranslatorKeywords"]


class TranslatorKeywords(TrainingKeywords, total=False):
    """Settings of Translator as typed keyword arguments."""

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
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
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
