"""Forecasts on the command line: tables, JSON, CSV, and pictures."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.cli.out_files import check_new_file
from unspool.cli.talk import console, result, result_json, say
from unspool.errors import UsageError

if TYPE_CHECKING:
    from unspool.tasks import Forecast, Task

__all__ = ["write_forecasts"]


def write_forecasts(
    task: Task[Any, Any],
    files: tuple[str, ...],
    form: str | None,
    *,
    horizon: int | None,
    future: str | None,
    as_json: bool,
    as_csv: bool,
    plot: Path | None,
    overwrite: bool,
) -> None:
    """Forecast the series in files, or go on from the training data, and write the forecasts.

    Args:
        task: A forecaster.
        files: Files of series; empty for the training data.
        form: Form of the files; None: by file name.
        horizon: Steps to forecast; None: as in training.
        future: File of the known columns to come.
        as_json: Whether to write a line of JSON for each series.
        as_csv: Whether to write one table as CSV.
        plot: SVG file for a picture.
        overwrite: Whether to replace that file.

    Raises:
        UsageError: If both forms of output are asked for, or the picture can't be written.
    """
    from unspool.data import Files

    if as_json and as_csv:
        raise UsageError("--json and --csv: choose one of them")
    if plot is not None:
        check_new_file(plot, overwrite=overwrite)
    if form is not None:
        task.settings = task.settings.replace(**{"data.format": form})
    model: Any = task
    forecasts: list[Forecast] = model.predict(
        Files(files) if files else None, horizon=horizon, future=None if future is None else Files((future,))
    )
    if plot is not None:
        if len(forecasts) > 1:
            say(f"the picture shows the first of {len(forecasts)} series")
        forecasts[0].save(plot, overwrite=overwrite)
    if as_csv:
        _write_csv(forecasts)
    for number, each in enumerate(forecasts):
        if as_json:
            result_json(each.record())
        elif not as_csv:
            result("\n" * (number > 0) + each.line())
    if sys.stdout.isatty() and not as_json and not as_csv:
        console().print(forecasts[0].picture())
    for caution in dict.fromkeys(each.caution for each in forecasts if each.caution):
        say(f"note: {caution}")


def _write_csv(forecasts: list[Forecast]) -> None:
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\n")
    for number, each in enumerate(forecasts):
        columns = each.to_columns()
        if not number:
            rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    result(buffer.getvalue().removesuffix("\n"))
