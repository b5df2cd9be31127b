"""Settings of a classifier that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Choice, Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="classify",
    settings={
        "training.learning_rate": LogFloat(3e-4, 1e-2),
        "training.weight_decay": LogFloat(1e-3, 0.3),
        "network.dropout": Float(0.0, 0.6),
        "network.word_dropout": Float(0.0, 0.5),
        "network.hidden": Int(32, 256, step=32),
        "network.embedding": Int(50, 300, step=50),
        "network.pooling": Choice(("max", "mean", "attention")),
    },
)
