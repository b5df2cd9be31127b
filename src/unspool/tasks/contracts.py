"""Interfaces of the parts of a task: examples, fitted state (vocabularies, labels) and predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

from unspool.data import Sample, find_files
from unspool.tasks.running.model_folder import fingerprint

__all__ = ["Examples", "Fitted", "Prediction"]


class Prediction(Protocol):
    """Prediction for one input: a named tuple that formats itself as text or as a JSON object."""

    def line(self) -> str:
        """Format the prediction for people, on one line or several."""

    def record(self) -> dict[str, Any]:
        """Return all fields as a JSON object: strings, numbers, booleans, lists, dictionaries, None."""


class Examples(ABC):
    """Labelled examples of one task before encoding: texts and labels, not yet ids."""

    @abstractmethod
    def divide(self, fraction: float, seed: int) -> tuple[Self, Self | None]:
        """Split off a held-out set.

        Args:
            fraction: Share of the examples to hold out, between 0 and 1.
            seed: Random seed of the split.

        Returns:
            The training examples and the held-out examples; None if too few examples are left to hold any out.

        Raises:
            DataError: If there are too few examples.
        """

    def held_out(self, part: str) -> tuple[Self, Self] | None:
        """Split off a held-out set that the data themselves mark, such as the times after a date.

        Args:
            part: valid, or test, which is split off first.

        Returns:
            The remaining examples and the held-out examples; None to divide by shares.
        """
        return None

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the size of the data by unit, as `{"examples": 120}`."""

    def samples(self) -> Iterator[Sample]:
        """Yield the examples for summaries; nothing for generated data."""
        return iter(())

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash the data, so that a resumed training can check that they are unchanged.

        Args:
            paths: Files, folders or globs that the examples were read from; empty for other sources.

        Returns:
            The hash of all files; None without files.
        """
        return fingerprint([Path(file) for file in find_files(paths)]) if paths else None


class Fitted(ABC):
    """State that a task learns from training data besides the weights: vocabularies, labels."""

    @classmethod
    @abstractmethod
    def learn(cls, examples: Any, settings: Any) -> Self:
        """Build the state from training data.

        Raises:
            DataError: If the data have too few examples, or too few distinct labels.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the state into a folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the files that `save` wrote.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """

    def restart(self, train: Any, held_out: Any) -> Self:
        """Return the state from before training, for a resumed run whose folder holds later changes.

        Args:
            train: The training examples.
            held_out: The validation examples; None if there are none.
        """
        return self

    def refuse_strangers(self, examples: Any) -> None:  # noqa: B027 - most tasks have no labels
        """Refuse evaluation data that share no label with the training data.

        Raises:
            DataError: If no label is shared; the message names labels of both.
        """

    def score_notes(self, examples: Any) -> list[str]:
        """Return notes about the scores, one sentence each, such as labels absent from the training data."""
        return []

    def refuse_files(self) -> None:  # noqa: B027 - most inputs name no files
        """Take no paths as inputs from now on, since inputs come from strangers; see `FittedInput.refuse_files`."""

    def usable(self, examples: Any, *, skip_bad: bool) -> tuple[Any, int]:
        """Return the validation examples that can be scored, and the number of skipped examples.

        Args:
            examples: The validation examples.
            skip_bad: Skip examples whose label is absent from the training data, instead of refusing them.

        Raises:
            DataError: If an example can't be scored; the message holds its `file:line`.
        """
        return examples, 0
