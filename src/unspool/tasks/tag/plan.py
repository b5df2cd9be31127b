"""Rules for the settings of a tagger that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

_MOST_TYPES = 25  # types of spans that a CRF tells apart in a reasonable time
_UPDATES = 3000  # updates after which more time does not help


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few examples, and no CRF for many types of spans: its time grows with their square."""
    count = len(examples.words)
    types = {tag[2:] for tags in examples.tags for tag in tags if tag[1:2] == "-"}
    output = {"network.output": "softmax"} if len(types) > _MOST_TYPES else {}
    return {"training.batch_size": 64 if count >= 3000 else 32 if count >= 1000 else 16, **output}


RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "network.dropout": 0.5,
        "network.variational": True,
        "network.word_dropout": 0.5,
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
        "training.batch_tokens": 1000,
        "training.learning_rate": 4e-3,
        "training.beta2": 0.99,
        "training.schedule": "cosine",
        "training.warmup": 100,
        "training.average": "ema",
        "training.decay": 0.995,
    },
    sizes=(Size(0, {"network.hidden": 200}),),
    epochs=epochs_for(_UPDATES, 6, 30),
    suits=is_gated,
)
