"""Data of the task `forecast`: series from tables or memory, divided by time; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    Clock,
    DataSource,
    Layout,
    Reader,
    RowsInMemory,
    Sample,
    Series,
    SeriesRow,
    SeriesTable,
    parse_time,
    read_rows,
    season_of,
    series_rows,
)
from unspool.data.files import suffix_of
from unspool.data.series_names import ID_NAMES, TIME_NAMES
from unspool.errors import DataError, SettingError, option
from unspool.tasks.contracts import Examples
from unspool.tasks.forecast.settings import ForecasterSettings
from unspool.tasks.parts.data_settings import table_options
from unspool.tasks.running.splits import paths_of

__all__ = ["SeriesExamples", "continued", "find_season", "open_data", "samples"]

_STRONG = 0.3  # autocorrelation of a season
_NEAR = 0.9  # of the strongest autocorrelation, for a shorter season
_LOOKED_AT = 4000  # steps of a series that are searched for a season


@dataclass(frozen=True, eq=False)
class SeriesExamples(Examples):
    """Series, and the steps of each that are to be forecast."""

    table: SeriesTable
    begin: tuple[int, ...]
    """First step to forecast of each series; earlier steps are read only."""
    end: tuple[int, ...]
    """Step after the last of each series."""
    horizon: int
    season: int
    split: str | None = None
    """Where validation and test begin; None: by shares."""
    whole: bool = True
    """Whether each series begins as in the training data."""

    @classmethod
    def of(cls, table: SeriesTable, settings: ForecasterSettings, season: int | None = None) -> Self:
        """Take whole series.

        Args:
            table: The series.
            settings: Settings of the task.
            season: Season of the model; found if omitted.
        """
        season = settings.series.season or season or season_of(table.clock) or find_season(table.series)
        horizon = settings.horizon or max(1, season)
        ends = tuple(map(len, table.series))
        return cls(table, (0,) * len(ends), ends, horizon, season, settings.data.split)

    @property
    def series(self) -> list[Series]:
        """All series, with the steps around those to forecast."""
        return self.table.series

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out the last share of each series, at least a horizon; see `Examples.divide`."""
        sizes = [end - begin for begin, end in zip(self.begin, self.end, strict=True)]
        return self._cut([end - max(round(n * fraction), self.horizon) for n, end in zip(sizes, self.end, strict=True)])

    def held_out(self, part: str) -> tuple[Self, Self] | None:
        """Split off the validation or test data that `split` names; see `Examples.held_out`."""
        if self.split is None:
            return None
        parts = [each.strip() for each in self.split.split(",")]
        if len(parts) == 3 and all(each.isdecimal() for each in parts):
            counts = list(map(int, parts))
            begins = [(counts[0] if part == "valid" else sum(counts[:2])) for _ in self.series]
            ends = [min(end, sum(counts[:2]) if part == "valid" else sum(counts)) for end in self.end]
            return replace(self, end=tuple(ends))._cut(begins)
        if len(parts) not in (1, 2):
            raise SettingError(
                f"split = {self.split!r}: expected three numbers of steps, or the first times of validation and test"
            )
        if len(parts) == 1 and part == "test":
            return None
        time = parse_time(parts[0 if part == "valid" else 1])[0]
        return self._cut([_step_of(each, time, self.table.clock) for each in self.series])

    def _cut(self, places: Sequence[int]) -> tuple[Self, Self]:
        """Divide each series at a step."""
        for series, place, begin, end in zip(self.series, places, self.begin, self.end, strict=True):
            if place - begin < self.horizon + 1 or end - place < self.horizon:
                raise DataError(
                    f"{series} has {end - begin} steps, too few to hold some out for a horizon of {self.horizon}; "
                    f"expected longer series, a shorter horizon, or {option('test_fraction', 0)}",
                    series.where or None,
                )
        return replace(self, end=tuple(places)), replace(self, begin=tuple(places))

    def sizes(self) -> dict[str, int]:
        """Return the number of series, if there are several, and of steps to forecast."""
        steps = sum(self.end) - sum(self.begin)
        several = {"series": len(self.series)} if len(self.series) > 1 else {}
        return {**several, "steps": steps}


def _step_of(series: Series, time: np.datetime64, clock: Clock) -> int:
    """Return the first step at or after a time."""
    times = clock.times(series.start, 0, len(series))
    return int(np.searchsorted(times, time))


def continued(table: SeriesTable, earlier: Sequence[Series]) -> tuple[SeriesTable, tuple[int, ...]]:
    """Put earlier series before those of a table that go on from there; without times, a series always goes on.

    Returns:
        The series, and the first new step of each.
    """
    before, clock = {each.id: each for each in earlier}, table.clock
    series, begins = [], []
    for each in table.series:
        end = before.get(each.id)
        if end is not None and clock.unit == "step":
            each = replace(each, start=clock.later(end.start, len(end)))
        joined = None if end is None else end.joined(each, clock)
        series.append(each if joined is None else joined)
        begins.append(len(series[-1]) - len(each))
    return replace(table, series=series), tuple(begins)


def find_season(series: Sequence[Series]) -> int:
    """Find the season of series without times: the first strong peak of the mean autocorrelation; 1 without one."""
    peaks: list[int] = []
    for each in series[:50]:
        for column in each.values[-_LOOKED_AT:].T:
            seen = np.flatnonzero(~np.isnan(column))
            if len(seen) >= 16:
                peaks.append(_season_of(np.interp(np.arange(len(column)), seen, column[seen])))
    found = np.bincount(peaks) if peaks else np.zeros(2)
    return max(1, int(found.argmax()))


def _season_of(values: NDArray[np.float64]) -> int:
    steps = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(steps, values, 1), steps)
    power = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2
    correlation = np.fft.irfft(power)[: len(rest) // 3]
    if len(correlation) < 4 or correlation[0] <= 0:
        return 1
    correlation = correlation / correlation[0] * len(rest) / (len(rest) - np.arange(len(correlation)))
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]) & (inner > _STRONG)) + 1
    if not len(peaks):
        return 1
    return int(peaks[correlation[peaks] >= _NEAR * correlation[peaks].max()][0])


def open_data(
    settings: ForecasterSettings,
    source: DataSource,
    before: Layout | None = None,
    *,
    skip_bad: bool | None = None,
    future: bool = False,
) -> Reader[SeriesRow]:
    """Open tables of series for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed rows; by the settings if omitted.
        future: Whether the source holds known columns alone, for times to come.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    if isinstance(source, RowsInMemory):
        rows = source.reader(skip_bad=options["skip_bad"])
    else:
        if options["format"] is None and all(suffix_of(path) == ".npy" for path in paths_of(source)):
            options["format"] = "npy"
        earlier = () if before is None else (*before.values, *before.columns_of("time", "id"))
        wanted = (*TIME_NAMES, *ID_NAMES, *(data.target or "").split(","), data.time, data.id, *earlier)
        names = {name for name in wanted if name and not name.isdecimal()}
        rows = read_rows(source, **options, names=names)
    return series_rows(
        rows,
        time=data.time,
        id=data.id,
        channels=data.target,
        covariates=data.known,
        layout=data.layout,
        before=before,
        future=future,
    )


def samples(rows: Iterable[SeriesRow]) -> Iterator[Sample]:
    """Convert rows to series, and these to samples for summaries and checks."""
    reader: Any = rows
    for series in SeriesTable.of(rows, reader.layout).series:
        yield Sample(series.where, (f"{series}: {len(series)} steps",), (), False)
