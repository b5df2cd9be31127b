"""`Forecast`, the prediction of a forecaster for one series: values, intervals and quantiles by time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from unspool.inspection.columns import Columns
from unspool.inspection.notebook import pictured
from unspool.inspection.result import Result, new_file
from unspool.inspection.series_chart import SeriesPanel, SeriesRows, series_chart
from unspool.tasks.tables import table
from unspool.writing import replace_file

__all__ = ["ChannelForecast", "Forecast"]


class ChannelForecast(NamedTuple):
    """Forecast of one channel, in the units of the data."""

    values: list[float]
    """Median of each step, or the point forecast."""
    low: list[float] | None
    """Lower end of the interval; None if the model has no interval."""
    high: list[float] | None
    """Upper end of the interval."""
    quantiles: dict[float, list[float]]
    """Values by probability; with a loss of points and without calibration only 0.5."""


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Result):
    """Forecast for one series."""

    noun: ClassVar[str] = "forecast"

    series: str
    """Id of the series; empty for the only one."""
    times: list[str]
    """Time of each step, as the data write it; a number, counted from the first step, for data without times."""
    channels: dict[str, ChannelForecast]
    interval: float
    """Probability of the interval from `low` to `high`."""
    history: Mapping[str, list[float]]
    """Last values before the forecast by channel, NaN where missing, for pictures."""
    history_times: list[str]
    caution: str = ""
    """Warning about an unreliable forecast."""

    def __repr__(self) -> str:
        of = f" of {self.series!r}" * bool(self.series)
        return f"<Forecast{of}: {len(self.times)} steps from {self.times[0]} to {self.times[-1]}>"

    @property
    def values(self) -> list[float]:
        """Values of the first channel."""
        return next(iter(self.channels.values())).values

    @property
    def low(self) -> list[float] | None:
        """Lower ends of the interval of the first channel."""
        return next(iter(self.channels.values())).low

    @property
    def high(self) -> list[float] | None:
        """Upper ends of the interval of the first channel."""
        return next(iter(self.channels.values())).high

    def line(self) -> str:
        """Format as a table with a row for each step."""
        head, rows = self._table()
        return table(head, [[row[0], *(f"{cell:.6g}" for cell in row[1:])] for row in rows])

    def record(self) -> dict[str, Any]:
        """Return all fields but the history; quantiles by probability as text."""
        channels = {
            name: {**each._asdict(), "quantiles": {f"{level:g}": part for level, part in each.quantiles.items()}}
            for name, each in self.channels.items()
        }
        return {
            "series": self.series,
            "times": self.times,
            "interval": self.interval,
            "channels": channels,
            "caution": self.caution,
        }

    def to_columns(self) -> Columns:
        """Return a row for each step and channel: series, channel, time, value, and the ends of the interval."""
        rows = [
            (self.series, name, time, *values)
            for name, each in self.channels.items()
            for time, *values in zip(self.times, *_ends(each), strict=True)
        ]
        names = ("series", "channel", "time", "value", "low", "high")
        return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=False)}

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        several = len(self.channels) > 1
        head = [self.series or "time"]
        for name, each in self.channels.items():
            parts = ["value"] if each.low is None else ["value", "low", "high"]
            head += [f"{name} {part}" if several and part != "value" else name if several else part for part in parts]
        columns = [column for each in self.channels.values() for column in _ends(each)]
        return head, [list(row) for row in zip(self.times, *columns, strict=True)]

    def panels(self) -> list[SeriesPanel]:
        """Return history, forecast and interval of each channel, for a chart."""
        several = len(self.channels) > 1
        return [
            SeriesPanel(name if several or not self.series else self.series, self.history[name], *each[:3])
            for name, each in self.channels.items()
        ]

    def svg(self) -> str:
        """Return a picture of history, forecast and interval, a panel for each channel."""
        of = f" of {self.series}" * bool(self.series)
        title = f"Forecast{of}: {self.times[0]} to {self.times[-1]}"
        return series_chart(self.panels(), [*self.history_times, *self.times], title=title, interval=self.interval)

    def picture(self) -> RenderableType:
        """Return a drawing of the first channel for the terminal."""
        return SeriesRows(self.panels()[0], [*self.history_times, *self.times])

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the forecast: a picture (.svg), its record (.json), its table (.csv) or a page (.html).

        Args:
            path: The file, in an existing folder.
            overwrite: Whether to replace an existing file.

        Raises:
            UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
            MachineError: If the file can't be written.
        """
        if Path(path).suffix.lower() != ".svg":
            return super().save(path, overwrite=overwrite)
        path = new_file(path, (".svg",), "a picture", overwrite=overwrite)
        replace_file(path, self.svg().encode("utf-8", "backslashreplace"))
        return path

    def _repr_html_(self) -> str:
        return pictured(self.svg(), self.line())

    def _drawing(self) -> RenderableType:
        return Group(self.picture(), Text(self.line()))


def _ends(each: ChannelForecast) -> list[list[float]]:
    return [each.values] if each.low is None or each.high is None else [each.values, each.low, each.high]
