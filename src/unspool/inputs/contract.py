"""Interfaces of an input: `FittedInput`, fitted to training data, and the `Encoder` network that it builds."""

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
    """Encoder network: turns a batch of an input into states, (time, batch, width)."""

    embedding: Any
    """Module from a batch to vectors, (time, batch, features)."""
    stack: Any
    """Module from vectors and lengths to states, like `Recurrent`; None if the vectors are the states."""
    size: int
    """Width of the states."""
    pooling: Pooling
    """Pooling of the states over time for one decision per sequence: last, mean, max or attention."""
    drops_inputs: bool = True
    """Whether to apply dropout to the vectors; False if the vectors are the raw data."""
    directions: int = 1
    """Number of directions; 2 if the second half of the states comes from the backward direction."""


class FittedInput(ABC, Generic[V]):
    """An input fitted to training data."""

    kind: ClassVar[str]
    """Name of the input, and of its folder."""
    values_are_files: ClassVar[bool] = False
    """Whether a text among the values is the path of a file, as for images and sounds."""
    reads_files: bool = True
    """Whether a value may be the path of a file on this machine."""

    @classmethod
    @abstractmethod
    def learn(cls, values: Sequence[V], columns: Sequence[str], settings: Any) -> Self:
        """Fit the input to training data.

        Args:
            values: The values of the training data.
            columns: The columns of the values.
            settings: Settings of a task, with `vocabulary` and `network`.

        Raises:
            DataError: If the values are empty or inconsistent.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the files that `save` wrote.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """

    @abstractmethod
    def value(self, value: Any, where: str) -> V:
        """Check and convert a value from a caller, or from a typed line.

        Args:
            value: The value.
            where: Place of the value for messages: `file:line`.

        Raises:
            DataError: If the value does not fit this input.
        """

    def refuse_files(self) -> None:
        """Take no paths as values from now on, since values come from strangers; a server calls this method."""
        self.reads_files = False

    @abstractmethod
    def text(self, value: V) -> str:
        """Format a value for people, on one line."""

    def is_one(self, values: Any) -> bool:
        """Whether `values` is a single value, not a collection."""
        return isinstance(values, str)

    @property
    def has_words(self) -> bool:
        """Whether `features` returns the words of texts."""
        return False

    @property
    def columns(self) -> tuple[str, ...]:
        """Table columns of a value; empty if the column name does not matter."""
        return ()

    @abstractmethod
    def encode(self, values: Sequence[V], where: Sequence[str]) -> Any:
        """Encode values.

        Args:
            values: The values.
            where: Place of each value for messages: `file:line`.

        Returns:
            An `Encoded` data set, with `lengths`, and with `batch` for the examples at any indices.

        Raises:
            DataError: If a value can't be encoded; the message holds its place.
        """

    @abstractmethod
    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the encoder network.

        Args:
            network: Settings of the network, an `EncoderSettings` with `network` and `pooling`.
            cell: The cell of recurrent layers, or its name.

        Raises:
            SettingError: If this kind of network does not support the input.
        """

    @abstractmethod
    def positions(self, value: V) -> tuple[str, ...]:
        """Label each time step of a value for views, such as the units of a text."""

    @abstractmethod
    def features(self, values: Sequence[V]) -> list[list[str]] | NDArray[np.float32]:
        """Return features for a linear baseline: the words of each value, or numbers, (values, features)."""

    def notes(self, values: Sequence[V]) -> list[str]:
        """Return notes for the user about some values, one sentence each."""
        return []

    @abstractmethod
    def summary(self) -> str:
        """Describe the input in a few words, for the summary of a network; empty for texts."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted state into a folder."""
