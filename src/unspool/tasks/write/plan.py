"""Rules for the settings of a language model that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size

__all__ = ["RULES"]


def _suits(settings: Any) -> bool:
    """Return whether a network is of the kind that the rules were measured with."""
    network = settings.network
    return network.network == "recurrent" and network.cell in ("lstm", "gru")


def _epochs(per_epoch: int) -> int:
    """Return the epochs after which more time does not help, at most 40 and at least 12."""
    return max(12, min(40, 40_000 // max(1, per_epoch)))


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
    epochs=_epochs,
    adjust=_adjust,
    suits=_suits,
)
