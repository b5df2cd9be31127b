"""Matrices between two lists of tokens: where a network looked, for each thing that it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError, UsageError

__all__ = ["Map"]


@dataclass(frozen=True, eq=False, repr=False)
class Map:
    """A number for every pair of a row's token and a column's, such as attention.

    Args:
        values: (rows, columns); kept as a float32 copy that can't be written to.
        rows: The tokens that looked, such as the units written, with the end as an empty text.
        columns: The tokens that were looked at, such as the units read.

    Raises:
        ShapeError: If `values` does not have one row and one column for each token, or there is none.
        UsageError: If the tokens are no sequence of strings.
    """

    values: NDArray[np.float32]
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        for side in ("rows", "columns"):
            given: object = getattr(self, side)
            if not isinstance(given, list | tuple) or not all(isinstance(token, str) for token in given):
                raise UsageError(f"the {side} of a map are a sequence of strings, not {repr(given)[:80]}")
            object.__setattr__(self, side, tuple(given))
        values = np.array(self.values, dtype=np.float32, order="C")
        if values.shape != (len(self.rows), len(self.columns)) or not values.size:
            expected = f"({len(self.rows)}, {len(self.columns)})"
            raise ShapeError(f"a map's values came as {np.shape(self.values)}; its rows and columns need {expected}")
        values[np.isnan(values)] = np.nan  # one NaN, so that files give back equal bits
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def strongest(self, row: int, *, most: int = 3, least: float = 0.05) -> list[tuple[int, float]]:
        """Where one row looked: the columns of its largest values, largest first, with the values.

        Args:
            row: Which row, from 0.
            most: How many columns to name.
            least: The smallest value that is named; the largest of all is named even so.
        """
        values = np.where(np.isfinite(self.values[row]), self.values[row], -np.inf)
        order = np.argsort(-values, kind="stable")[:most]
        found = [(int(column), float(values[column])) for column in order if np.isfinite(values[column])]
        return [pair for number, pair in enumerate(found) if not number or pair[1] >= least]

    def __eq__(self, other: object) -> bool:
        """Whether everything is the same, the numbers to the bit."""
        if not isinstance(other, Map):
            return NotImplemented
        same = (self.rows, self.columns) == (other.rows, other.columns)
        return same and self.values.tobytes() == other.values.tobytes()

    __hash__: Any = None

    def __repr__(self) -> str:
        return f"Map of {len(self.rows)} rows by {len(self.columns)} columns"
