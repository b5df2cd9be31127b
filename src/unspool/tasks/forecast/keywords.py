"""Settings of Forecaster as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["ForecasterKeywords"]


class ForecasterKeywords(TrainingKeywords, total=False):
    """Settings of Forecaster as typed keyword arguments."""

    horizon: int | None
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
    network: Literal["segments", "recurrent", "encoder-decoder", "patches", "linear", "decomposed"]
    segment: int | None
    linear: bool
    heads: int
    feedforward: int
    attention_dropout: float
    lookback: int | None
    season: int | None
    normalization: Literal["last", "reversible", "none"]
    calendar: bool
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    layout: Literal["auto", "long", "rows"]
    time: str | None
    id: str | None
    target: str | None
    known: str | None
    split: str | None
    batch_size: int
    loss: Literal["quantiles", "absolute", "squared"]
    quantiles: str
    interval: float
    calibrate: bool
    choose_by: Literal["crps", "mae", "mse", "mase"]
