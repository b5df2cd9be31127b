"""Fitted state of a forecaster: clock, windows, scaling and last steps of each series, correction of quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np

from unspool.data import Clock, Series, SeriesTable, calendar_features
from unspool.data.times import Resolution, Unit
from unspool.errors import DataError, ModelFolderError, counted, option
from unspool.inputs.series.windows import Numbers, Scaling, WindowSet, covariate_features, scaling_of
from unspool.reading import read_json
from unspool.tasks.contracts import Fitted
from unspool.tasks.forecast.correction import Correction
from unspool.tasks.forecast.data import SeriesExamples
from unspool.tasks.forecast.settings import ForecasterSettings
from unspool.writing import replace_file

__all__ = ["FittedForecaster", "num_steps"]

_FILE = "series.json"


@dataclass
class FittedForecaster(Fitted):
    """State that a forecaster learns besides its weights."""

    clock: Clock
    channels: tuple[str, ...]
    covariates: tuple[str, ...]
    """Columns known for the future as well."""
    calendar: tuple[str, ...]
    """Calendar features that the network reads."""
    covariate_scaling: tuple[Numbers, Numbers]
    """Mean and deviation of the known columns, (covariates,) each."""
    horizon: int
    lookback: int
    segment: int
    season: int
    scalings: dict[str, Scaling]
    """Scaling of each series by its id."""
    ends: list[Series]
    """The last steps of each series, from which `predict` goes on without input."""
    correction: Correction | None = None
    """Correction of the quantiles by the validation data."""
    reads_files: bool = True
    """Whether a text may be the path of a file on this machine."""

    @classmethod
    def learn(cls, examples: SeriesExamples, settings: ForecasterSettings) -> Self:
        """Choose the windows, and compute the scaling of each series; see `Fitted.learn`."""
        table, horizon, season = examples.table, examples.horizon, examples.season
        train = [each.values[:end] for each, end in zip(table.series, examples.end, strict=True)]
        shortest = min(range(len(train)), key=lambda place: len(train[place]))
        most = len(train[shortest]) - horizon
        lookback = settings.series.lookback or max(1, min(max(3 * season, 2 * horizon), 2 * most // 3))
        if lookback > most:
            raise DataError(
                f"{table.series[shortest]} has {counted(len(train[shortest]), 'steps')} for training, and a look-back "
                f"of {lookback} with a horizon of {horizon} needs {lookback + horizon}; take a smaller "
                f"{option('lookback', None)} or {option('horizon', None)}, or longer series",
                table.series[shortest].where or None,
            )
        scalings = {}
        for series, values in zip(table.series, train, strict=True):
            scalings[series.id] = scaling_of(values, season)
            _refuse_constant(series, values, table.channels)
        covariates = np.concatenate(
            [each.covariates[:end] for each, end in zip(table.series, examples.end, strict=True)]
        )
        with np.errstate(invalid="ignore"):
            deviation = (
                np.nanstd(covariates, axis=0)
                if len(covariates) and covariates.shape[1]
                else np.ones(covariates.shape[1])
            )
            mean = (
                np.nanmean(covariates, axis=0)
                if len(covariates) and covariates.shape[1]
                else np.zeros(covariates.shape[1])
            )
        first = table.series[0]
        names = calendar_features(table.clock, table.clock.times(first.start, 0, 2)) if settings.series.calendar else {}
        calendar = tuple(name for name in names if _cycle_fits(name, table.clock, max(map(len, train))))
        learned = cls(
            table.clock,
            table.channels,
            table.covariates,
            calendar,
            (mean, np.where(deviation > 0, deviation, 1.0)),
            horizon,
            lookback,
            settings.network.segment or _segment_of(season, lookback, horizon),
            season,
            scalings,
            [],
        )
        learned.remember_ends(table)
        return learned

    def remember_ends(self, table: SeriesTable) -> None:
        """Store the last steps of each series."""
        count = self.lookback + 2 * self.season
        self.ends = [each.part(max(0, len(each) - count), len(each), self.clock) for each in table.series]

    def scaling(self, series: Series) -> Scaling:
        """Return the scaling of a series: that of training, or of a new series its own."""
        return self.scalings.get(series.id) or scaling_of(series.values, self.season)

    def windows(self, examples: SeriesExamples) -> WindowSet:
        """Cut examples into windows.

        Raises:
            DataError: If a series is shorter than a look-back and a horizon.
        """
        self.refuse_short(examples.series, self.horizon)
        scalings = [self.scaling(each) for each in examples.series]
        covariates = [self.covariates_of(each, len(each)) for each in examples.series]
        ranges = list(zip(examples.begin, examples.end, strict=True))
        return WindowSet.of(examples.series, scalings, covariates, ranges, lookback=self.lookback, horizon=self.horizon)

    def to_come(self, series: Sequence[Series], horizon: int, clock: Clock | None = None) -> WindowSet:
        """Return one window for each channel of each series: the steps after its end.

        Args:
            series: The series; known columns of the steps to come follow their values, see `with_future`.
            horizon: Steps to forecast.
            clock: Clock of the series; that of training if omitted.
        """
        ended = [each.part(0, num_steps(each), clock or self.clock) for each in series]
        self.refuse_short(ended, 0)
        scalings = [self.scaling(each) for each in ended]
        covariates = [
            self.covariates_of(each, len(end) + horizon, clock) for each, end in zip(series, ended, strict=True)
        ]
        return WindowSet.of(
            ended, scalings, covariates, [(0, 0)] * len(ended), lookback=self.lookback, horizon=horizon, to_come=True
        )

    def covariates_of(self, series: Series, steps: int, clock: Clock | None = None) -> Any:
        """Return calendar features and known columns of a series, (steps, features); see `covariate_features`."""
        return covariate_features(series, clock or self.clock, self.calendar, self.covariate_scaling, steps)

    @property
    def num_covariates(self) -> int:
        """Number of calendar features and known columns."""
        return len(self.calendar) + len(self.covariates)

    def refuse_short(self, series: Sequence[Series], horizon: int) -> None:
        """Refuse series shorter than a look-back and a horizon.

        Raises:
            DataError: The message holds the place of the first one.
        """
        for each in series:
            if len(each) < self.lookback + horizon:
                needs = f"look-back of {self.lookback}" + f" and a horizon of {horizon}" * bool(horizon)
                steps = counted(len(each), "steps")
                raise DataError(
                    f"{each} has {steps}; the model needs {self.lookback + horizon}, for a {needs}",
                    each.where or None,
                )

    def refuse_files(self) -> None:
        """See `Fitted.refuse_files`."""
        self.reads_files = False

    def restart(self, train: Any, held_out: Any) -> Self:
        """Forget the correction of the quantiles."""
        self.correction = None
        return self

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        record = _Record(
            unit=self.clock.unit,
            count=self.clock.every,
            resolution=self.clock.resolution,
            channels=list(self.channels),
            covariates=list(self.covariates),
            calendar=list(self.calendar),
            covariate_mean=self.covariate_scaling[0].tolist(),
            covariate_deviation=self.covariate_scaling[1].tolist(),
            sizes=[self.horizon, self.lookback, self.segment, self.season],
            scalings={name: [_listed(part) for part in each] for name, each in self.scalings.items()},
            ends=[
                _End(each.id, int(each.start.astype("M8[s]").astype(int)), _table(each.values), _table(each.covariates))
                for each in self.ends
            ],
            factors=None if self.correction is None else self.correction.factors.tolist(),
            offsets=None if self.correction is None else self.correction.offsets.tolist(),
        )
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """See `Fitted.load`."""
        record = read_json(folder / _FILE, _Record, "the state of the series")
        width, covariates = len(record.channels), len(record.covariates)
        tables = [each.values for each in record.ends]
        whole = (
            len(record.sizes) == 4
            and min(record.sizes) > 0
            and max(record.sizes) <= 1_000_000
            and width > 0
            and len(record.covariate_mean) == len(record.covariate_deviation) == covariates
            and all(len(part) == width for each in record.scalings.values() for part in each)
            and all(len(each) == 3 for each in record.scalings.values())
            and all(len(row) == width for rows in tables for row in rows)
            and all(len(row) == covariates for each in record.ends for row in each.covariates)
        )
        if not whole:
            raise ModelFolderError(f"{folder / _FILE}: the state of the series is damaged: its parts differ in size")
        horizon, lookback, segment, season = record.sizes
        clock = Clock(record.unit, record.count, record.resolution)
        unknown = set(record.calendar) - set(calendar_features(clock, clock.times(np.datetime64(0, "s"), 0, 2)))
        if unknown:
            raise ModelFolderError(f"{folder / _FILE}: {min(unknown)!r} is no calendar feature of steps {clock.name}")
        ends = [
            Series(
                each.id, np.datetime64(each.start, "s"), _array(each.values, width), _array(each.covariates, covariates)
            )
            for each in record.ends
        ]
        levels = len(settings.levels)
        return cls(
            clock,
            tuple(record.channels),
            tuple(record.covariates),
            tuple(record.calendar),
            (np.array(record.covariate_mean), np.array(record.covariate_deviation)),
            horizon,
            lookback,
            segment,
            season,
            {name: Scaling(*(_array([part], width)[0] for part in each)) for name, each in record.scalings.items()},
            ends,
            Correction.of(record.factors, record.offsets, levels, folder / _FILE),
        )


class _End(msgspec.Struct):
    id: str
    start: Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)]
    """Seconds since 1970, or a number of steps."""
    values: list[list[float | None]]
    covariates: list[list[float | None]]


class _Record(msgspec.Struct):
    unit: Unit
    count: Annotated[int, msgspec.Meta(ge=1, le=10**10)]
    resolution: Resolution
    channels: list[str]
    covariates: list[str]
    calendar: list[str]
    covariate_mean: list[float]
    covariate_deviation: list[float]
    sizes: list[int]
    """Horizon, look-back, segment and season."""
    scalings: dict[str, list[list[float | None]]]
    ends: list[_End]
    factors: list[list[float]] | None = None
    offsets: list[list[float]] | None = None


def _listed(values: Numbers) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _table(values: Numbers) -> list[list[float | None]]:
    return [_listed(row) for row in values]


def _array(rows: Sequence[Sequence[float | None]], width: int) -> Numbers:
    return np.array([[np.nan if cell is None else cell for cell in row] for row in rows], float).reshape(
        len(rows), width
    )


def num_steps(series: Series) -> int:
    """Return the number of steps of a series up to its last value."""
    seen = np.flatnonzero(~np.isnan(series.values).all(1))
    return int(seen[-1]) + 1 if len(seen) else 0


def _refuse_constant(series: Series, values: Numbers, channels: Sequence[str]) -> None:
    for place, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        if not len(seen):
            raise DataError(
                f"{series} has no values in {channels[place]!r} before the held-out steps", series.where or None
            )
        if (seen == seen[0]).all():
            raise DataError(
                f"{series} is constant in {channels[place]!r}: all training values are {seen[0]:g}; leave it out",
                series.where or None,
            )


def _segment_of(season: int, lookback: int, horizon: int) -> int:
    """Return the steps of a segment: the largest divisor of a season that leaves three segments or more."""
    most = max(1, min(horizon, lookback // 3, 48))
    parts = [part for part in range(1, most + 1) if season % part == 0] if season > 1 else [min(most, 8)]
    return max(parts)


_CYCLE_SECONDS = {"minute of the hour": 3600, "hour": 86_400, "weekday": 604_800, "day of the month": 2_629_746}


def _cycle_fits(name: str, clock: Clock, steps: int) -> bool:
    """Whether training data see a calendar's cycle twice at least."""
    units = {"second": 1, "business day": 121_000, "month": 2_629_746, "step": 0}
    return steps * clock.every * units[clock.unit] >= 2 * _CYCLE_SECONDS.get(name.partition(" ")[2], 31_556_952)
