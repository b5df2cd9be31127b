"""Settings of a translator that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="translate",
    settings={
        "training.learning_rate": LogFloat(1e-3, 2e-2),
        "training.batch_tokens": Int(512, 4096, step=512),
        "network.dropout": Float(0.0, 0.5),
        "network.word_dropout": Float(0.0, 0.2),
        "network.hidden": Int(128, 512, step=128),
        "network.embedding": Int(128, 512, step=128),
        "label_smoothing": Float(0.0, 0.2),
    },
)
