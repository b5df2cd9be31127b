"""Settings of Transcriber as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["TranscriberKeywords"]


class TranscriberKeywords(TrainingKeywords, total=False):
    """Settings of Transcriber as typed keyword arguments."""

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
    network: Literal["convolutional", "recurrent"]
    bidirectional: bool
    decoder: Literal["ctc", "attention"]
    attention: Literal["additive", "bilinear", "dot"]
    embedding: int
    rate: int | None
    longest: float
    features: Literal["mel", "cepstra"]
    bands: int
    coefficients: int
    lifter: float
    window: float
    hop: float
    preemphasis: float
    lowest: float
    highest: float | None
    deltas: int
    level: bool
    center: bool
    shift: float
    noise: float
    speed: float
    equalizer: float
    time_masks: int
    time_width: int
    band_masks: int
    band_width: int
    channels: int
    kernel: int
    dilations: str
    strides: str
    convolution_dropout: float
    lowercase: bool
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    audio_column: str | None
    transcript_column: str | None
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
    lm: str | None
    lm_units: Literal["auto", "word", "character"]
    lm_order: int
    lm_weight: float
    lm_bonus: float
    lm_unknown: float
    grammar: str | None
    grammar_margin: float
    choose_by: Literal["cer", "wer", "nats"]
