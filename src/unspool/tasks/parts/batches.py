"""Batches of encoded examples, as the settings of a training say."""

from __future__ import annotations

from typing import TypeVar

from unspool.data import Batch, Bucketed, Encoded
from unspool.training import TrainingSettings

__all__ = ["bucketed"]

B = TypeVar("B", bound=Batch)


def bucketed(examples: Encoded[B], training: TrainingSettings) -> Bucketed[B]:
    """Batches of encoded examples, as large and in the order that the settings say."""
    return Bucketed(examples, batch_tokens=training.batch_tokens, batch_size=training.batch_size, seed=training.seed)
