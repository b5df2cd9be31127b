"""Data of the task `algorithm`: exercises generated from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from unspool.data import (
    Adding,
    Brackets,
    BracketsInCode,
    Copy,
    ExerciseKind,
    Recall,
    RepeatCopy,
    Reverse,
    Sort,
    find_files,
    read_text,
)
from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.tasks.algorithm.settings import ExerciseSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.running.model_folder import fingerprint

__all__ = ["ALGORITHMS", "Exercises", "scored_lengths"]

ALGORITHMS: dict[str, Callable[[ExerciseSettings], ExerciseKind]] = {
    "copy": lambda data: Copy(data.width),
    "repeat-copy": lambda data: RepeatCopy(data.width, data.repeats),
    "recall": lambda data: Recall(data.width),
    "sort": lambda data: Sort(data.width),
    "reverse": lambda data: Reverse(data.width),
    "brackets": lambda data: Brackets(),
    "adding": lambda data: Adding(),
}


@dataclass(frozen=True)
class Exercises(Examples):
    """Generator of exercises: an algorithm, optional files of code, and a random stream."""

    name: str
    kind: ExerciseKind
    stream: int
    """Number of the random stream, from 1, for held-out exercises; training always uses stream 0."""
    settings: ExerciseSettings
    in_code: bool = False
    """Whether files of code follow the name."""

    @classmethod
    def of(cls, name: str, files: list[str], settings: ExerciseSettings) -> Self:
        """Create the exercises of an algorithm.

        Raises:
            UsageError: If the algorithm does not exist, or does not accept files.
            DataError: If a file can't be read.
        """
        if name not in ALGORITHMS:
            raise UsageError(
                f"there is no algorithm {name!r}{nearest(name, ALGORITHMS)}; choose one of {', '.join(ALGORITHMS)}"
            )
        if files and name != "brackets":
            raise UsageError(
                f"the exercises of {name} are generated, without files; only brackets accepts files such as {files[0]}"
            )
        if files:
            kind: ExerciseKind = BracketsInCode(["".join(read_text(file)) for file in find_files(files)])
        else:
            kind = ALGORITHMS[name](settings)
        return cls(name, kind, 1, settings, bool(files))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Return exercises of another random stream, and these exercises; see `Examples.divide`."""
        return replace(self, stream=self.stream + 1), self

    def sizes(self) -> dict[str, int]:
        """Return the number of test exercises and the maximum length."""
        lengths = scored_lengths(self.settings)
        return {"exercises": self.settings.valid_examples * len(lengths), "longest": max(lengths)}

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash the name of the algorithm and the files of code."""
        if not paths:
            return None
        files = [Path(file) for file in find_files(paths[1:])] if len(paths) > 1 else []
        return hashlib.sha256(f"{paths[0]} {fingerprint(files) if files else ''}".encode()).hexdigest()


def scored_lengths(data: ExerciseSettings) -> list[int]:
    """Return the exercise lengths of the final scores; the maximum training length comes first."""
    if data.test_lengths is None:
        return [data.max_length, 2 * data.max_length, 4 * data.max_length]
    return [int(word) for word in data.test_lengths.split(",") if word.strip()] or [data.max_length]
