#!/usr/bin/env python3
"""Draw the picture of `docs/forecast.md`: a forecast of a generated series, beside what followed.

python scripts/draw_forecast.py  # writes bikes.csv into a temporary folder, trains for half a minute, draws the picture
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from unspool import Forecaster
from unspool.inspection.series_chart import series_chart
from unspool.tasks.forecast.backtest import Backtest

DAYS = 1096
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "assets" / "pictures" / "forecast.svg"


def bikes(seed: int = 7) -> list[str]:
    """Return the rows of a table: bicycles lent a day over three years, by season, weekday, rain and holidays."""
    generator = np.random.default_rng(seed)
    first, rain, lines = np.datetime64("2021-01-01"), 0.0, ["date,bikes,holiday"]
    for day in range(DAYS):
        date = first + day
        weekday = int((date.astype("M8[D]").astype(int) + 3) % 7)
        rain = 0.7 * rain + generator.normal()
        warm = math.sin(2 * math.pi * (day - 105) / 365.25)
        holiday = int(generator.random() < 0.03)
        level = 900 + 0.25 * day + 420 * warm - 130 * (weekday >= 5) - 60 * rain - 260 * holiday
        lines.append(f"{date},{max(20, round(level + 40 * generator.normal()))},{holiday}")
    return lines


def main() -> None:
    """Train on the table, and draw the last forecast of a backtest."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "bikes.csv"
        table.write_text("\n".join(bikes()) + "\n", encoding="utf-8")
        model = Forecaster(horizon=28, known="holiday", threads=1).fit(table)
        back: Backtest = model.backtest(table, most=1)
    origin = back.origins[-1]
    panels = [
        type(panel)(panel.title, panel.history, panel.forecast, panel.low, panel.high, origin.truth[panel.title])
        for panel in origin.forecast.panels()
    ]
    times = [*origin.forecast.history_times, *origin.forecast.times]
    title = "Bicycles lent a day (generated), forecast for 28 days"
    PICTURE.write_text(series_chart(panels, times, title=title, interval=0.8), encoding="utf-8")


if __name__ == "__main__":
    main()
