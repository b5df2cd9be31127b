"""Targets of exports: each turns a sheet into files, and runs what it wrote, so that the result can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.ship.answers import Answer
from unspool.ship.judged_answers import judged_answers
from unspool.ship.sheet import Sheet
from unspool.ship.small import Small
from unspool.ship.target_names import TARGETS

__all__ = ["Artefact", "Options", "Target", "target"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices of an export."""

    small: Small | None = None
    """Rounding of the weights."""
    title: str = ""
    """Name of the model, for people."""


class Artefact(ABC):
    """Files that an export wrote, which can be run."""

    files: tuple[Path, ...]

    def hindrance(self) -> str | None:
        """Return why this machine can't run the files, a sentence, so that the judge stands in; None if it can."""
        return None

    def judged(self, sheet: Sheet, texts: Sequence[Any], small: Small | None) -> list[Answer]:
        """Return what the files should answer, computed in numpy; arguments as in `judged_answers`."""
        return judged_answers(sheet, texts, small)

    @abstractmethod
    def run(self, texts: Sequence[Any]) -> list[Any]:
        """Run the files on texts.

        Returns:
            For each text, what the back of the sheet gives: the probabilities of all labels, a mapping by name; the
            tags, a list; the text that was written, a string.

        Raises:
            MachineError: If this machine lacks a program to run them.
        """


class Target(Protocol):
    """The function `export` of a target's package."""

    def __call__(self, sheet: Sheet, path: Path, options: Options) -> Artefact:
        """Write the files of a sheet.

        Args:
            sheet: The model.
            path: File to write, or folder, as the target says; what stands there is replaced.
            options: Choices.

        Raises:
            UsageError: If the target can't take the sheet; the message says what stands in the way.
        """


def target(name: str) -> Target:
    """Return the `export` of a target.

    Raises:
        UsageError: If there is no such target.
    """
    if name not in TARGETS:
        raise UsageError(f"there is no target {name!r}{nearest(name, TARGETS)}; choose {', '.join(TARGETS)}")
    export: Target = import_module(TARGETS[name]).export
    return export
