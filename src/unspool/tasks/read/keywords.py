"""Settings of Reader as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["ReaderKeywords"]


class ReaderKeywords(TrainingKeywords, total=False):
    """Settings of Reader as typed keyword arguments."""

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
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
