"""Pairs of texts for the task `translate`, read from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Pair, Reader, RowsInMemory, Sample, pairs_of_rows, read_pairs, split
from unspool.tasks.contracts import Examples
from unspool.tasks.translate.settings import TranslatorSettings

__all__ = ["PairExamples", "open_data", "samples"]


@dataclass(frozen=True)
class PairExamples(Examples):
    """Sources with their targets, as the files have them."""

    sources: list[str]
    targets: list[str]
    where: list[str]

    @classmethod
    def of(cls, reader: Iterable[Pair]) -> Self:
        """Read all pairs of a reader."""
        examples = cls([], [], [])
        for pair in reader:
            examples.sources.append(pair.source)
            examples.targets.append(pair.target)
            examples.where.append(pair.where)
        return examples

    def take(self, places: NDArray[np.int64]) -> Self:
        """The pairs at some places."""
        return type(self)(*([column[i] for i in places] for column in (self.sources, self.targets, self.where)))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out sources drawn by lot, each with all of its pairs, so that none is on both sides."""
        sources = list(dict.fromkeys(self.sources))
        _, held = split(len(sources), fraction, seed)
        inside = {sources[place] for place in held}
        held_out = np.array([source in inside for source in self.sources])
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))

    def sizes(self) -> dict[str, int]:
        """How many pairs there are."""
        return {"pairs": len(self.sources)}

    def samples(self) -> Iterator[Sample]:
        """Each source with its target."""
        for where, source, target in zip(self.where, self.sources, self.targets, strict=True):
            yield Sample(where, (source, target))


def open_data(
    settings: TranslatorSettings, source: DataSource, columns: Sequence[str] = (), *, skip_bad: bool | None = None
) -> Reader[Pair]:
    """Open pairs for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        columns: Columns of source and target that other data of the task were read from.
        skip_bad: Leave bad lines out and count them; as the settings say if omitted.

    Raises:
        DataError: If a file is missing, empty or of unknown form.
    """
    data = settings.data
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    if isinstance(source, RowsInMemory):
        return pairs_of_rows(source.reader(skip_bad=skip_bad), source=data.source, target=data.target)
    return read_pairs(
        source,
        format=data.format,
        header=data.header,
        delimiter=data.delimiter,
        source=data.source,
        target=data.target,
        columns=columns,
        skip_bad=skip_bad,
    )


def samples(examples: Iterable[Pair]) -> Iterator[Sample]:
    """The pairs as summaries and checks show them."""
    for each in examples:
        yield Sample(each.where, (each.source, each.target))
