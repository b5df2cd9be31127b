"""Training, validation and test data of a run, with their sources."""

from __future__ import annotations

import os
from typing import Generic, NamedTuple, TypeVar

from unspool.data import DataSource, Paths, RowsInMemory

__all__ = ["Data", "Splits", "paths_of"]

D = TypeVar("D")


class Data(NamedTuple, Generic[D]):
    """One data set and its source."""

    examples: D
    paths: tuple[str, ...] = ()
    """Source files; empty for data in memory, and for data held out of the training data."""
    in_memory: RowsInMemory | None = None

    @classmethod
    def of(cls, examples: D, source: DataSource) -> Data[D]:
        """Create a data set from examples and their source."""
        if isinstance(source, RowsInMemory):
            return cls(examples, (), source)
        return cls(examples, paths_of(source))

    @property
    def is_held_out(self) -> bool:
        """Whether the data were held out of the training data."""
        return not self.paths and self.in_memory is None

    def note(self) -> str:
        """Return the source for reports, in brackets; empty for files."""
        return " (held out of the training data)" if self.is_held_out else " (in memory)" if self.in_memory else ""


class Splits(NamedTuple, Generic[D]):
    """Training, validation and test data."""

    train: Data[D]
    valid: Data[D] | None
    """Validation data, which select the best weights; None: the model keeps the last weights."""
    test: Data[D] | None
    """Test data, scored once after training; None: no test."""

    @property
    def held_out(self) -> D | None:
        """Validation examples held out of the training data; None otherwise."""
        return self.valid.examples if self.valid is not None and self.valid.is_held_out else None


def paths_of(paths: Paths) -> tuple[str, ...]:
    """Return one path or several as a tuple of strings."""
    return (str(paths),) if isinstance(paths, str | os.PathLike) else tuple(str(path) for path in paths)
