"""Numeric feature vectors as input: standardisation by the mean and standard deviation of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import Vectors
from unspool.data.batches import Labelled, with_targets
from unspool.data.rows import Row
from unspool.data.vectors import is_number, vector_of
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs.contract import Encoder, FittedInput
from unspool.layers import FeedForward
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["FittedVectors", "VectorEmbedding", "VectorExamples"]

Vector = Sequence[float]

_FILE = "vectors.json"
_ROW = 128
# A row counts as 128 tokens of `batch_tokens`: 16 rows per batch by default. Validation accuracy on handwritten digits,
# 15 epochs, three seeds: 97.8, 97.6 and 96.5 % with 8, 16 and 32 rows.


@dataclass(frozen=True, eq=False)
class VectorExamples:
    """Standardised vectors with their targets."""

    vectors: NDArray[np.float32]
    """(examples, features)."""
    targets: NDArray[Any] | None = None
    """Label ids, integers (examples,); for several labels, 0 or 1, (examples, labels)."""

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each example in the batch budget, int64 (examples,): 128 tokens."""
        return np.full(len(self), _ROW, np.int64)

    def batch(self, indices: NDArray[np.int64]) -> Vectors | Labelled:
        """Return the examples at `indices` as one batch; `Labelled` if there are targets."""
        return with_targets(Vectors(torch.from_numpy(self.vectors[indices])), self.targets, indices)


class VectorEmbedding(nn.Module):
    """Embedding that turns each vector into a sequence of one step."""

    def forward(self, batch: Vectors) -> Tensor:
        """Add a time dimension of length 1: (batch, features) to (1, batch, features)."""
        return batch.values.unsqueeze(0)


class FittedVectors(FittedInput[Vector]):
    """Numeric vectors, standardised by the mean and standard deviation of the training data.

    Args:
        columns: Names of the columns.
        mean: Mean of each column in the training data, (features,).
        deviation: Standard deviation of each column, above 0, (features,); 1 for constant columns.
    """

    kind: ClassVar[str] = "vectors"

    def __init__(self, columns: Sequence[str], mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        self._columns, self.mean, self.deviation = tuple(columns), mean, deviation

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the numbers."""
        return self._columns

    @classmethod
    def learn(cls, values: Sequence[Vector], columns: Sequence[str], settings: Any) -> Self:
        """Compute the mean and standard deviation of each column; see `FittedInput.learn`."""
        widths = {len(value) for value in values}
        if len(widths) != 1:
            raise DataError(
                f"rows of {', '.join(map(str, sorted(widths)))} numbers came; expected the same number in each row"
            )
        table = np.asarray(values, np.float64)
        if len(columns) != table.shape[1]:  # a list of numbers in one column
            columns = [str(number) for number in range(1, table.shape[1] + 1)]
        deviation = table.std(axis=0)
        return cls(columns, table.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def value(self, value: Any, where: str) -> tuple[float, ...]:
        """Convert a row of numbers, a mapping by column name, or a string of numbers with commas or blanks between."""
        if isinstance(value, str):
            value = value.replace(",", " ").replace(";", " ").split()
        elif isinstance(value, Mapping):
            return vector_of(Row(where, dict(value)), self.columns)
        elif isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple) or not all(map(is_number, value)):
            raise DataError(f"{value!r:.60} came; expected {len(self.columns)} finite numbers", where)
        if len(value) != len(self.columns):
            raise DataError(f"{len(value)} numbers came; expected {len(self.columns)}, one for each column", where)
        return tuple(map(float, value))

    def text(self, value: Vector) -> str:
        """Join the numbers with commas; see `FittedInput.text`."""
        return ",".join(f"{number:g}" for number in value)

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one row: a string, a mapping, or a flat sequence of numbers."""
        if isinstance(values, np.ndarray):
            return values.ndim == 1
        return isinstance(values, str | Mapping) or (
            isinstance(values, list | tuple) and bool(values) and all(isinstance(each, int | float) for each in values)
        )

    def encode(self, values: Sequence[Vector], where: Sequence[str]) -> VectorExamples:
        """Standardise vectors; see `FittedInput.encode`."""
        return VectorExamples(self._standardised(values, where))

    def _standardised(self, values: Sequence[Vector], where: Sequence[str]) -> NDArray[np.float32]:
        for value, place in zip(values, where, strict=True):
            if len(value) != len(self.columns):
                raise DataError(f"{len(value)} numbers came; expected {len(self.columns)}, one for each column", place)
        table = np.asarray(values, np.float64).reshape(len(values), len(self.columns))
        standardised: NDArray[np.float32] = ((table - self.mean) / self.deviation).astype(np.float32)
        return standardised

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build a feed-forward network.

        Raises:
            SettingError: If `network` is neither feedforward nor auto.
        """
        if network.network not in ("auto", "feedforward"):
            raise SettingError(
                f"network = {network.network} reads texts, and these data are rows of numbers: "
                f"expected feedforward, or auto"
            )
        stack = FeedForward(len(self.columns), network.hidden, num_layers=network.layers, dropout=network.dropout)
        return Encoder(VectorEmbedding(), stack, stack.output_size, "last", drops_inputs=False)

    def positions(self, value: Vector) -> tuple[str, ...]:
        """Return the label of the single step."""
        return ("row",)

    def features(self, values: Sequence[Vector]) -> NDArray[np.float32]:
        """Return the standardised numbers, (values, features)."""
        return self._standardised(values, [""] * len(values))

    def summary(self) -> str:
        """Return the number of columns, in words."""
        return f"{len(self.columns)} numbers"

    def save(self, folder: Path) -> None:
        """Write `vectors.json` into a folder."""
        record = _Record(list(self.columns), self.mean.tolist(), self.deviation.tolist())
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the list of columns")
        if not record.columns or not len(record.columns) == len(record.mean) == len(record.deviation):
            raise ModelFolderError(f"{folder / _FILE}: the list of columns is damaged: its parts differ in length")
        return cls(record.columns, np.array(record.mean), np.array(record.deviation))


class _Record(msgspec.Struct):
    columns: list[str]
    mean: list[Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]]
    deviation: list[Annotated[float, msgspec.Meta(gt=0, le=1e300)]]
