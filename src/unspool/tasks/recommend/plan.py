"""Rules for the settings of a recommender that were not passed; `docs/recommend.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

_UPDATES = 1200  # updates after which more time does not help
_MANY = 100_000  # events from which batches are larger, and the network is


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few events, so that an epoch has enough updates."""
    many = len(examples.flat) > _MANY
    return {"training.batch_tokens": 4096 if many else 2048, "training.batch_size": 256 if many else 64}


RULES = Rules(
    minutes=10,
    data=_data,
    values={
        "network.dropout": 0.4,
        "training.learning_rate": 3e-3,
        "training.schedule": "cosine",
        "training.warmup": 20,
        "training.patience": 5,
    },
    sizes=(
        Size(0, {"network.hidden": 64, "network.embedding": 64}),
        Size(1000, {"network.hidden": 128, "network.embedding": 128}),
    ),
    epochs=epochs_for(_UPDATES, 10, 40),
    suits=is_gated,
)
