"""Settings of a language model that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="write",
    settings={
        "training.learning_rate": LogFloat(1e-3, 2e-2),
        "training.batch_size": Int(8, 64, step=8),
        "training.steps": Int(32, 128, step=32),
        "network.dropout": Float(0.0, 0.5),
        "network.hidden": Int(128, 768, step=128),
        "network.embedding": Int(64, 512, step=64),
        "network.layers": Int(1, 2),
    },
)
