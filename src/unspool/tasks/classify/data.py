"""Labelled inputs for the task `classify`, read from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, LabelledText, Reader, RowsInMemory, Sample, label_rows, read_labelled, split
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.contracts import Examples

__all__ = ["LabelledExamples", "open_data", "samples"]


@dataclass(frozen=True)
class LabelledExamples(Examples):
    """Inputs with their labels."""

    values: list[Any]
    labels: list[tuple[str, ...]]
    where: list[str]

    @classmethod
    def of(cls, reader: Iterable[LabelledText]) -> Self:
        """Read all examples of a reader."""
        examples = cls([], [], [])
        for each in reader:
            examples.values.append(each.text)
            examples.labels.append(each.labels)
            examples.where.append(each.where)
        return examples

    def take(self, places: NDArray[np.int64]) -> Self:
        """The examples at some places."""
        return type(self)(*([column[i] for i in places] for column in (self.values, self.labels, self.where)))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out examples drawn by lot; see `Examples.divide`."""
        rest, held_out = split(len(self.values), fraction, seed)
        return self.take(rest), self.take(held_out)

    def sizes(self) -> dict[str, int]:
        """How many examples there are."""
        return {"examples": len(self.values)}

    def samples(self) -> Iterator[Sample]:
        """Each text with its labels."""
        return samples(map(LabelledText, self.where, self.values, self.labels))


def open_data(
    settings: ClassifierSettings, source: DataSource, columns: Sequence[str] = (), *, skip_bad: bool | None = None
) -> Reader[LabelledText]:
    """Open labelled inputs for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        columns: Columns of text and label that other data of the task were read from.
        skip_bad: Leave bad lines out and count them; as the settings say if omitted.

    Raises:
        DataError: If a file is missing, empty or of unknown form.
    """
    data = settings.data
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    separator = data.separator if settings.several else None
    if isinstance(source, RowsInMemory):
        return label_rows(
            source.reader(skip_bad=skip_bad), text=data.text, label=data.label, separator=separator, columns=columns
        )
    return read_labelled(
        source,
        format=data.format,
        header=data.header,
        delimiter=data.delimiter,
        text=data.text,
        label=data.label,
        separator=separator,
        columns=columns,
        skip_bad=skip_bad,
    )


def samples(examples: Iterable[LabelledText]) -> Iterator[Sample]:
    """The examples as summaries and checks show them."""
    for each in examples:
        yield Sample(each.where, (each.text if isinstance(each.text, str) else " ".join(each.text),), each.labels)
