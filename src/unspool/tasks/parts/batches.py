"""Length-bucketed batches of encoded examples, built from training settings."""

from __future__ import annotations

from typing import TypeVar

from unspool.data import Batch, Bucketed, Encoded
from unspool.training import TrainingSettings

__all__ = ["bucketed"]

B = TypeVar("B", bound=Batch)


def bucketed(examples: Encoded[B], training: TrainingSettings) -> Bucketed[B]:
    """Build length-bucketed batches with the batch size and seed of the settings."""
    return Bucketed(examples, batch_tokens=training.batch_tokens, batch_size=training.batch_size, seed=training.seed)
