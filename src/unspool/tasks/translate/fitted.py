"""Fitted state of a translator: source and target vocabulary, and length limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Self

import msgspec
import numpy as np

from unspool.data import PairedExamples, Sequences, Vocabulary, refuse_empty
from unspool.inputs.text.fitted import learned_vocabulary
from unspool.reading import read_json
from unspool.tasks.contracts import Fitted
from unspool.tasks.translate.data import PairExamples
from unspool.tasks.translate.settings import TranslatorSettings
from unspool.writing import replace_file

__all__ = ["FittedTranslator", "Lengths"]

_MOST_LONGER = 100.0  # maximum length ratio; also limits the output length for model folders from others


class Lengths(msgspec.Struct):
    """Length statistics of the training data."""

    ratio: Annotated[float, msgspec.Meta(gt=0, le=_MOST_LONGER)]
    """Maximum ratio of target length to source length."""
    longest_source: Annotated[int, msgspec.Meta(ge=1)]
    """Length of the longest source, in units."""


@dataclass(frozen=True)
class FittedTranslator(Fitted):
    """The vocabularies and lengths of a translator."""

    source: Vocabulary
    target: Vocabulary
    """Target vocabulary; the same object as `source` for a joint vocabulary."""
    lengths: Lengths

    @classmethod
    def learn(cls, examples: PairExamples, settings: TranslatorSettings) -> Self:
        """Learn vocabularies and lengths; see `Fitted.learn`."""
        options = settings.vocabulary
        if options.joint:
            source = target = learned_vocabulary(chain(examples.sources, examples.targets), options)
        else:
            source = learned_vocabulary(examples.sources, options)
            target = learned_vocabulary(examples.targets, options)
        encoded = _encode(source, target, examples)
        ratios = (encoded.target.lengths + 1) / encoded.source.lengths
        ratio = min(_MOST_LONGER, max(2.0, float(np.quantile(ratios, 0.99))))
        return cls(source, target, Lengths(ratio, int(encoded.source.lengths.max())))

    def encode(self, examples: PairExamples) -> PairedExamples:
        """Encode pairs.

        Raises:
            DataError: If a source has no unit.
        """
        return _encode(self.source, self.target, examples)

    def encode_sources(self, texts: Sequence[str], where: Sequence[str]) -> Sequences:
        """Encode sources.

        Raises:
            DataError: If a source has no unit.
        """
        return _encode_sources(self.source, texts, where)

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.source.save(folder, "source")
        if self.target is not self.source:
            self.target.save(folder, "target")
        replace_file(folder / "lengths.json", msgspec.json.encode(self.lengths) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: TranslatorSettings) -> Self:
        """See `Fitted.load`."""
        source = target = Vocabulary.load(folder, "source")
        if not settings.vocabulary.joint:
            target = Vocabulary.load(folder, "target")
        return cls(source, target, read_json(folder / "lengths.json", Lengths, "the record of lengths"))


def _encode(source: Vocabulary, target: Vocabulary, examples: PairExamples) -> PairedExamples:
    return PairedExamples(
        _encode_sources(source, examples.sources, examples.where), target.encode_batch(examples.targets)
    )


def _encode_sources(vocabulary: Vocabulary, texts: Sequence[str], where: Sequence[str]) -> Sequences:
    encoded = vocabulary.encode_batch(texts)
    refuse_empty(encoded, where)
    return encoded
