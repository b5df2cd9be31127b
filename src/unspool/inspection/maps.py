"""Maps: matrices between two lists of tokens, such as attention weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError, UsageError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from rich.console import Console

    from unspool.inspection.columns import Columns
    from unspool.inspection.trace import Trace

__all__ = ["Map"]


@dataclass(frozen=True, eq=False, repr=False)
class Map:
    """Matrix between two lists of tokens, such as attention weights.

    Args:
        values: (rows, columns), stored as a read-only float32 copy.
        rows: Tokens of the rows, such as output units; an empty text for the end.
        columns: Tokens of the columns, such as input units.

    Raises:
        ShapeError: If `values` does not have one row and one column per token, or is empty.
        UsageError: If the tokens are not a list or tuple of strings.
    """

    values: NDArray[np.float32]
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        for side in ("rows", "columns"):
            tokens: object = getattr(self, side)
            if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) for token in tokens):
                raise UsageError(f"the {side} of a map are a sequence of strings, not {repr(tokens)[:80]}")
            object.__setattr__(self, side, tuple(tokens))
        values = np.array(self.values, dtype=np.float32, order="C")
        if values.shape != (len(self.rows), len(self.columns)) or not values.size:
            expected = f"({len(self.rows)}, {len(self.columns)})"
            raise ShapeError(f"a map's values have shape {np.shape(self.values)}; its rows and columns need {expected}")
        values[np.isnan(values)] = np.nan  # a single NaN pattern, so that files read back equal bits
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def strongest(self, row: int, *, most: int = 3, least: float = 0.05) -> list[tuple[int, float]]:
        """Return the columns of the largest values of one row, with the values, largest first.

        Args:
            row: Index of the row, from 0.
            most: Maximum number of columns.
            least: Minimum value; the largest value is returned in any case.
        """
        values = np.where(np.isfinite(self.values[row]), self.values[row], -np.inf)
        order = np.argsort(-values, kind="stable")[:most]
        pairs = [(int(column), float(values[column])) for column in order if np.isfinite(values[column])]
        return [pair for number, pair in enumerate(pairs) if not number or pair[1] >= least]

    def show(self, console: Console | None = None) -> None:
        """Display the map in a notebook, or print it in a terminal.

        Args:
            console: Console to print to, also from a notebook; if omitted, the notebook or the standard output.
        """
        from unspool.inspection.notebook import show_result
        from unspool.inspection.terminal import show

        show_result(self, console, lambda console: show(self._trace(), console))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file .json, .npz, .csv, .html or .svg, as a trace whose only map is `map`; see `write_trace`."""
        from unspool.inspection.files import write_trace

        return write_trace(self._trace(), path, overwrite=overwrite)

    def to_columns(self) -> Columns:
        """Return columns for a data frame with one row per cell: `pandas.DataFrame(matrix.to_columns())`.

        The columns are `row`, `row token`, `column`, `column token` and `value`; rows and columns count from 0.
        """
        from unspool.inspection.columns import map_columns

        return map_columns(self)

    def _repr_html_(self) -> str:
        from unspool.inspection.notebook import trace_html

        return trace_html(self._trace(), "map")

    def _trace(self) -> Trace:
        """Return a trace that holds the map alone, for its views and files; its model line is the size of the map."""
        from unspool.inspection.trace import Trace

        return Trace(self.rows, {}, model=repr(self), maps={"map": self})

    def __eq__(self, other: object) -> bool:
        """Return whether both maps are equal, values bit by bit."""
        if not isinstance(other, Map):
            return NotImplemented
        same = (self.rows, self.columns) == (other.rows, other.columns)
        return same and self.values.tobytes() == other.values.tobytes()

    __hash__: Any = None

    def __repr__(self) -> str:
        return f"Map of {len(self.rows)} rows by {len(self.columns)} columns"
