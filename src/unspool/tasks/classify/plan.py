"""Rules for the settings of a classifier that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

_UPDATES = 2500  # updates after which more time does not help


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few examples, so that an epoch has enough updates."""
    count = len(examples.values)
    return {"training.batch_size": 64 if count >= 3000 else 32 if count >= 1000 else 16}


RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "label_smoothing": 0.1,
        "network.dropout": 0.5,
        "network.variational": True,
        "network.word_dropout": 0.5,
        "network.pooling": "mean",
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
        "training.batch_tokens": 1000,
        "training.learning_rate": 4e-3,
        "training.weight_decay": 0.1,
        "training.beta2": 0.99,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
        "training.patience": 5,
    },
    sizes=(Size(0, {"network.hidden": 100}),),
    epochs=epochs_for(_UPDATES, 4, 40),
    suits=is_gated,
)
