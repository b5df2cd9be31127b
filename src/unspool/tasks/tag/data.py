"""Data of the task `tag`: sentences with one tag per word, from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    DataSource,
    Glued,
    Layout,
    Reader,
    RowsInMemory,
    Sample,
    Sentence,
    read_sentences,
    sentences_of_rows,
    split,
    tag_columns,
)
from unspool.tasks.contracts import Examples
from unspool.tasks.tag.settings import ColumnSettings, TaggerSettings

__all__ = ["TaggedExamples", "TaggedSentence", "column_names", "open_data", "samples"]


class TaggedSentence(NamedTuple):
    """The words of one sentence with their tags."""

    where: str
    words: list[str]
    tags: list[str]
    glued: tuple[Glued, ...] = ()
    """Multiword tokens: words that the text writes without a blank between them."""


@dataclass(frozen=True)
class TaggedExamples(Examples):
    """Sentences with their tags, in the scheme of the file."""

    words: list[list[str]]
    tags: list[list[str]]
    where: list[str]
    glued: dict[int, tuple[Glued, ...]] = field(default_factory=dict)
    """Multiword tokens by sentence index: words that the text writes without a blank between them."""

    @classmethod
    def of(cls, reader: Iterable[TaggedSentence]) -> Self:
        """Read all sentences of a reader."""
        examples = cls([], [], [])
        for place, each in enumerate(reader):
            examples.words.append(each.words)
            examples.tags.append(each.tags)
            examples.where.append(each.where)
            if each.glued:
                examples.glued[place] = each.glued
        return examples

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the sentences at some indices."""
        words, tags = [self.words[i] for i in places], [self.tags[i] for i in places]
        glued = {new: self.glued[old] for new, old in enumerate(places.tolist()) if old in self.glued}
        return type(self)(words, tags, [self.where[i] for i in places], glued)

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the sentences; see `Examples.divide`."""
        rest, held_out = split(len(self.words), fraction, seed)
        return self.take(rest), self.take(held_out)

    def sizes(self) -> dict[str, int]:
        """Return the number of sentences and words."""
        return {"sentences": len(self.words), "words": sum(map(len, self.words))}

    def samples(self) -> Iterator[Sample]:
        """Yield each sentence with its tags."""
        return samples(map(TaggedSentence, self.where, self.words, self.tags))


def column_names(data: ColumnSettings) -> tuple[str, str]:
    """Return the column names of words and tags for examples in memory."""
    return data.words or "tokens", data.tags or "tags"


def open_data(
    settings: TaggerSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[TaggedSentence]:
    """Open tagged sentences for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count sentences with a malformed line; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data = settings.data
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    if isinstance(source, RowsInMemory):
        reader = sentences_of_rows(source.reader(skip_bad=skip_bad), lists=column_names(data))
    else:
        reader = read_sentences(source, format=data.format, skip_bad=skip_bad)

    def tagged(sentence: Sentence) -> TaggedSentence:
        words, tags = tag_columns(list(sentence.columns), data.words, data.tags, sentence.where)
        reader.layout.columns |= {"words": words, "tags": tags}
        glued = sentence.glued if words == "form" else ()
        return TaggedSentence(sentence.where, sentence.columns[words], sentence.columns[tags], glued)

    return reader.map(tagged)


def samples(examples: Iterable[TaggedSentence]) -> Iterator[Sample]:
    """Convert sentences to samples for summaries and checks."""
    for each in examples:
        yield Sample(each.where, (" ".join(each.words),), tuple(each.tags))
