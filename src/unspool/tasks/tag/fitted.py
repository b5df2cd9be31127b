"""Fitted state of a tagger: vocabulary, tags, span scheme and splits of multiword tokens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np

from unspool.data import Examples, Labels, Sequences, WordSplits
from unspool.errors import DataError, SettingError
from unspool.inputs.text.fitted import FittedText
from unspool.tasks.contracts import Fitted
from unspool.tasks.parts.spans import (
    Scheme,
    bioes_labels,
    convert,
    detect_scheme,
    looks_like_spans,
    read_spans,
    write_tags,
)
from unspool.tasks.tag.data import TaggedExamples
from unspool.tasks.tag.settings import TaggerSettings

__all__ = ["FittedTagger"]


@dataclass(frozen=True)
class FittedTagger(Fitted):
    """Fitted input, tags, span scheme and word splits of a tagger."""

    input: FittedText
    labels: Labels
    """Output labels of the network; BIOES labels for spans."""
    scheme: Scheme | None
    """Span scheme of the data; None if tags don't mark spans."""
    word_splits: WordSplits
    """Splits of tokens that raw text writes as one word and the training data as several."""

    @classmethod
    def learn(cls, examples: TaggedExamples, settings: TaggerSettings) -> Self:
        """Learn vocabulary, tags, span scheme and word splits; see `Fitted.learn`."""
        units = settings.vocabulary.units
        if units not in ("word", "blank"):
            raise SettingError(f"units = {units}: a tagger needs one unit for each word: word or blank")
        fitted = FittedText.learn(examples.words, (), settings)
        scheme = _scheme(examples, settings)
        if scheme:
            labels = Labels(bioes_labels(span.type for tags in examples.tags for span in read_spans(tags)))
        else:
            labels = Labels.learn(tag for sentence in examples.tags for tag in sentence)
        if len(labels) < 2:
            raise DataError(f"the training data have one tag only ({', '.join(labels)}); expected two or more")
        splits = WordSplits()
        if examples.glued:
            glued = ((words, examples.glued.get(place, ())) for place, words in enumerate(examples.words))
            splits = WordSplits.learn(glued, lambda text: fitted.vocabulary.encode_with_offsets(text).offsets)
        return cls(fitted, labels, scheme, splits)

    def encode(self, examples: TaggedExamples) -> Examples:
        """Encode sentences with their tags.

        Raises:
            DataError: If a sentence has no word, or a tag that is absent from the training data.
        """
        encoded = self.input.encode_sentences(examples.words, examples.where)
        targets = Sequences.of(self.labels.ids(self.inner(tags)) for tags in examples.tags)
        return Examples(encoded.tokens, targets, encoded.forms, encoded.spellings)

    def inner(self, tags: list[str]) -> list[str]:
        """Convert tags from the scheme of the data to the labels of the network."""
        return convert(tags, "BIOES") if self.scheme else tags

    def outer(self, tags: list[str]) -> list[str]:
        """Convert labels of the network to the scheme of the data."""
        return write_tags(read_spans(tags), len(tags), self.scheme) if self.scheme else tags

    def refuse_strangers(self, examples: TaggedExamples) -> None:
        """See `Fitted.refuse_strangers`."""
        if not self.scheme:
            self.labels.refuse_strangers(chain.from_iterable(examples.tags), "tag")
            return
        types = Labels(sorted({span.type for names in self.labels for span in read_spans([names])}))
        types.refuse_strangers((span.type for tags in examples.tags for span in read_spans(tags)), "span type")

    def score_notes(self, examples: TaggedExamples) -> list[str]:
        """Return a note on tags absent from the training data."""
        return self.labels.note_strangers(chain.from_iterable(map(self.inner, examples.tags)), "tags")

    def usable(self, examples: TaggedExamples, *, skip_bad: bool) -> tuple[TaggedExamples, int]:
        """See `Fitted.usable`."""
        usable = [all(tag in self.labels for tag in self.inner(tags)) for tags in examples.tags]
        if not all(usable) and not skip_bad:
            place = usable.index(False)
            self.labels.ids(self.inner(examples.tags[place]), examples.where[place])
        return (examples, 0) if all(usable) else (examples.take(np.flatnonzero(usable)), usable.count(False))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.input.save(folder)
        self.labels.save(folder)
        Labels([self.scheme] if self.scheme else []).save(folder, "scheme")
        if self.word_splits.seen:
            self.word_splits.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: TaggerSettings) -> Self:
        """See `Fitted.load`."""
        fitted = FittedText.load(folder, settings)
        names = Labels.load(folder, "scheme").names
        scheme: Scheme | None = names[0] if names else None  # type: ignore[assignment]
        return cls(fitted, Labels.load(folder), scheme, WordSplits.load(folder))


def _scheme(examples: TaggedExamples, settings: TaggerSettings) -> Scheme | None:
    """Detect the span scheme of the data; None if tags don't mark spans."""
    tags = {tag for sentence in examples.tags for tag in sentence}
    if settings.spans == "yes" or (settings.spans == "auto" and looks_like_spans(tags)):
        return detect_scheme(examples.tags)
    return None
