"""Contracts of what a task is composed of: its examples, what it learned beside weights, and its predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

from unspool.data import Sample, find_files
from unspool.tasks.running.model_folder import fingerprint

__all__ = ["Examples", "Fitted", "Prediction"]


class Prediction(Protocol):
    """What a task says of one input: a named tuple that can write itself, as a line or as a JSON object."""

    def line(self) -> str:
        """What a person reads; one line, or several."""

    def record(self) -> dict[str, Any]:
        """All there is, as a JSON object: texts, numbers, truth values, lists and dictionaries, None."""


class Examples(ABC):
    """Labelled data of one task, as files or memory hold them: texts and labels, not yet numbers."""

    @abstractmethod
    def divide(self, fraction: float, seed: int) -> tuple[Self, Self | None]:
        """Hold a share out.

        Args:
            fraction: The share, between 0 and 1.
            seed: Decides which examples are held out.

        Returns:
            The examples to train on, and those held out; None where no example can be spared.

        Raises:
            DataError: If there are too few examples.
        """

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """How much data there is, by what is counted, as `{"examples": 120}`."""

    def samples(self) -> Iterator[Sample]:
        """The examples as summaries show them; none where data are made up."""
        return iter(())

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash that tells, when a training goes on, whether the data are the same.

        Args:
            paths: Where the examples were read from; empty if nowhere.

        Returns:
            The hash of all files; None without any.
        """
        return fingerprint([Path(file) for file in find_files(paths)]) if paths else None


class Fitted(ABC):
    """What a task learned from training data beside weights: vocabularies, labels. It exists only after learning."""

    @classmethod
    @abstractmethod
    def learn(cls, examples: Any, settings: Any) -> Self:
        """Learn from training data.

        Raises:
            DataError: If the data are too few or too uniform to learn from.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write files into a folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """

    def restart(self, train: Any, held_out: Any) -> Self:
        """What training began with, where a folder that is trained on holds what came later.

        Args:
            train: The examples trained on.
            held_out: The examples held out of them; None if there are none.
        """
        return self

    def refuse_strangers(self, examples: Any) -> None:  # noqa: B027 - most tasks have no labels
        """Refuse data to be scored whose labels have nothing in common with the training data's.

        Raises:
            DataError: If so; the message names labels of both.
        """

    def score_notes(self, examples: Any) -> list[str]:
        """What a person should know beside the scores of examples, a sentence each: labels never seen in training."""
        return []

    def usable(self, examples: Any, *, skip_bad: bool) -> tuple[Any, int]:
        """The validation examples that training can be judged by, and how many were left out.

        Args:
            examples: The validation examples.
            skip_bad: Leave out examples with a label that the training data lack, instead of refusing them.

        Raises:
            DataError: If an example can't be judged, with its place.
        """
        return examples, 0
