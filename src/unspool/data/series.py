"""Series of numbers over time, assembled from rows on a grid of times; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data.files import Layout
from unspool.data.times import NO_TIMES, Clock, ascending, find_clock
from unspool.errors import DataError

__all__ = ["Series", "SeriesRow", "SeriesTable"]

Numbers = NDArray[np.float64]


class SeriesRow(NamedTuple):
    """A time of a series, or a whole series if each row is one."""

    where: str
    id: str
    time: np.datetime64 | None
    resolution: str
    values: Numbers
    """The numbers, NaN where missing: (channels,), or (steps, channels) of a whole series."""
    covariates: Numbers
    """Numbers known for the future as well, (covariates,)."""


@dataclass(frozen=True, eq=False)
class Series:
    """A series of numbers on a grid of times."""

    id: str
    start: np.datetime64
    """Time of the first step."""
    values: Numbers
    """NaN where missing, (steps, channels)."""
    covariates: Numbers
    """Columns known for the future as well, (steps, covariates)."""
    where: str = ""
    """`file:line` of the first step."""

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return self.id or "the series"

    def part(self, first: int, last: int, clock: Clock) -> Series:
        """Return the steps from `first` to before `last`."""
        start = clock.later(self.start, first)
        return replace(self, start=start, values=self.values[first:last], covariates=self.covariates[first:last])

    def joined(self, other: Series, clock: Clock) -> Series | None:
        """Return this series continued by a later one, perhaps after a gap; None if the other begins earlier."""
        steps = clock.steps_between(self.start, other.start)
        if steps is None or steps < len(self):
            return None
        gap = steps - len(self)
        values, covariates = (
            np.concatenate([one, np.full((gap, one.shape[1]), np.nan), two])
            for one, two in ((self.values, other.values), (self.covariates, other.covariates))
        )
        return replace(self, values=values, covariates=covariates)


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Series that share channels and a clock."""

    series: list[Series]
    channels: tuple[str, ...]
    covariates: tuple[str, ...]
    clock: Clock
    gaps: int = 0
    """Steps without a row, whose numbers are missing."""

    @classmethod
    def of(cls, rows: Iterable[SeriesRow], layout: Layout, clock: Clock | None = None) -> Self:
        """Assemble series from rows.

        Args:
            rows: The rows; those of a series are in the order of time.
            layout: Layout that `series_rows` filled in.
            clock: The clock of earlier data; found if omitted.

        Raises:
            DataError: If times repeat, fall or are off the grid; the message holds `file:line`.
        """
        by_id: dict[str, list[SeriesRow]] = {}
        for row in rows:
            by_id.setdefault(row.id, []).append(row)
        channels, names = layout.values, layout.columns.get("known")
        covariates = tuple(names.split(",")) if names else ()
        if layout.columns.get("layout") == "rows":
            return cls([_whole(each) for each in by_id.values()], channels, covariates, clock or NO_TIMES)
        clock = clock or _clock_of(by_id)
        series, gaps = [], 0
        for each in by_id.values():
            one = _on_grid(each, clock)
            gaps += len(one) - len(each)
            series.append(one)
        return cls(series, channels, covariates, clock, gaps)


def _clock_of(by_id: Mapping[str, Sequence[SeriesRow]]) -> Clock:
    longest = max(by_id.values(), key=len)
    if longest[0].time is None:
        return NO_TIMES
    resolution = longest[0].resolution
    where = [row.where for row in longest]
    times = np.array([row.time for row in longest], "M8[s]")
    writer = Clock("second", 1, resolution)  # type: ignore[arg-type]
    ascending(times, writer.text, where, longest[0].id)
    if len(times) < 2:
        raise DataError("the longest series has one step; expected at least two", where[0])
    return find_clock(times, resolution, where)


def _whole(rows: Sequence[SeriesRow]) -> Series:
    """Return the series of one row."""
    if len(rows) > 1:
        raise DataError(f"series {rows[0].id!r} came twice; expected one row for each series", rows[1].where)
    row = rows[0]
    values = row.values if row.values.ndim == 2 else row.values[:, None]
    return Series(row.id, np.datetime64(0, "s"), values, np.zeros((len(values), 0)), row.where)


def _on_grid(rows: Sequence[SeriesRow], clock: Clock) -> Series:
    """Place the rows of a series on the grid of times; times without a row are missing."""
    first = rows[0]
    values, covariates = np.stack([row.values for row in rows]), np.stack([row.covariates for row in rows])
    if first.time is None:
        return Series(first.id, np.datetime64(0, "s"), values, covariates, first.where)
    times, where = np.array([row.time for row in rows], "M8[s]"), [row.where for row in rows]
    ascending(times, clock.text, where, first.id)
    steps = [clock.steps_between(times[0], time) for time in times]
    if None in steps:
        place = steps.index(None)
        raise DataError(
            f"{clock.text(times[place])} is off the grid that begins at {clock.text(times[0])}, {clock.name}; "
            f"resample the series first",
            where[place],
        )
    places = np.array(steps, np.int64)
    grid = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    known_grid = np.full((len(grid), covariates.shape[1]), np.nan)
    grid[places], known_grid[places] = values, covariates
    return Series(first.id, times[0], grid, known_grid, first.where)
