"""Data of the task `classify`: labelled inputs from files or memory; imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    DataSource,
    FeatureFrames,
    FeatureGrid,
    Layout,
    Picture,
    Reader,
    Recording,
    RowsInMemory,
    Sample,
    split,
)
from unspool.inputs import labelled_rows, read_labelled
from unspool.inputs.joined.values import JoinedValue
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["LabelledExamples", "open_data", "samples"]


@dataclass(frozen=True)
class LabelledExamples(Examples):
    """Inputs with their labels."""

    values: list[Any]
    labels: list[tuple[str, ...]]
    where: list[str]
    input: str = "text"
    """Kind of input: text, vectors, audio, images or joined."""
    columns: tuple[str, ...] = ()
    """Columns of the values."""

    @classmethod
    def of(cls, reader: Reader[Any]) -> Self:
        """Read all examples of a reader."""
        values, labels, where = [], [], []
        for each in reader:
            values.append(each.value)
            labels.append(each.labels)
            where.append(each.where)
        return cls(values, labels, where, reader.layout.input, reader.layout.values)

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the examples at some indices."""
        values, labels = [self.values[i] for i in places], [self.labels[i] for i in places]
        return type(self)(values, labels, [self.where[i] for i in places], self.input, self.columns)

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the examples; see `Examples.divide`."""
        rest, held_out = split(len(self.values), fraction, seed)
        return self.take(rest), self.take(held_out)

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash the data, and the files that a table names; see `Examples.fingerprint`."""
        if self.input not in ("audio", "images", "joined"):
            return super().fingerprint(paths)
        whole = hashlib.sha256("".join(value.digest for value in self.values).encode())
        whole.update(repr(self.labels).encode())
        return whole.hexdigest() if paths else None

    def sizes(self) -> dict[str, int]:
        """Return the number of examples."""
        return {"examples": len(self.values)}

    def samples(self) -> Iterator[Sample]:
        """Yield each value with its labels."""
        for where, value, labels in zip(self.where, self.values, self.labels, strict=True):
            yield _sample(where, value, labels)


def open_data(
    settings: ClassifierSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Any]:
    """Open labelled inputs for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    columns: dict[str, Any] = {"column": data.text, "label": data.label, "before": before}
    columns["separator"] = data.separator if settings.several else None
    columns["settings"] = settings
    columns["input"] = None if data.input == "auto" else data.input
    if isinstance(source, RowsInMemory):
        return labelled_rows(source.reader(skip_bad=options["skip_bad"]), **columns)
    return read_labelled(source, **options, **columns, labels=data.labels)


def samples(examples: Iterable[Any]) -> Iterator[Sample]:
    """Convert examples to samples for summaries and checks."""
    for each in examples:
        yield _sample(each.where, each.value, each.labels)


def _sample(where: str, value: Any, labels: tuple[str, ...]) -> Sample:
    return Sample(where, (_shown(value),), labels, _is_text(value), getattr(value, "digest", ""))


def _shown(value: Any) -> str:
    """Format a value for people: a text, a list of words, numbers, a sound or an image."""
    if isinstance(value, str):
        return value
    if isinstance(value, JoinedValue):
        return " | ".join(_shown(part) for part in value.values)
    if isinstance(value, Recording | FeatureFrames):
        return f"{value} ({value.seconds:.2f} seconds)"
    if isinstance(value, np.ndarray):
        return f"series of {len(value)} steps"
    if isinstance(value, Picture):
        return f"{value} ({value.width} x {value.height} pixels)"
    if isinstance(value, FeatureGrid):
        return f"{value} ({' x '.join(map(str, value.values.shape))} features)"
    return " ".join(f"{part:g}" if isinstance(part, float) else part for part in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))
