"""Fitted state of a language model: the vocabulary, and the n-grams of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from unspool.data import Vocabulary
from unspool.inputs.text.fitted import learned_vocabulary
from unspool.tasks.contracts import Fitted
from unspool.tasks.write.corpus import Corpus
from unspool.tasks.write.mixture import Mixture
from unspool.tasks.write.settings import LanguageModelSettings

__all__ = ["FittedLanguageModel"]


@dataclass
class FittedLanguageModel(Fitted):
    """Vocabulary and mixture of a language model."""

    vocabulary: Vocabulary
    mixture: Mixture | None = None
    """N-gram model that is mixed with the network; None for the network alone."""

    @classmethod
    def learn(cls, examples: Corpus, settings: LanguageModelSettings) -> Self:
        """Learn the vocabulary of a text; see `Fitted.learn`."""
        return cls(learned_vocabulary(examples.pieces(), settings.vocabulary))

    def restart(self, train: Corpus, held_out: Corpus | None) -> Self:
        """Drop the mixture, which is made after training; see `Fitted.restart`."""
        self.mixture = None
        return self

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.vocabulary.save(folder)
        if self.mixture is not None:
            self.mixture.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: LanguageModelSettings) -> Self:
        """See `Fitted.load`."""
        vocabulary = Vocabulary.load(folder)
        return cls(vocabulary, Mixture.load(folder, len(vocabulary)))
