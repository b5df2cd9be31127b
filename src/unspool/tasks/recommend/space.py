"""Settings of a recommender that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Choice, Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="recommend",
    settings={
        "training.learning_rate": LogFloat(5e-4, 1e-2),
        "training.weight_decay": LogFloat(1e-3, 0.3),
        "training.batch_size": Choice((64, 128, 256)),
        "network.dropout": Float(0.0, 0.6),
        "network.item_dropout": Float(0.0, 0.3),
        "network.hidden": Int(32, 256, step=32),
        "network.embedding": Int(32, 256, step=32),
        "network.layers": Int(1, 2),
    },
)
