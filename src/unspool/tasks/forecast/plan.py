"""Rules for the settings of a forecaster that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for

__all__ = ["RULES"]

_UPDATES = 3000  # updates after which more time does not help


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few windows, so that an epoch has enough updates."""
    windows = (sum(examples.end) - sum(examples.begin)) * len(examples.table.channels)
    return {"training.batch_size": 256 if windows >= 20_000 else 64 if windows >= 1000 else 16}


RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "training.learning_rate": 1e-3,
        "training.schedule": "cosine",
        "training.warmup": 20,
        "training.patience": 10,
    },
    sizes=(Size(0, {"network.hidden": 64}),),
    epochs=epochs_for(_UPDATES, 8, 100),
)
