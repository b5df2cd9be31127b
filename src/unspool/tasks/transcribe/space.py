"""Settings of a transcriber that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="transcribe",
    settings={
        "training.learning_rate": LogFloat(5e-4, 5e-3),
        "training.batch_tokens": Int(500, 4000, step=500),
        "network.dropout": Float(0.0, 0.5),
        "network.hidden": Int(64, 256, step=64),
        "audio.convolutions.channels": Int(64, 256, step=64),
        "audio.noise": Float(0.0, 0.5),
        "audio.speed": Float(0.0, 0.2),
    },
)
