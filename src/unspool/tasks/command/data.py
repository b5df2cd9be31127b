"""Data of the task `command`: sentences with intents and slots, from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    DataSource,
    Layout,
    Reader,
    RowsInMemory,
    Sample,
    Utterance,
    read_utterances,
    split,
    utterances_of_rows,
)
from unspool.tasks.command.settings import CommandSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["UtteranceExamples", "open_data", "samples"]


@dataclass(frozen=True)
class UtteranceExamples(Examples):
    """Sentences with their intents and slots."""

    utterances: list[Utterance]

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return [each.text for each in self.utterances]

    @property
    def where(self) -> list[str]:
        """Place of each sentence for messages."""
        return [each.where for each in self.utterances]

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the sentences at some indices."""
        return type(self)([self.utterances[place] for place in places])

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the sentences; see `Examples.divide`."""
        rest, held_out = split(len(self.utterances), fraction, seed)
        return self.take(rest), self.take(held_out)

    def sizes(self) -> dict[str, int]:
        """Return the number of sentences, and of slots if there are any."""
        slots = sum(len(each.slots) for each in self.utterances)
        return {"sentences": len(self.utterances), **({"slots": slots} if slots else {})}

    def samples(self) -> Iterator[Sample]:
        """Yield each sentence with its intents."""
        return samples(self.utterances)


def open_data(
    settings: CommandSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Utterance]:
    """Open sentences with intents and slots for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    columns: dict[str, Any] = {"text": data.text, "intent": data.intent, "slots": data.slots}
    columns |= {"separator": data.separator, "out_of_scope": data.out_of_scope}
    if isinstance(source, RowsInMemory):
        return utterances_of_rows(source.reader(skip_bad=options["skip_bad"]), **columns)
    earlier = [] if before is None else before.columns_of("text", "intent", "slots")
    return read_utterances(source, columns=earlier, **options, **columns)


def samples(examples: Iterable[Utterance]) -> Iterator[Sample]:
    """Convert sentences to samples for summaries and checks."""
    for each in examples:
        yield Sample(each.where, (each.text,), each.intents or ("none of the intents",))
