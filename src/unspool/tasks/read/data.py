"""Stories with questions for the task `read`, read from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Reader, RowsInMemory, Sample, Story, read_stories, split, stories_of_rows
from unspool.tasks.contracts import Examples
from unspool.tasks.read.settings import ReaderSettings

__all__ = ["Stories", "file_of", "open_data", "samples"]


@dataclass(frozen=True)
class Stories(Examples):
    """Stories with their questions."""

    stories: list[Story]

    def take(self, places: NDArray[np.int64]) -> Self:
        """Those at some places."""
        return type(self)([self.stories[place] for place in places])

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out stories drawn by lot, each with all of its questions, so that none is on both sides."""
        of_story = _numbers_of_stories(self.stories)
        _, held = split(int(of_story[-1]) + 1, fraction, seed)
        inside = np.isin(of_story, held)
        return self.take(np.flatnonzero(~inside)), self.take(np.flatnonzero(inside))

    def sizes(self) -> dict[str, int]:
        """How many questions there are, and files if several."""
        files = set(map(file_of, self.stories))
        return {"questions": len(self.stories), **({"files": len(files)} if len(files) > 1 else {})}

    def samples(self) -> Iterator[Sample]:
        """Each story with its question and answer."""
        return samples(self.stories)


def open_data(
    settings: ReaderSettings, source: DataSource, columns: Sequence[str] = (), *, skip_bad: bool | None = None
) -> Reader[Story]:
    """Open stories for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        columns: Ignored; stories have columns of fixed names.
        skip_bad: Leave bad lines out and count them; as the settings say if omitted.

    Raises:
        DataError: If a file is missing, empty or of unknown form.
    """
    data = settings.data
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    if isinstance(source, RowsInMemory):
        return stories_of_rows(source.reader(skip_bad=skip_bad), answered=True)
    return read_stories(source, form=data.format, answered=True, skip_bad=skip_bad)


def samples(stories: Iterable[Story]) -> Iterator[Sample]:
    """The stories as summaries and checks show them."""
    for story in stories:
        yield Sample(story.where, (" ".join(story.sentences), story.question), (str(story.answer),))


def file_of(story: Story) -> str:
    """The file that a story stands in."""
    return story.where.rpartition(":")[0]


def _numbers_of_stories(stories: Sequence[Story]) -> NDArray[np.int64]:
    """Which story each question is about, counted from 0: one that only goes on is the same story."""
    numbers = np.zeros(len(stories), np.int64)
    for place in range(1, len(stories)):
        before, now = stories[place - 1], stories[place]
        goes_on = file_of(before) == file_of(now) and now.sentences[: len(before.sentences)] == before.sentences
        numbers[place] = numbers[place - 1] + (not goes_on)
    return numbers
