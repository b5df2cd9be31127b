"""Settings of a captioner that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="caption",
    settings={
        "training.learning_rate": LogFloat(3e-4, 1e-2),
        "network.dropout": Float(0.0, 0.5),
        "network.word_dropout": Float(0.0, 0.3),
        "network.hidden": Int(64, 512, step=64),
        "network.embedding": Int(64, 512, step=64),
        "label_smoothing": Float(0.0, 0.2),
    },
)
