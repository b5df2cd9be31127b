"""Data of the task `translate`: pairs of texts from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Layout, Pair, Reader, RowsInMemory, Sample, pairs_of_rows, read_pairs, split
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options
from unspool.tasks.translate.settings import TranslatorSettings

__all__ = ["PairExamples", "open_data", "samples"]


@dataclass(frozen=True)
class PairExamples(Examples):
    """Source texts with their target texts."""

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
        """Return the pairs at some indices."""
        return type(self)(*([column[i] for i in places] for column in (self.sources, self.targets, self.where)))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the sources, each with all of its pairs, so that no source is on both sides."""
        sources = list(dict.fromkeys(self.sources))
        _, held_out = split(len(sources), fraction, seed)
        inside = {sources[place] for place in held_out}
        mask = np.array([source in inside for source in self.sources])
        return self.take(np.flatnonzero(~mask)), self.take(np.flatnonzero(mask))

    def sizes(self) -> dict[str, int]:
        """Return the number of pairs."""
        return {"pairs": len(self.sources)}

    def samples(self) -> Iterator[Sample]:
        """Yield each source with its target."""
        for where, source, target in zip(self.where, self.sources, self.targets, strict=True):
            yield Sample(where, (source, target))


def open_data(
    settings: TranslatorSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Pair]:
    """Open pairs for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    if isinstance(source, RowsInMemory):
        return pairs_of_rows(source.reader(skip_bad=options["skip_bad"]), source=data.source, target=data.target)
    return read_pairs(
        source,
        source=data.source,
        target=data.target,
        columns=[] if before is None else before.columns_of("source", "target"),
        **options,
    )


def samples(examples: Iterable[Pair]) -> Iterator[Sample]:
    """Convert pairs to samples for summaries and checks."""
    for each in examples:
        yield Sample(each.where, (each.source, each.target))
