"""Settings of Algorithm as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["AlgorithmKeywords"]


class AlgorithmKeywords(TrainingKeywords, total=False):
    """Settings of Algorithm as typed keyword arguments."""

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
    curriculum: float
    test_lengths: str | None
    width: int
    repeats: int
    examples: int
    valid_examples: int
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
