"""The chart of a series: where lines stand, what a gap does, and the drawing for the terminal."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from unspool.inspection.series_chart import SeriesPanel, SeriesRows, series_chart

TIMES = [f"2020-{month:02}" for month in range(1, 9)]
PANEL = SeriesPanel("sales & more", [10, 30, float("nan"), 20, 50], [40, 60, 80], [30, 40, 60], [50, 70, 100])


def polylines(svg):
    root = ET.fromstring(svg)
    found = [each for each in root.iter() if each.tag.endswith("polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in each.get("points").split()] for each in found]


def test_lines_stand_at_their_values_and_a_gap_breaks_them():
    first, second, forecast = polylines(series_chart([PANEL], TIMES, title="Sales"))
    assert (len(first), len(second), len(forecast)) == (2, 2, 4)
    (x0, y0), (x1, y1) = first
    assert y1 < y0  # 30 stands above 10
    (_, y20), (x4, y50) = second
    assert (y0 - y20) / (y0 - y50) == pytest.approx((20 - 10) / (50 - 10), abs=0.01)
    assert forecast[0] == (x4, y50)
    assert forecast[1][0] - x4 == pytest.approx(x1 - x0, abs=0.11)
    assert (y0 - forecast[3][1]) / (y0 - y50) == pytest.approx((80 - 10) / (50 - 10), abs=0.01)


def test_a_band_follows_the_ends_of_the_interval():
    svg = series_chart([PANEL], TIMES, title="Sales", interval=0.9)
    points = re.search(r'class="un-band" points="([^"]+)"', svg)[1].split()
    assert len(points) == 6
    assert "90 % interval" in svg
    assert "un-band" not in series_chart([SeriesPanel("x", [1, 2], [3])], TIMES[:3], title="x").partition("</style>")[2]


def test_constant_series_and_the_truth_are_drawn():
    lines = polylines(series_chart([SeriesPanel("x", [5, 5], [5, 5], truth=[5, 6])], TIMES[:4], title="x"))
    assert len(lines) == 3


def test_the_terminal_shows_history_forecast_and_interval():
    console = Console(file=io.StringIO(), width=60, force_terminal=False, legacy_windows=False)
    console.print(SeriesRows(PANEL, TIMES, height=8))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "sales & more"
    assert len(lines) == 10
    assert "".join(lines).count("•") == 7  # eight steps, one of them missing
    assert "░" in "".join(lines)
    assert lines[-1].split() == ["2020-01", "2020-08"]
