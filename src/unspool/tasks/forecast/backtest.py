"""Backtest of a forecaster: forecasts from rolling origins, beside the true values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from unspool.data import Series
from unspool.inspection.columns import Columns
from unspool.inspection.result import Result
from unspool.inspection.series_chart import SeriesRows, series_chart
from unspool.tasks.forecast.data import SeriesExamples
from unspool.tasks.forecast.fitted import FittedForecaster
from unspool.tasks.forecast.forecast import Forecast
from unspool.tasks.tables import table

__all__ = ["Backtest", "Origin", "rolling_origins"]


@dataclass(frozen=True, eq=False)
class Origin:
    """A forecast from within a series, and what followed."""

    forecast: Forecast
    truth: dict[str, list[float]]
    """True values of each channel, NaN where missing, (horizon,)."""

    def scores(self) -> dict[str, float]:
        """Return mean absolute error in units of the data, sMAPE in percent, and coverage of the interval."""
        errors, relative, inside = [], [], []
        for name, each in self.forecast.channels.items():
            true, guess = np.array(self.truth[name]), np.array(each.values)
            seen = ~np.isnan(true)
            errors.append(np.abs(true - guess)[seen])
            size = np.abs(true) + np.abs(guess)
            relative.append((200 * np.abs(true - guess) / np.where(size > 0, size, 1))[seen])
            if each.low is not None and each.high is not None:
                inside.append(((true >= each.low) & (true <= each.high))[seen])
        scores = {"mae": np.concatenate(errors), "smape": np.concatenate(relative)}
        if inside:
            scores["coverage"] = np.concatenate(inside)
        return {name: float(part.mean()) for name, part in scores.items() if len(part)}


@dataclass(frozen=True, eq=False, repr=False)
class Backtest(Result):
    """Forecasts of one model from rolling origins; the model is not trained again."""

    noun: ClassVar[str] = "backtest"

    origins: Sequence[Origin]

    def __repr__(self) -> str:
        return f"<Backtest from {len(self.origins)} origins>"

    def scores(self) -> dict[str, float]:
        """Return the means over the origins."""
        each = [origin.scores() for origin in self.origins]
        return {name: float(np.mean([row[name] for row in each if name in row])) for name in each[0]} if each else {}

    def record(self) -> dict[str, Any]:
        """Return each origin's forecast, true values and scores; None for a missing value."""
        return {
            "scores": self.scores(),
            "origins": [
                {
                    **origin.forecast.record(),
                    "truth": {name: [None if x != x else x for x in part] for name, part in origin.truth.items()},
                    "scores": origin.scores(),
                }
                for origin in self.origins
            ],
        }

    def to_columns(self) -> Columns:
        """Return a row for each step, channel and origin: those of `Forecast`, with origin and truth."""
        parts: dict[str, list[Any]] = {}
        for number, origin in enumerate(self.origins):
            columns = origin.forecast.to_columns()
            truth = [value for name in origin.forecast.channels for value in origin.truth[name]]
            columns = {"origin": [number] * len(truth), **columns, "truth": truth}
            for name, column in columns.items():
                parts.setdefault(name, []).extend(column)
        return parts

    def svg(self) -> str:
        """Return a picture of the last origin: history, forecast, interval, and the true values."""
        last = self.origins[-1]
        forecast = last.forecast
        panels = [
            replace(panel, truth=truth) for panel, truth in zip(forecast.panels(), last.truth.values(), strict=True)
        ]
        title = f"Backtest: {forecast.times[0]} to {forecast.times[-1]}"
        times = [*forecast.history_times, *forecast.times]
        return series_chart(panels, times, title=title, interval=forecast.interval)

    def line(self) -> str:
        """Format as a table with a row for each origin."""
        names = list(self.scores())
        rows = [
            [origin.forecast.times[0], *(f"{origin.scores().get(name, float('nan')):.4g}" for name in names)]
            for origin in self.origins
        ]
        mean = ["mean", *(f"{value:.4g}" for value in self.scores().values())]
        return table(["from", *names], [*rows, mean])

    def _drawing(self) -> RenderableType:
        forecast = self.origins[-1].forecast
        drawing = SeriesRows(forecast.panels()[0], [*forecast.history_times, *forecast.times])
        return Group(drawing, Text(self.line()))


def rolling_origins(
    examples: SeriesExamples, fitted: FittedForecaster, stride: int, most: int | None
) -> Iterator[tuple[Series, NDArray[np.float64]]]:
    """Yield each series up to an origin, with the known columns of the steps after it, and the values of these steps.

    Args:
        examples: Series, and the steps to forecast.
        fitted: State of the forecaster.
        stride: Steps between two origins; the last one lies a horizon before the end.
        most: Most origins of each series; None: all.
    """
    for each, begin, end in zip(examples.series, examples.begin, examples.end, strict=True):
        places = list(range(end - fitted.horizon, max(begin, fitted.lookback) - 1, -stride))[:most]
        for place in reversed(places):
            last = place + fitted.horizon
            seen = np.where(np.arange(last)[:, None] < place, each.values[:last], np.nan)
            yield replace(each, values=seen, covariates=each.covariates[:last]), each.values[place:last]
