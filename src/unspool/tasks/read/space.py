"""Settings of a reader that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Choice, Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="read",
    settings={
        "training.learning_rate": LogFloat(1e-3, 2e-2),
        "network.embedding": Int(20, 100, step=10),
        "network.hops": Int(1, 5),
        "network.time_noise": Float(0.0, 0.2),
        "network.tying": Choice(("adjacent", "layer-wise")),
        "network.linear_epochs": Int(0, 20, step=5),
    },
)
