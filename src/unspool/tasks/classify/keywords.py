"""Settings of Classifier as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["ClassifierKeywords"]


class ClassifierKeywords(TrainingKeywords, total=False):
    """Settings of Classifier as typed keyword arguments."""

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
    network: Literal["auto", "recurrent", "transformer", "bag", "feedforward", "convolutional", "fcn", "lstm-fcn"]
    pooling: Literal["last", "mean", "max", "attention"]
    units: Literal["word", "blank", "character", "bpe", "unigram"]
    lowercase: bool
    digits_to_zero: bool
    min_count: int
    size: int | None
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
    resolution: str | None
    fit: Literal["crop", "pad", "stretch"]
    color: Literal["auto", "grey", "color"]
    move: int
    flip: bool
    random_crop: float
    rotate: float
    cache: int
    scan: Literal["rows", "pixels"]
    permute: int | None
    patch: int
    widths: str
    blocks: int
    stem: Literal["auto", "1", "2", "4"]
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    text: str | None
    label: str | None
    separator: str
    input: Literal["auto", "text", "vectors", "audio", "images", "series"]
    labels: str | None
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
    several: bool
    choose_by: Literal["nats", "score"]
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    threshold: float | None
    ngrams: bool
    random_convolutions: bool
    calibrate: bool
