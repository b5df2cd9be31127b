"""Settings of Recommender as typed keyword arguments; written by scripts/write_keywords.py, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unspool.cells import Cell
from unspool.tasks.parts.keywords import TrainingKeywords

__all__ = ["RecommenderKeywords"]


class RecommenderKeywords(TrainingKeywords, total=False):
    """Settings of Recommender as typed keyword arguments."""

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
    network: Literal["recurrent", "transformer", "window"]
    window: int
    item_dropout: float
    feature_dropout: float
    loss: Literal["auto", "full", "sampled"]
    negatives: int
    valid_fraction: float
    test_fraction: float
    format: str | None
    skip_bad: bool
    header: Literal["auto", "yes", "no"]
    delimiter: str | None
    user: str | None
    item: str | None
    time: str | None
    titles: str | None
    items: str | None
    users: str | None
    min_item_events: int
    min_user_events: int
    max_history: int
    hold_out: Literal["last", "time"]
    batch_size: int
    average: Literal["none", "ema", "tail", "asgd"]
    k: int
    seen: Literal["hide", "rank"]
    mix: bool
