"""Rules for the settings of a language model that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

_UPDATES = 40_000  # updates after which more time does not help


def _adjust(settings: Any, epochs: float) -> Mapping[str, object]:
    dropout = 0.0 if epochs < 4 else 0.3
    rate = min(1.6e-2, 4.1 / settings.network.hidden)
    return {"training.learning_rate": rate, "network.dropout": dropout, "training.warmup": 50}


RULES = Rules(
    minutes=10,
    values={
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
        "training.batch_size": 16,
        "training.steps": 64,
        "training.beta2": 0.99,
        "training.schedule": "linear",
    },
    sizes=(
        Size(0, {"network.hidden": 256, "network.embedding": 256}),
        Size(5000, {"network.hidden": 384, "network.embedding": 384}),
        Size(20_000, {"network.hidden": 512, "network.embedding": 512}),
    ),
    epochs=epochs_for(_UPDATES, 12, 40),
    adjust=_adjust,
    suits=is_gated,
)
