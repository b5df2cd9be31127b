"""Fitted state of a language model: the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from unspool.data import Vocabulary
from unspool.inputs.text.fitted import learned_vocabulary
from unspool.tasks.contracts import Fitted
from unspool.tasks.write.corpus import Corpus
from unspool.tasks.write.settings import LanguageModelSettings

__all__ = ["FittedLanguageModel"]


@dataclass(frozen=True)
class FittedLanguageModel(Fitted):
    """Vocabulary of a language model."""

    vocabulary: Vocabulary

    @classmethod
    def learn(cls, examples: Corpus, settings: LanguageModelSettings) -> Self:
        """Learn the vocabulary of a text; see `Fitted.learn`."""
        return cls(learned_vocabulary(examples.pieces(), settings.vocabulary))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.vocabulary.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: LanguageModelSettings) -> Self:
        """See `Fitted.load`."""
        return cls(Vocabulary.load(folder))
