"""Data of the task `read`: stories with questions from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Layout, Reader, RowsInMemory, Sample, Story, read_stories, split, stories_of_rows
from unspool.tasks.contracts import Examples
from unspool.tasks.read.settings import ReaderSettings

__all__ = ["Stories", "file_of", "open_data", "samples"]


@dataclass(frozen=True)
class Stories(Examples):
    """Stories with their questions."""

    stories: list[Story]

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the stories at some indices."""
        return type(self)([self.stories[place] for place in places])

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the stories, each with all of its questions, so that no story is on both sides."""
        of_story = _numbers_of_stories(self.stories)
        _, held_out = split(int(of_story[-1]) + 1, fraction, seed)
        inside = np.isin(of_story, held_out)
        return self.take(np.flatnonzero(~inside)), self.take(np.flatnonzero(inside))

    def sizes(self) -> dict[str, int]:
        """Return the number of questions, and of files if several."""
        files = set(map(file_of, self.stories))
        return {"questions": len(self.stories), **({"files": len(files)} if len(files) > 1 else {})}

    def samples(self) -> Iterator[Sample]:
        """Yield each story with its question and answer."""
        return samples(self.stories)


def open_data(
    settings: ReaderSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Story]:
    """Open stories for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data = settings.data
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    if isinstance(source, RowsInMemory):
        return stories_of_rows(source.reader(skip_bad=skip_bad), answered=True)
    return read_stories(source, form=data.format, answered=True, skip_bad=skip_bad)


def samples(stories: Iterable[Story]) -> Iterator[Sample]:
    """Convert stories to samples for summaries and checks."""
    for story in stories:
        yield Sample(story.where, (" ".join(story.sentences), story.question), (str(story.answer),))


def file_of(story: Story) -> str:
    """Return the file of a story."""
    return story.where.rpartition(":")[0]


def _numbers_of_stories(stories: Sequence[Story]) -> NDArray[np.int64]:
    """Return the story number of each question, from 0; a story that extends the previous one has the same number."""
    numbers = np.zeros(len(stories), np.int64)
    for place in range(1, len(stories)):
        before, now = stories[place - 1], stories[place]
        extends = file_of(before) == file_of(now) and now.sentences[: len(before.sentences)] == before.sentences
        numbers[place] = numbers[place - 1] + (not extends)
    return numbers
