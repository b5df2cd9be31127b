"""The settings of each task as typed keyword arguments; written by scripts/write_keywords.py, not by hand.

Only for type checkers: `Classifier(hiden=3)` and `Classifier(hidden="3")` are errors of mypy. A short name that
stands for several settings of a task is no keyword; set those in a struct (`AssistantSettings(memory=...)`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unspool.cells import Cell

__all__ = [
    "AlgorithmKeywords",
    "AssistantKeywords",
    "ClassifierKeywords",
    "LanguageModelKeywords",
    "ReaderKeywords",
    "TaggerKeywords",
    "TranslatorKeywords",
]


class _Keywords(TypedDict, total=False):
    """What all tasks have."""

    cell: str | type[Cell[Any]]
    cell_options: Mapping[str, object] | None
    dropout: float
    valid_fraction: float
    test_fraction: float
    epochs: int
    minutes: float | None
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


class ClassifierKeywords(_Keywords, total=False):
    """Settings of Classifier."""

    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
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
    network: Literal["recurrent", "transformer", "bag"]
    pooling: Literal["last", "mean", "max", "attention"]
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    text: str | None
    label: str | None
    separator: str
    batch_size: int
    several: bool
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    threshold: float
    calibrate: bool


class TaggerKeywords(_Keywords, total=False):
    """Settings of Tagger."""

    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
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
    output: Literal["auto", "softmax", "crf"]
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
    format: str | None
    skip_bad: bool
    words: str | None
    tags: str | None
    batch_size: int
    spans: Literal["auto", "yes", "no"]
    label_smoothing: float


class LanguageModelKeywords(_Keywords, total=False):
    """Settings of LanguageModel."""

    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
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
    batch_size: int


class TranslatorKeywords(_Keywords, total=False):
    """Settings of Translator."""

    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
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
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    source: str | None
    target: str | None
    batch_size: int
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


class AssistantKeywords(_Keywords, total=False):
    """Settings of Assistant."""

    shortest: int
    longest: int
    candidates: int
    hold_out: float
    generator: bool
    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
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
    window: int
    latent: int
    annealing: float
    free_bits: float
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    question: str | None
    answer: str | None
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
    keep: float
    threshold: float | None
    unknown: str


class ReaderKeywords(_Keywords, total=False):
    """Settings of Reader."""

    network: Literal["memory", "key-value", "dynamic"]
    embedding: int
    hops: int
    slots: int
    encoder: Literal["position", "bag", "cell"]
    tying: Literal["adjacent", "layer-wise"]
    time_noise: float
    linear_epochs: int
    gated: bool
    format: Literal["babi", "jsonl"] | None
    skip_bad: bool
    batch_size: int


class AlgorithmKeywords(_Keywords, total=False):
    """Settings of Algorithm."""

    hidden: int
    hidden_size: int
    layers: int
    num_layers: int
    residual: bool
    variational: bool
    weight_dropout: float
    initialization: Literal["default", "orthogonal", "identity", "small"]
    forget_bias: float | None
    backend: str
    min_length: int
    max_length: int
    test_lengths: str | None
    width: int
    repeats: int
    examples: int
    valid_examples: int
    batch_size: int
