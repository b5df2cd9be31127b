"""Series to continue, from files, tables, arrays and text, and the known columns of steps to come."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.data import Clock, DataSource, Layout, Row, RowsInMemory, Series, SeriesTable, are_files, rows_in_memory
from unspool.errors import DataError, UsageError, option
from unspool.tasks.forecast.data import open_data
from unspool.tasks.forecast.fitted import FittedForecaster, num_steps
from unspool.tasks.forecast.settings import ForecasterSettings

__all__ = ["is_one_series", "is_series_in_list", "read_histories", "source_of", "with_future"]


def is_one_series(data: Any) -> bool:
    """Whether data are one series, and not a file, a table or a list of several."""
    if isinstance(data, str):
        return not os.path.exists(data)
    if isinstance(data, np.ndarray):
        return data.ndim <= 2
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(each, int | float) for each in data)


def is_series_in_list(data: Any) -> bool:
    """Whether a member of a list is a series of its own: one series, or a mapping of columns."""
    columns = isinstance(data, Mapping) and all(isinstance(each, list) for each in data.values())
    return columns or isinstance(data, list | tuple) or is_one_series(data)


def source_of(data: Any, channels: Sequence[str], *, reads_files: bool = True) -> DataSource:
    """Return paths unchanged, and convert a series or a table in memory to rows.

    Args:
        data: Paths; a table; a mapping of columns; an array, (steps,) or (steps, channels); or a text with a step a
            line, or with the numbers of one channel on one line.
        channels: Names of the channels.
        reads_files: Whether a text may be a path.

    Raises:
        DataError: If the shape does not fit the channels.
        UsageError: If the data are of another type.
    """
    if isinstance(data, RowsInMemory):
        return data
    if isinstance(data, str) and not (reads_files and (os.path.exists(data) or "*" in data)):
        return _rows_of_text(data, channels)
    if reads_files and not isinstance(data, np.ndarray) and are_files(data):
        return data  # type: ignore[no-any-return]
    if hasattr(data, "numpy") and not hasattr(data, "columns"):
        data = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    if is_one_series(data):
        array = _numbers(data)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != len(channels):
            raise DataError(f"an array of shape {np.shape(data)} came; expected (steps, {len(channels)})", "the series")
        data = dict(zip(channels, array.T.tolist(), strict=True))
    elif isinstance(data, list) and all(isinstance(each, list | tuple) for each in data):
        return source_of(_numbers(data), channels)
    elif not (isinstance(data, Mapping) or hasattr(data, "columns") or isinstance(data, list)):
        raise DataError(
            f"{type(data).__name__} came; expected numbers, a table, or a text with a step a line", "the series"
        )
    return rows_in_memory(data, None, ("value",))


def _numbers(data: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(data, float)
    except (TypeError, ValueError):
        raise DataError(f"{str(data)[:60]!r} came; expected numbers, as many in each step", "the series") from None


def _rows_of_text(text: str, channels: Sequence[str]) -> RowsInMemory:
    lines = [line for line in text.replace(";", ",").splitlines() if line.strip()]
    if not lines:
        raise DataError("the text is empty; expected numbers", "the series")
    if len(lines) == 1:
        lines = lines[0].replace(",", " ").split()
    rows = []
    for number, line in enumerate(lines, 1):
        where = f"line {number}"
        cells = [cell.strip() for cell in (line.split(",") if "," in line else line.split("\t"))]
        names = [*(["time"] if len(cells) == len(channels) + 1 else []), *channels]
        if len(cells) != len(names):
            raise DataError(f"{len(cells)} cells came; expected {len(channels)} numbers, after a time or not", where)
        rows.append(Row(where, dict(zip(names, cells, strict=True))))
    return RowsInMemory(tuple(rows), "")


def read_histories(
    source: DataSource, settings: ForecasterSettings, fitted: FittedForecaster, before: Layout | None
) -> SeriesTable:
    """Read series to continue; data without times have steps that count from 0.

    Raises:
        DataError: If the data can't be read, or the model needs times that are missing.
    """
    if isinstance(source, RowsInMemory) and before is not None:
        names: Mapping[str, Any] = next((row.values for row in source.rows if isinstance(row, Row)), {})
        columns = dict(before.columns)
        time = columns.get("time")
        if time is not None and time not in names:
            columns.pop("time")
            if "time" in names:
                columns["time"] = "time"
        if columns.get("id") not in names:
            columns.pop("id", None)
        if set(fitted.channels) <= set(names):
            columns["layout"] = "long"
        before = replace(before, columns=columns)
    reader = open_data(settings, source, before)
    rows = list(reader)
    clock = fitted.clock
    if rows and rows[0].time is None and fitted.clock.unit != "step" and rows[0].values.ndim == 1:
        if fitted.calendar:
            raise DataError(
                f"the values have no times, and the network reads the calendar; expected a column of times "
                f"{fitted.clock.name}",
                rows[0].where,
            )
        clock = Clock("step", 1, "step")
    table = SeriesTable.of(rows, reader.layout, clock)
    for each in table.series:
        if each.values.shape[1] != len(fitted.channels):
            raise DataError(
                f"{each} has {each.values.shape[1]} channels; the model was trained on {len(fitted.channels)}",
                each.where,
            )
    return table


def with_future(
    series: Sequence[Series],
    future: DataSource | None,
    settings: ForecasterSettings,
    fitted: FittedForecaster,
    before: Layout | None,
    horizon: int,
) -> list[Series]:
    """Add the known columns of the steps to come to series.

    Raises:
        DataError: If a known column lacks one of these steps.
        UsageError: If the model has no known columns.
    """
    if not fitted.covariates:
        if future is not None:
            raise UsageError(
                f"{option('future', None)}: this model was trained without known columns ({option('known', 'NAME')})"
            )
        return list(series)
    joined = list(series)
    if future is not None:
        reader = open_data(settings, future, before, future=True)
        table = SeriesTable.of(reader, reader.layout, fitted.clock)
        later = {each.id: each for each in table.series}
        joined = [_joined(each, later.get(each.id), fitted) for each in series]
    for each, whole in zip(series, joined, strict=True):
        end = num_steps(each)
        covariates = whole.covariates[end : end + horizon]
        missing = horizon - int((~np.isnan(covariates)).all(1).sum())
        if missing:
            names = ", ".join(map(repr, fitted.covariates))
            raise DataError(
                f"{missing} of the {horizon} steps after {fitted.clock.text(fitted.clock.later(each.start, end - 1))} "
                f"lack {names}; pass a table with them: {option('future', 'FILE')}",
                whole.where or None,
            )
    return joined


def _joined(series: Series, later: Series | None, fitted: FittedForecaster) -> Series:
    if later is None:
        return series
    end = num_steps(series)
    ended = series.part(0, end, fitted.clock)
    values = np.full((len(later), series.values.shape[1]), np.nan)
    following = replace(later, values=values)
    if fitted.clock.unit == "step":
        following = replace(following, start=fitted.clock.later(ended.start, end))
    else:  # a table of all times may begin earlier
        begin = fitted.clock.steps_between(ended.start, later.start)
        if begin is not None and begin < end:
            following = following.part(min(end - begin, len(later)), len(later), fitted.clock)
    whole = ended.joined(following, fitted.clock)
    if whole is None:
        raise DataError(f"the times of the future are off the grid of {series}, {fitted.clock.name}", later.where)
    return whole
