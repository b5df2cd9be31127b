"""Fitted state of a reader: vocabulary and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from unspool.data import IGNORED, Labels, Story, StoryExamples, Vocabulary, story_words
from unspool.tasks.contracts import Fitted
from unspool.tasks.read.data import Stories
from unspool.tasks.read.settings import ReaderSettings

__all__ = ["FittedReader"]


@dataclass(frozen=True)
class FittedReader(Fitted):
    """Vocabulary and answers of a reader."""

    vocabulary: Vocabulary
    answers: Labels
    slots: int
    """Maximum number of sentences in memory."""

    @classmethod
    def learn(cls, examples: Stories, settings: ReaderSettings) -> Self:
        """Learn the vocabulary and the answers; see `Fitted.learn`."""
        stories = examples.stories
        texts = dict.fromkeys(text for story in stories for text in (*story.sentences, story.question))
        answers = Labels.learn(story.answer for story in stories if story.answer is not None)
        words = [*map(story_words, texts), *([answer] for answer in answers)]
        return cls(Vocabulary.learn(words, units="word", lowercase=True), answers, settings.network.slots)

    @property
    def examples(self) -> int:
        """Number of training questions per epoch."""
        return sum(self.answers.counts)

    def encode(self, stories: Sequence[Story]) -> StoryExamples:
        """Encode stories with their questions; the target of an answer absent from training is `IGNORED`."""
        places = {name: place for place, name in enumerate(self.answers)}
        right = [places.get(story.answer or "", IGNORED) for story in stories]
        return StoryExamples.of(stories, self.vocabulary, right, slots=self.slots)

    def score_notes(self, examples: Stories) -> list[str]:
        """Return a note on answers absent from the training data."""
        new = Counter(str(story.answer) for story in examples.stories if story.answer not in self.answers)
        if not new:
            return []
        shown = ", ".join(repr(name) for name, _ in new.most_common(3))
        return [f"{new.total():,} answers were never seen in training and count as wrong: {shown}"]

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.vocabulary.save(folder)
        self.answers.save(folder, "answers")

    @classmethod
    def load(cls, folder: Path, settings: ReaderSettings) -> Self:
        """See `Fitted.load`."""
        return cls(Vocabulary.load(folder), Labels.load(folder, "answers"), settings.network.slots)
