"""Windows over series: look-back and steps to forecast, gathered from flat arrays of scaled values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data import Clock, Series, SeriesWindows, calendar_features

__all__ = ["Scaling", "WindowSet", "covariate_features", "scaling_of"]

Numbers = NDArray[np.float64]


class Scaling(NamedTuple):
    """Mean and standard deviation of a series in the training data, and its error by the season before."""

    mean: Numbers
    """(channels,)"""
    deviation: Numbers
    """Population standard deviation, above 0, (channels,)."""
    seasonal: Numbers
    """Mean absolute difference to the value a season earlier, the scale of the MASE, (channels,); NaN without one."""


def scaling_of(values: Numbers, season: int) -> Scaling:
    """Return the scaling of values, (steps, channels), NaN where missing; the deviation of a constant channel is 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = ~np.isnan(values)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, values, 0).sum(0) / count
        deviation = np.sqrt(np.where(seen, np.square(values - mean), 0).sum(0) / count)
        differences = np.abs(values[season:] - values[:-season]) if len(values) > season else values[:0]
        there = ~np.isnan(differences)
        seasonal = np.where(there, differences, 0).sum(0) / np.where(there.any(0), there.sum(0), np.nan)
    return Scaling(mean, np.where(deviation > 0, deviation, 1.0), seasonal)


def covariate_features(
    series: Series, clock: Clock, calendar: Sequence[str], scaling: tuple[Numbers, Numbers], steps: int
) -> NDArray[np.float32]:
    """Return calendar features and standardised known columns of a series, (steps, features); 0 where missing.

    Args:
        series: The series.
        clock: Its clock.
        calendar: Names of the calendar features.
        scaling: Mean and deviation of the known columns, (covariates,) each.
        steps: Number of steps from its start, which may go beyond its end.
    """
    features = calendar_features(clock, clock.times(series.start, 0, steps)) if calendar else {}
    columns = [features[name] for name in calendar]
    covariates = np.full((steps, series.covariates.shape[1]), np.nan)
    covariates[: len(series)] = series.covariates[:steps]
    covariates = np.nan_to_num((covariates - scaling[0]) / scaling[1])
    return (
        np.column_stack([*columns, covariates]).astype(np.float32)
        if columns or covariates.shape[1]
        else np.zeros((steps, 0), np.float32)
    )


@dataclass(frozen=True, eq=False)
class WindowSet:
    """Windows of several series and channels, as an encoded data set of `SeriesWindows`."""

    values: NDArray[np.float32]
    """Scaled values of all sequences (a channel of a series each), one after another; 0 where missing, (total,)."""
    observed: NDArray[np.bool_]
    """Whether a value is there, (total,)."""
    covariates: NDArray[np.float32]
    """Known features of all series, one after another, (steps, features)."""
    lookback: int
    horizon: int
    origins: NDArray[np.int64]
    """Index in `values` of the first step to forecast of each window, (windows,)."""
    covariate_origins: NDArray[np.int64]
    """The same in `covariates`, (windows,)."""
    sequence: NDArray[np.int64]
    """Index of the sequence of each window, (windows,)."""
    channel: NDArray[np.int64]
    """Channel of each window, (windows,)."""

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ones: windows are equally long, and the batch size limits a batch, int64 (windows,)."""
        return np.ones(len(self), np.int64)

    @property
    def num_independent(self) -> float:
        """Number of windows of all sequences whose steps to forecast do not overlap."""
        counts = np.bincount(self.sequence)
        return float((1 + (counts[counts > 0] - 1) / self.horizon).sum())

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the windows at some indices."""
        parts = {name: getattr(self, name)[places] for name in ("origins", "covariate_origins", "sequence", "channel")}
        return replace(self, **parts)

    def batch(self, indices: NDArray[np.int64]) -> SeriesWindows:
        """Return the windows at some indices as one batch."""
        past, future = np.arange(-self.lookback, 0)[:, None], np.arange(self.horizon)[:, None]
        here, covariates = self.origins[indices], self.covariate_origins[indices]
        arrays = (
            *(self.values[here + past], self.observed[here + past]),
            *(self.covariates[covariates + past], self.covariates[covariates + future]),
            self.channel[indices],
            *(self.values[here + future], self.observed[here + future]),
        )
        return SeriesWindows(*map(torch.from_numpy, arrays))

    @classmethod
    def of(
        cls,
        series: Sequence[Series],
        scalings: Sequence[Scaling],
        covariates: Sequence[NDArray[np.float32]],
        ranges: Sequence[tuple[int, int]],
        *,
        lookback: int,
        horizon: int,
        to_come: bool = False,
    ) -> Self:
        """Cut series into windows, with a stride of 1.

        Args:
            series: The series.
            scalings: Scaling of each.
            covariates: Those of each, (steps, features), at least as many steps as the series.
            ranges: First step to forecast, and the step after the last, of each series.
            lookback: Steps before a forecast.
            horizon: Steps to forecast.
            to_come: Whether to make one window for each sequence, of the steps after its end.
        """
        values, observed, origins, covariate_origins, sequence, channel = [], [], [], [], [], []
        at, covariates_at, number = 0, 0, 0
        features = []
        for each, scaling, feature, (begin, end) in zip(series, scalings, covariates, ranges, strict=True):
            scaled = (each.values - scaling.mean) / scaling.deviation
            steps = len(each) + horizon * to_come
            first, last = (len(each), len(each)) if to_come else (max(begin, lookback), end - horizon)
            places = np.arange(first, last + 1)
            features.append(feature[:steps])
            for place in range(each.values.shape[1]):
                column = np.full(steps, np.nan)
                column[: len(each)] = scaled[:, place]
                seen = ~np.isnan(column)
                values.append(np.where(seen, column, 0).astype(np.float32))
                observed.append(seen)
                kept = places if to_come else places[_usable(seen, places, lookback, horizon)]
                origins.append(at + kept)
                covariate_origins.append(covariates_at + kept)
                sequence.append(np.full(len(kept), number))
                channel.append(np.full(len(kept), place))
                at, number = at + steps, number + 1
            covariates_at += steps
        return cls(
            *(np.concatenate(values), np.concatenate(observed), np.concatenate(features)),
            *(lookback, horizon),
            *(np.concatenate(part).astype(np.int64) for part in (origins, covariate_origins, sequence, channel)),
        )


def _usable(seen: NDArray[np.bool_], places: NDArray[np.int64], lookback: int, horizon: int) -> NDArray[np.bool_]:
    """Whether windows have a value to read and one to forecast, (windows,)."""
    before = np.concatenate([[0], np.cumsum(seen)])
    read = before[places] - before[places - lookback]
    written = before[places + horizon] - before[places]
    usable: NDArray[np.bool_] = (read > 0) & (written > 0)
    return usable
