"""Settings of a network for exercises that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Choice, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="algorithm",
    settings={
        "training.learning_rate": LogFloat(1e-4, 1e-2),
        "training.batch_size": Int(8, 64, step=8),
        "training.clip": LogFloat(1.0, 20.0),
        "network.hidden": Int(50, 200, step=50),
        "network.initialization": Choice(("default", "orthogonal")),
    },
)
