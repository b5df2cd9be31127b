"""Fitted state of the task `algorithm`: the algorithm's name and exercises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from unspool.data import BracketsInCode, ExerciseKind
from unspool.errors import ModelFolderError, UsageError
from unspool.reading import read_json
from unspool.settings import nearest
from unspool.tasks.algorithm.data import ALGORITHMS, Exercises
from unspool.tasks.algorithm.settings import AlgorithmSettings
from unspool.tasks.contracts import Fitted
from unspool.writing import replace_file

__all__ = ["FittedAlgorithm"]


class _Record(msgspec.Struct):
    algorithm: str
    in_code: bool


@dataclass(frozen=True)
class FittedAlgorithm(Fitted):
    """The algorithm that a network learned."""

    name: str
    kind: ExerciseKind
    in_code: bool

    @classmethod
    def learn(cls, examples: Exercises, settings: AlgorithmSettings) -> Self:
        """See `Fitted.learn`."""
        return cls(examples.name, examples.kind, examples.in_code)

    def refuse_strangers(self, examples: Exercises) -> None:
        """Refuse exercises of another algorithm.

        Raises:
            UsageError: If the algorithms differ.
        """
        if (examples.name, examples.in_code) != (self.name, self.in_code):
            raise UsageError(
                f"this network learned {self.name}{' in code' * self.in_code}; "
                f"it can't be scored on {examples.name}{' in code' * examples.in_code}"
            )

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        record = _Record(self.name, self.in_code)
        replace_file(folder / "algorithm.json", msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: AlgorithmSettings) -> Self:
        """See `Fitted.load`."""
        path = folder / "algorithm.json"
        record = read_json(path, _Record, "the name of the algorithm")
        name = record.algorithm
        if name not in ALGORITHMS:
            raise ModelFolderError(
                f"{path}: there is no algorithm {name!r}{nearest(name, ALGORITHMS)}; the folder is damaged, or newer"
            )
        kind: ExerciseKind = BracketsInCode(["{}"]) if record.in_code else ALGORITHMS[name](settings.data)
        return cls(name, kind, record.in_code)
