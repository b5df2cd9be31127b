"""Settings of an assistant's retrieval that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="answer",
    settings={
        "training.learning_rate": LogFloat(1e-3, 2e-2),
        "memory.size": Int(32, 256, step=32),
        "memory.word_dropout": Float(0.0, 0.6),
        "memory.hold_out": Float(0.0, 0.9),
        "memory.shortest": Int(2, 4),
    },
)
