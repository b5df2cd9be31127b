"""Settings of a forecaster that `tune` varies, with their ranges."""

from __future__ import annotations

from unspool.tasks.space import Choice, Float, Int, LogFloat, SearchSpace

__all__ = ["ENTRY"]

ENTRY = SearchSpace(
    name="forecast",
    settings={
        "training.learning_rate": LogFloat(2e-4, 5e-3),
        "training.batch_size": Int(32, 512, step=32),
        "network.dropout": Float(0.0, 0.5),
        "network.hidden": Int(32, 256, step=32),
        "series.normalization": Choice(("last", "reversible")),
        "series.calendar": Choice((True, False)),
    },
)
