"""Rules for the settings of a command parser that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

_MOST_SLOTS = 25  # slots that a CRF tells apart in a reasonable time
_UPDATES = 3000  # updates after which more time does not help
_EPOCHS = epochs_for(2000, 3, 40)  # of sentences made from templates


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few examples, and no CRF for many slots: its time grows with their square.

    Sentences made from templates are easy: the training is short, and ends soon after the held-out ones are right.
    """
    count = len(examples.utterances)
    slots = {span.slot for each in examples.utterances for span in each.slots}
    output = {"network.output": "softmax"} if len(slots) > _MOST_SLOTS else {}
    batch = 32 if count >= 1000 else 16
    short = {"training.epochs": _EPOCHS(round(count / batch)), "training.patience": 2}
    return {"training.batch_size": batch, **output, **(short if examples.commands is not None else {})}


RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "network.dropout": 0.5,
        "network.variational": True,
        "network.word_dropout": 0.5,
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
        "label_smoothing": 0.1,
        "training.batch_tokens": 1000,
        "training.learning_rate": 4e-3,
        "training.weight_decay": 0.1,
        "training.beta2": 0.99,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
    },
    sizes=(Size(0, {"network.hidden": 128}),),
    epochs=epochs_for(_UPDATES, 6, 40),
    suits=is_gated,
)
