"""The data of a training: what is trained on, chosen by, and reported on."""

from __future__ import annotations

import os
from typing import Generic, NamedTuple, TypeVar

from unspool.data import DataSource, Paths, RowsInMemory

__all__ = ["Data", "Splits", "paths_of"]

D = TypeVar("D")


class Data(NamedTuple, Generic[D]):
    """One data set, and where it came from."""

    examples: D
    paths: tuple[str, ...] = ()
    """Empty where it came from memory, or was held out of the training data."""
    in_memory: RowsInMemory | None = None

    @classmethod
    def of(cls, examples: D, source: DataSource) -> Data[D]:
        """What was read from files or memory."""
        if isinstance(source, RowsInMemory):
            return cls(examples, (), source)
        return cls(examples, paths_of(source))

    @property
    def is_held_out(self) -> bool:
        """Whether it was held out of the training data."""
        return not self.paths and self.in_memory is None

    def note(self) -> str:
        """Where it came from, where that is no file."""
        return " (held out of the training data)" if self.is_held_out else " (in memory)" if self.in_memory else ""


class Splits(NamedTuple, Generic[D]):
    """What is trained on, chosen by, and reported on."""

    train: Data[D]
    valid: Data[D] | None
    """None: the last weights are kept, whatever they are."""
    test: Data[D] | None

    @property
    def held_out(self) -> D | None:
        """What was held out of the training data for validation."""
        return self.valid.examples if self.valid is not None and self.valid.is_held_out else None


def paths_of(paths: Paths) -> tuple[str, ...]:
    """One path or several, as a tuple of texts."""
    return (str(paths),) if isinstance(paths, str | os.PathLike) else tuple(str(path) for path in paths)
