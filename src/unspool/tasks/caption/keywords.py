"""Settings of Captioner as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["CaptionerKeywords"]


class CaptionerKeywords(TrainingKeywords, total=False):
    """Settings of Captioner as typed keyword arguments."""

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
    network: Literal["initial", "additive", "bilinear", "transformer"]
    start: Literal["mean", "learned"]
    tied: bool
    word_dropout: float
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
    image_column: str | None
    caption_column: str | None
    images: str | None
    most_captions: int
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
    choose_by: Literal["cider-d", "bleu-4", "exact", "perplexity"]
