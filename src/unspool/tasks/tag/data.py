"""Sentences with a tag for each word, for the task `tag`, read from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    DataSource,
    Glued,
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
    """Where several words stand in the text without a blank between them."""


@dataclass(frozen=True)
class TaggedExamples(Examples):
    """Sentences with their tags, as the file has them."""

    words: list[list[str]]
    tags: list[list[str]]
    where: list[str]
    glued: dict[int, tuple[Glued, ...]] = field(default_factory=dict)
    """Of some sentences, by their place: where several words stand in the text without a blank between them."""

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
        """The sentences at some places."""
        words, tags = [self.words[i] for i in places], [self.tags[i] for i in places]
        glued = {new: self.glued[old] for new, old in enumerate(places.tolist()) if old in self.glued}
        return type(self)(words, tags, [self.where[i] for i in places], glued)

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out sentences drawn by lot; see `Examples.divide`."""
        rest, held_out = split(len(self.words), fraction, seed)
        return self.take(rest), self.take(held_out)

    def sizes(self) -> dict[str, int]:
        """How many sentences and words there are."""
        return {"sentences": len(self.words), "words": sum(map(len, self.words))}

    def samples(self) -> Iterator[Sample]:
        """Each sentence with its tags."""
        return samples(map(TaggedSentence, self.where, self.words, self.tags))


def column_names(data: ColumnSettings) -> tuple[str, str]:
    """Names of the columns of words and tags, where examples come from memory."""
    return data.words or "tokens", data.tags or "tags"


def open_data(
    settings: TaggerSettings, source: DataSource, columns: Sequence[str] = (), *, skip_bad: bool | None = None
) -> Reader[TaggedSentence]:
    """Open tagged sentences for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        columns: Ignored; columns of words and tags are found in each file.
        skip_bad: Leave sentences with a bad line out and count them; as the settings say if omitted.

    Raises:
        DataError: If a file is missing, empty or of unknown form.
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
    """The sentences as summaries and checks show them."""
    for each in examples:
        yield Sample(each.where, (" ".join(each.words),), tuple(each.tags))
