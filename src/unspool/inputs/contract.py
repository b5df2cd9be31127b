"""Contract of an input: the fitted input, which exists only after learning, and the encoder that it builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from unspool.cells import Cell
from unspool.layers import Pooling

__all__ = ["Encoder", "FittedInput"]

V = TypeVar("V")


class Encoder(NamedTuple):
    """The network that turns a batch of an input into states, (time, batch, width)."""

    embedding: Any
    """From a batch to vectors, (time, batch, features)."""
    stack: Any
    """From vectors and lengths to states, as `Recurrent` does; None where the vectors are the states."""
    size: int
    """Width of the states."""
    pooling: Pooling
    """What of the states decides where one decision is made: last, mean, max or attention."""
    drops_inputs: bool = True
    """Whether dropout also falls on the vectors; not where they are the data themselves."""
    directions: int = 1
    """2 where the second half of the states was read backwards."""


class FittedInput(ABC, Generic[V]):
    """An input that has learned from training data."""

    kind: ClassVar[str]
    """Name of the input, and of its folder."""

    @classmethod
    @abstractmethod
    def learn(cls, values: Sequence[V], columns: Sequence[str], settings: Any) -> Self:
        """Learn from the values of training data.

        Args:
            values: The values.
            columns: The columns that they were read from.
            settings: Settings of a task, with `vocabulary` and `network`.

        Raises:
            DataError: If there is nothing to learn from.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """

    @abstractmethod
    def value(self, value: Any, where: str) -> V:
        """Check a value that a person passed in, or typed as a line.

        Raises:
            DataError: If it is none of this input.
        """

    @abstractmethod
    def text(self, value: V) -> str:
        """A value as a person reads it, on one line."""

    def is_one(self, values: Any) -> bool:
        """Whether what a person passed in is one value rather than several."""
        return isinstance(values, str)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that a value is read from; empty where a column of another name will do."""
        return ()

    @abstractmethod
    def encode(self, values: Sequence[V], where: Sequence[str]) -> Any:
        """Encode values.

        Args:
            values: The values.
            where: The place of each, for messages: `file:line`.

        Returns:
            An `Encoded` data set: it has `lengths`, and makes batches of any of its examples.

        Raises:
            DataError: If a value can't be encoded, with its place.
        """

    @abstractmethod
    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the network that reads a batch.

        Args:
            network: Settings of the network, an `EncoderSettings` with `network` and `pooling`.
            cell: The cell of recurrent layers, or its name.

        Raises:
            SettingError: If no network of that kind reads such an input.
        """

    @abstractmethod
    def positions(self, value: V) -> tuple[str, ...]:
        """Name each position of a value for views: the units of a text, the column of each number."""

    @abstractmethod
    def features(self, values: Sequence[V]) -> list[list[str]] | NDArray[np.float32]:
        """What a linear model reads of values: the words of each, or numbers, (values, features)."""

    @abstractmethod
    def summary(self) -> str:
        """What the input is, in a few words, for the description of a network; empty for texts."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write files into a folder."""
