"""Smaller weights: rounded to 8 bits by row, or to 4 bits in groups of 32 with an offset."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from unspool.ship.sheet import SumRows
from unspool.ship.step_graph import StepGraph

__all__ = ["GROUP", "Rounded", "Small", "round_matrix", "round_to_int4", "round_to_int8", "rounded_sheet"]

Small = Literal["int8", "int4"]
"""Rounding of weights."""

GROUP = 32
"""Numbers of a row that share a scale and an offset at 4 bits."""


@dataclass(frozen=True, eq=False)
class Rounded:
    """A matrix of small whole numbers: `values * scales + offsets`, each scale for one row or one group of a row.

    At 8 bits `values` are int8 within ±127, (rows, columns), `scales` (rows, 1), and there are no offsets. At 4 bits
    `values` are uint8 within 0 to 15, not packed, and `scales` and `offsets` are (rows, groups), a group being 32
    columns; the last one may be shorter.
    """

    bits: int
    values: NDArray[np.int8] | NDArray[np.uint8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.float32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.values.shape
        return rows, columns

    @property
    def nbytes(self) -> int:
        """Bytes that the matrix takes in a file: values packed, scales and offsets as float32."""
        rows, columns = self.shape
        bits = rows * columns if self.bits == 8 else rows * ((columns + 1) // 2)
        return bits + self.scales.nbytes + (0 if self.offsets is None else self.offsets.nbytes)

    def dense(self) -> NDArray[np.float32]:
        """Return the numbers that stand for the original ones, float32 (rows, columns)."""
        rows, columns = self.shape
        values = self.values.astype(np.float32)
        if self.offsets is None:
            return values * self.scales
        groups = self.scales.shape[1]
        padded = np.zeros((rows, groups * GROUP), np.float32)
        padded[:, :columns] = values
        blocks = padded.reshape(rows, groups, GROUP) * self.scales[..., None] + self.offsets[..., None]
        return np.ascontiguousarray(blocks.reshape(rows, -1)[:, :columns])

    def packed(self) -> NDArray[np.uint8]:
        """Return the values as bytes, row after row; at 4 bits two to a byte, the first in the lower half."""
        if self.bits == 8:
            return np.ascontiguousarray(self.values).view(np.uint8).ravel()
        rows, columns = self.shape
        padded = np.zeros((rows, (columns + 1) // 2 * 2), np.uint8)
        padded[:, :columns] = self.values
        return (padded[:, 0::2] | (padded[:, 1::2] << 4)).astype(np.uint8).ravel()


def round_to_int8(matrix: NDArray[np.float32]) -> Rounded:
    """Round each row of a matrix to whole numbers within ±127 times a scale; the largest number is exact.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1, symmetric and by row.
    """
    scales = (np.abs(matrix).max(axis=1, keepdims=True) / 127).astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 1.0
    values = np.clip(np.rint(matrix / scales), -127, 127).astype(np.int8)
    return Rounded(8, values, scales)


_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
"""Ranges of a group that are tried, as shares of the range of its numbers."""


def round_to_int4(matrix: NDArray[np.float32]) -> Rounded:
    """Round groups of 32 numbers of each row to whole numbers 0 to 15 times a scale, plus an offset.

    The range of each group is the one of `_SHARES` with the smallest sum of squared errors.

    Source: Dettmers and Zettlemoyer 2023, arXiv:2212.09720, section 2: small blocks, and asymmetric rounding.
    """
    rows, columns = matrix.shape
    groups = -(-columns // GROUP)
    padded = np.concatenate([matrix, np.repeat(matrix[:, -1:], groups * GROUP - columns, axis=1)], axis=1)
    blocks = padded.reshape(rows, groups, GROUP)
    low, high = blocks.min(axis=2), blocks.max(axis=2)
    scales, offsets = np.ones_like(low), low.copy()
    values, errors = np.zeros(blocks.shape, np.uint8), np.full(low.shape, np.inf, np.float32)
    for share in _SHARES:  # a narrower range is finer, and cuts the numbers at its ends
        margin = (high - low) * np.float32((1 - share) / 2)
        scale, offset = (high - low - 2 * margin) / 15, low + margin
        scale[scale < np.finfo(np.float32).tiny] = 1.0
        rounded = np.clip(np.rint((blocks - offset[..., None]) / scale[..., None]), 0, 15)
        error = np.square(rounded * scale[..., None] + offset[..., None] - blocks).sum(axis=2)
        better = error < errors
        errors, scales, offsets = (
            np.where(better, new, old) for new, old in ((error, errors), (scale, scales), (offset, offsets))
        )
        values[better] = rounded[better]
    return Rounded(4, np.ascontiguousarray(values.reshape(rows, -1)[:, :columns]), scales, offsets)


def round_matrix(matrix: NDArray[np.float32], small: Small) -> Rounded:
    """Round a matrix, (out, in) or a table, to 8 bits by row or to 4 bits in groups."""
    return round_to_int8(matrix) if small == "int8" else round_to_int4(matrix)


T = TypeVar("T")

_ROUNDED = ("weight", "table", "keys", "vectors", "key_vectors")
"""Names of the matrices and tables of operations."""


def rounded_sheet(part: T, small: Small) -> T:
    """Return a sheet, or a part of one, whose matrices and tables are the numbers that rounded ones stand for.

    Biases, norms, and scores of transitions keep their numbers. A matrix (depth, width) of a cell's step is rounded by
    column; the table of a `SumRows` by column and to 8 bits at most, since its rows are short.
    """
    rounded: Any = _rounded_parts(part, small)
    result: T = rounded
    return result


def _rounded_parts(part: Any, small: Small) -> Any:
    if isinstance(part, StepGraph):
        matrices = tuple(_dense(matrix.T, small).T for matrix in part.matrices)
        return replace(part, matrices=tuple(map(np.ascontiguousarray, matrices)))
    if isinstance(part, SumRows):
        return replace(part, table=np.ascontiguousarray(_dense(part.table.T, "int8").T))
    if isinstance(part, tuple):
        return tuple(_rounded_parts(each, small) for each in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            if field.name in _ROUNDED and value.ndim > 1 and type(part).__name__ != "Positions":
                changes[field.name] = _dense(value, small)
        elif is_dataclass(value) or isinstance(value, tuple):
            changes[field.name] = _rounded_parts(value, small)
    return replace(part, **changes)


def _dense(matrix: NDArray[np.float32], small: Small) -> NDArray[np.float32]:
    """Round a matrix, or a convolution (out, in, kernel) in the order (kernel, in), and return what it stands for."""
    flat = np.moveaxis(matrix, 1, -1) if matrix.ndim == 3 else matrix
    dense = round_matrix(np.ascontiguousarray(flat).reshape(len(flat), -1), small).dense().reshape(flat.shape)
    return np.ascontiguousarray(np.moveaxis(dense, -1, 1) if matrix.ndim == 3 else dense)
