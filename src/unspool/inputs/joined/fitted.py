"""Several inputs in one row, fitted to training data: each by its own `FittedInput`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.cells import Cell
from unspool.errors import DataError, ModelFolderError
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.files import path_beside
from unspool.inputs.fitting import learn_input, load_input
from unspool.inputs.joined.encoded import EncodedJoined, JoinedEmbedding
from unspool.inputs.joined.values import JoinedValue
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["FittedJoined"]

_FILE = "joined.json"


class FittedJoined(FittedInput[JoinedValue]):
    """Several inputs in one row.

    Args:
        columns: Column of each input.
        parts: The fitted inputs, as many.
    """

    kind: ClassVar[str] = "joined"

    def __init__(self, columns: Sequence[str], parts: Sequence[FittedInput[Any]]) -> None:
        self._columns, self.parts = tuple(columns), tuple(parts)

    @classmethod
    def learn(cls, values: Sequence[JoinedValue], columns: Sequence[str], settings: Any) -> Self:
        """Fit each input to its column; see `FittedInput.learn`."""
        if not values:
            raise DataError("there are no rows to learn from")
        kinds = values[0].kinds
        if len(columns) != len(kinds):  # data in memory
            columns = [f"{number} {kind}" for number, kind in enumerate(kinds, start=1)]
        parts = [
            learn_input(kind, [value.values[place] for value in values], (column,), settings)
            for place, (kind, column) in enumerate(zip(kinds, columns, strict=True))
        ]
        return cls(columns, parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column of each input."""
        return self._columns

    @property
    def has_words(self) -> bool:
        """Whether `features` returns words: whether one of the inputs is a text."""
        return any(part.has_words for part in self.parts)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(part.kind for part in self.parts)

    def refuse_files(self) -> None:
        """See `FittedInput.refuse_files`."""
        super().refuse_files()
        for part in self.parts:
            part.refuse_files()

    def value(self, value: Any, where: str) -> JoinedValue:
        """Convert a mapping from column to value, or the values in the order of the columns.

        A path in a table is relative to the table.
        """
        if isinstance(value, JoinedValue):
            return value
        if isinstance(value, Mapping):
            missing = [column for column in self.columns if value.get(column) is None]
            if missing:
                raise DataError(f"column {missing[0]!r} is missing; expected {', '.join(self.columns)}", where)
            value = [value[column] for column in self.columns]
        if not isinstance(value, list | tuple) or len(value) != len(self.parts):
            raise DataError(
                f"{value!r:.60} came; expected a value for each of {', '.join(self.columns)}, as a mapping", where
            )
        values = []
        for part, each in zip(self.parts, value, strict=True):
            is_path = part.values_are_files and part.reads_files and isinstance(each, str)
            values.append(part.value(path_beside(each, where) if is_path else each, where))
        return JoinedValue(self._kinds, tuple(values))

    def text(self, value: JoinedValue) -> str:
        """Join the values with ` | `; see `FittedInput.text`."""
        return " | ".join(part.text(each) for part, each in zip(self.parts, value.values, strict=True))

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one row: a mapping, or a `JoinedValue`."""
        return isinstance(values, Mapping | JoinedValue)

    def encode(self, values: Sequence[JoinedValue], where: Sequence[str]) -> EncodedJoined:
        """Encode each column by its own input; see `FittedInput.encode`."""
        for value, place in zip(values, where, strict=True):
            if value.kinds != self._kinds:
                came, expected = (" and ".join(kinds) for kinds in (value.kinds, self._kinds))
                raise DataError(f"{came} came; the training data hold {expected}", place)
        return EncodedJoined(
            tuple(
                part.encode([value.values[place] for value in values], where) for place, part in enumerate(self.parts)
            )
        )

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the encoder of each input, side by side; see `FittedInput.encoder`."""
        encoders = [part.encoder(network, cell) for part in self.parts]
        embedding = JoinedEmbedding(encoders, dropout=network.dropout, variational=network.variational)
        return Encoder(embedding, None, embedding.output_size, "last", drops_inputs=False)

    @property
    def shown(self) -> int:
        """Index of the input whose steps views show: the first text, or else the first input."""
        return next((place for place, part in enumerate(self.parts) if part.has_words), 0)

    def positions(self, value: JoinedValue) -> tuple[str, ...]:
        """Label the steps of the text, or of the first input if there is no text."""
        return self.parts[self.shown].positions(value.values[self.shown])

    def features(self, values: Sequence[JoinedValue]) -> list[list[str]] | NDArray[np.float32]:
        """Return the words of all texts in a row; without texts, the numbers of all inputs, (values, features)."""
        columns = [
            part.features([value.values[place] for value in values])
            for place, part in enumerate(self.parts)
            if part.has_words or not self.has_words
        ]
        if not self.has_words:
            return np.concatenate(columns, axis=1)
        words: list[list[str]] = [[word for text in texts for word in text] for texts in zip(*columns, strict=True)]
        return words

    def notes(self, values: Sequence[JoinedValue]) -> list[str]:
        """Return the notes of all inputs; see `FittedInput.notes`."""
        return [
            note
            for place, part in enumerate(self.parts)
            for note in part.notes([value.values[place] for value in values])
        ]

    def summary(self) -> str:
        """Return the columns with what they hold, in words."""
        return " and ".join(
            f"{column} ({part.summary() or 'texts'})" for column, part in zip(self.columns, self.parts, strict=True)
        )

    def save(self, folder: Path) -> None:
        """Write `joined.json`, and each input into a folder of its own."""
        record = _Record(list(self.columns), list(self._kinds))
        for place, part in enumerate(self.parts, start=1):
            own = folder / f"part{place}"
            own.mkdir(parents=True, exist_ok=True)
            part.save(own)
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the files that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the list of inputs")
        parts = [load_input(folder / f"part{place}", settings) for place in range(1, len(record.kinds) + 1)]
        if len(record.columns) != len(parts) or [part.kind for part in parts] != record.kinds:
            raise ModelFolderError(f"{folder / _FILE} is damaged: its inputs are not those in the folders beside it")
        return cls(record.columns, parts)


class _Record(msgspec.Struct):
    columns: Annotated[list[str], msgspec.Meta(min_length=2, max_length=16)]
    kinds: Annotated[list[str], msgspec.Meta(min_length=2, max_length=16)]
