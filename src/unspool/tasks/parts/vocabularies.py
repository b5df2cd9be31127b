"""From settings and examples to what networks read: vocabularies, and batches of like length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from unspool.data import Batch, Bucketed, Encoded, Vocabulary
from unspool.tasks.parts.data_settings import VocabularySettings
from unspool.training import TrainingSettings

__all__ = ["bucketed", "learned_vocabulary"]

B = TypeVar("B", bound=Batch)


def learned_vocabulary(texts: Iterable[str] | Iterable[Sequence[str]], settings: VocabularySettings) -> Vocabulary:
    """The vocabulary that the settings describe, of texts or of sentences in words; see `Vocabulary.learn`."""
    return Vocabulary.learn(
        texts,
        units=settings.units,
        max_size=settings.size,
        min_count=settings.min_count,
        lowercase=settings.lowercase,
        digits_to_zero=settings.digits_to_zero,
    )


def bucketed(examples: Encoded[B], training: TrainingSettings) -> Bucketed[B]:
    """Batches of encoded examples, as large and in the order that the settings say."""
    return Bucketed(examples, batch_tokens=training.batch_tokens, batch_size=training.batch_size, seed=training.seed)
