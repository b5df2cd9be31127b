"""Settings of a command parser that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="command",
    settings={
        "training.learning_rate": LogFloat(5e-4, 1e-2),
        "training.batch_tokens": Int(500, 4000, step=500),
        "network.dropout": Float(0.1, 0.6),
        "network.word_dropout": Float(0.0, 0.5),
        "network.hidden": Int(64, 256, step=32),
        "network.embedding": Int(50, 200, step=50),
        "slot_weight": LogFloat(0.1, 10.0),
    },
)
