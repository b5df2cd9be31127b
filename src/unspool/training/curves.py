"""Curves of a training run over updates, and their envelopes for any number of pixel columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import UsageError

__all__ = ["Curve", "Envelope"]

Numbers = NDArray[np.float64]
Updates = NDArray[np.int64]


class Envelope(NamedTuple):
    """Extremes of a curve in columns of equal width; a spike of one update stays visible in any number of columns."""

    updates: Numbers
    """Update at the centre of each column, (columns,)."""
    low: Numbers
    """Minimum of the finite values in each column, (columns,); NaN without one."""
    high: Numbers
    """Maximum of the finite values in each column, (columns,); NaN without one."""
    last: Numbers
    """Last finite value in each column, (columns,); NaN without one."""
    not_finite: NDArray[np.int64]
    """Number of values in each column that are not finite, (columns,)."""

    def joined(self) -> Envelope:
        """Return the envelope with empty columns between two values filled by straight lines."""
        filled = [_interpolated(values) for values in (self.low, self.high, self.last)]
        return self._replace(low=filled[0], high=filled[1], last=filled[2])

    def record(self) -> dict[str, list[Any]]:
        """Return lists of JSON values; a number that is not finite is None."""
        lists = {name: _plain(getattr(self, name)) for name in ("updates", "low", "high", "last")}
        return {**lists, "not_finite": self.not_finite.tolist()}


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """One quantity over the updates of a run.

    Args:
        name: Such as `training loss` or `validation nats`.
        updates: Updates of the values, rising, int64 (points,).
        values: float64 (points,); NaN where the log has null, which stands for a number that is not finite.
    """

    name: str
    updates: Updates
    values: Numbers

    @property
    def last(self) -> float:
        """The last finite value; NaN without one."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite[-1]) if len(finite) else float("nan")

    @property
    def not_finite(self) -> Updates:
        """Updates whose value is not finite, int64."""
        return self.updates[~np.isfinite(self.values)]

    def envelope(self, columns: int, first: float | None = None, last: float | None = None) -> Envelope:
        """Return the extremes in columns of equal width.

        Args:
            columns: Number of columns, at least 1.
            first: Update at the left edge; the first of the curve if omitted.
            last: Update at the right edge; the last of the curve if omitted.

        Raises:
            UsageError: If there is no column.
        """
        if columns < 1:
            raise UsageError(f"{columns} columns: expected at least 1")
        left = float(self.updates[0] if first is None and len(self.updates) else first or 0.0)
        right = float(self.updates[-1] if last is None and len(self.updates) else last or left)
        edges = np.linspace(left, max(right, left), columns + 1)
        starts = np.searchsorted(self.updates, edges, side="left")
        starts[-1] = np.searchsorted(self.updates, edges[-1], side="right")  # the last column includes its edge
        return Envelope((edges[:-1] + edges[1:]) / 2, *_extremes(self.values, starts))

    def __repr__(self) -> str:
        return f"<Curve {self.name!r} of {len(self.updates):,} points>"


def _extremes(values: Numbers, starts: NDArray[np.int64]) -> tuple[Numbers, Numbers, Numbers, NDArray[np.int64]]:
    """Return minimum, maximum and last finite value, and the number of others, between each start and the next."""
    columns = len(starts) - 1
    low, high, last = (np.full(columns, np.nan) for _ in range(3))
    bad = np.concatenate([[0], np.cumsum(~np.isfinite(values))])
    not_finite = bad[starts[1:]] - bad[starts[:-1]]
    filled = np.flatnonzero(starts[1:] > starts[:-1])
    if len(filled):
        part = np.where(np.isfinite(values), values, np.nan)[: starts[-1]]
        low[filled] = np.fmin.reduceat(part, starts[filled])
        high[filled] = np.fmax.reduceat(part, starts[filled])
        places = np.flatnonzero(np.isfinite(part))
        newest = np.searchsorted(places, starts[1:]) - 1
        inside = (newest >= 0) & (places[np.maximum(newest, 0)] >= starts[:-1]) if len(places) else newest >= 0
        last[inside] = part[places[newest[inside]]]
    return low, high, last, not_finite


def _interpolated(values: Numbers) -> Numbers:
    places = np.flatnonzero(np.isfinite(values))
    if not len(places):
        return values
    return np.interp(np.arange(len(values)), places, values[places], left=np.nan, right=np.nan)


def _plain(values: Numbers) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
