"""Rules for the settings of a translator that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.tasks.running.planning import Rules, Size, epochs_for
from unspool.tasks.translate.data import PairExamples

__all__ = ["RULES"]

_LARGE = 100_000  # pairs above which the vocabulary has 8,000 units
_UPDATES = 20_000  # updates after which more time does not help
_BATCH = 1024  # tokens per batch
_NETWORKS = ("initial", "every-step", "dot", "additive", "bilinear")


def _suits(settings: Any) -> bool:
    """Return whether a network is of the kind that the rules were measured with."""
    return settings.network.network in _NETWORKS and settings.network.cell in ("lstm", "gru")


def _data(settings: Any, examples: PairExamples) -> Mapping[str, object]:
    if settings.vocabulary.units not in ("bpe", "unigram"):
        return {}
    return {"vocabulary.size": 4000 if len(examples.sources) < _LARGE else 8000}


def _adjust(settings: Any, epochs: float) -> Mapping[str, object]:
    dropout = 0.1 if epochs < 4 else 0.2 if epochs < 12 else 0.3
    rate = min(2e-2, 2.56 / settings.network.hidden)
    return {"training.learning_rate": rate, "network.dropout": dropout, "training.warmup": 50}


RULES = Rules(
    minutes=10,
    data=_data,
    values={
        "training.batch_tokens": _BATCH,
        "training.batch_size": _BATCH,
        "training.schedule": "cosine",
        "choose_by": "perplexity",
    },
    sizes=(
        Size(0, {"network.hidden": 128, "network.embedding": 128}),
        Size(1500, {"network.hidden": 256, "network.embedding": 256}),
        Size(12_000, {"network.hidden": 512, "network.embedding": 512}),
    ),
    epochs=epochs_for(_UPDATES, 12, 40),
    adjust=_adjust,
    suits=_suits,
)
