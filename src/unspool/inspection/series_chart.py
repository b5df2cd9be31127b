"""Line chart of a series with its forecast: as SVG, and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.paint import Brush
from unspool.inspection.svg import SMALL, document, line, shorten, text

__all__ = ["SeriesPanel", "SeriesRows", "series_chart"]

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 860.0, 250.0, 70.0, 24.0, 46.0, 12.0
_TICKS = 7
_LIGHT = ".un-band{fill:#c4501b;fill-opacity:.18}.un-mark{stroke-dasharray:3 3}.un-thick{stroke-width:1.6}"
_DARK = ".un-band{fill:#f39462;fill-opacity:.25}"


@dataclass(frozen=True, eq=False)
class SeriesPanel:
    """One series of a chart.

    Args:
        title: Name above the panel.
        history: Values before the forecast, NaN where missing, (steps,).
        forecast: Forecast values, (horizon,).
        low: Lower ends of the interval, (horizon,). None: no interval.
        high: Upper ends, (horizon,).
        truth: True values of the forecast steps, (horizon,), NaN where unknown. None: unknown.
    """

    title: str
    history: Sequence[float]
    forecast: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    truth: Sequence[float] | None = None

    def extent(self) -> tuple[float, float]:
        """Return the smallest and the largest finite value."""
        parts = [part for part in (self.history, self.forecast, self.low, self.high, self.truth) if part is not None]
        values = np.concatenate([np.asarray(part, float) for part in parts])
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        return (low, high) if high > low else (low - 0.5, high + 0.5)


def series_chart(panels: Sequence[SeriesPanel], times: Sequence[str], *, title: str, interval: float = 0.8) -> str:
    """Return an SVG document with a panel for each series: history, forecast and interval.

    Args:
        panels: Series with equally long histories and forecasts.
        times: Time of each step, history first, (steps + horizon,).
        title: Title of the picture.
        interval: Probability of the interval, for the legend.
    """
    body = [text(8, 24, shorten(title, _WIDTH - 16), "title")]
    for number, panel in enumerate(panels):
        body += _panel(panel, times, _TOP + number * (_PANEL + _GAP))
    height = _TOP + len(panels) * (_PANEL + _GAP) + 14
    body += _legend(panels[0], height - 10, interval)
    return document(title, _WIDTH, height, body, light=_LIGHT, dark=_DARK)


def _panel(panel: SeriesPanel, times: Sequence[str], top: float) -> list[str]:
    low, high = panel.extent()
    before, steps = len(panel.history), len(panel.history) + len(panel.forecast)
    inner = _WIDTH - _LEFT - _RIGHT
    bottom = top + _PANEL - 34

    def x(step: float) -> float:
        return _LEFT + inner * step / max(1, steps - 1)

    def y(value: float) -> float:
        return bottom - (bottom - top - 18) * (value - low) / (high - low)

    parts = [text(_LEFT, top + 8, shorten(panel.title, inner))]
    for tick in _ticks(low, high):
        parts += [line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "un-line un-mark")]
        parts += [text(_LEFT - 6, y(tick) + 4, f"{tick:.6g}", "dim small", "end")]
    for place in _label_places(steps, times):
        anchor = "middle" if 0 < place < steps - 1 else "end" if place else ""
        parts.append(text(x(place), bottom + 18, times[place], "dim small", anchor))
    if panel.low is not None and panel.high is not None:
        upper = [(x(before + step), y(value)) for step, value in enumerate(panel.high)]
        lower = [(x(before + step), y(value)) for step, value in enumerate(panel.low)]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*upper, *reversed(lower)])
        parts.append(f'<polygon class="un-band" points="{points}"/>')
    parts += [line(x(before - 0.5), top + 14, x(before - 0.5), bottom, "un-line un-mark")]
    parts += _curve([(x(step), value) for step, value in enumerate(panel.history)], y, "un-c0")
    if panel.truth is not None:
        parts += _curve([(x(before + step), value) for step, value in enumerate(panel.truth)], y, "un-c0")
    last = [(x(before - 1), panel.history[-1])] if before and math.isfinite(panel.history[-1]) else []
    parts += _curve([*last, *((x(before + step), value) for step, value in enumerate(panel.forecast))], y, "un-c1")
    return parts


def _curve(points: Sequence[tuple[float, float]], y: Callable[[float], float], kind: str) -> list[str]:
    """Return lines through the finite points; a missing value breaks the line."""
    place: list[list[str]] = [[]]
    for at, value in points:
        if math.isfinite(value):
            place[-1].append(f"{at:.1f},{y(value):.1f}")
        elif place[-1]:
            place.append([])
    return [f'<polyline class="{kind} un-thick" points="{" ".join(run)}"/>' for run in place if run]


def _legend(panel: SeriesPanel, y: float, interval: float) -> list[str]:
    entries = [("un-c0", "values"), ("un-c1", "forecast")]
    parts, x = [], _LEFT
    for kind, name in entries:
        parts += [line(x, y - 4, x + 22, y - 4, f"{kind} un-thick"), text(x + 28, y, name, "small")]
        x += 40 + SMALL * len(name)
    if panel.low is not None:
        parts.append(f'<rect class="un-band" x="{x:.1f}" y="{y - 10:.1f}" width="22" height="12"/>')
        parts.append(text(x + 28, y, f"{100 * interval:.4g} % interval", "small"))
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two values."""
    raw = (high - low) / _TICKS
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]


def _label_places(steps: int, times: Sequence[str]) -> list[int]:
    """Return the steps whose times are written below a panel."""
    widest = max(map(len, times)) * SMALL + 24
    most = max(2, int((_WIDTH - _LEFT - _RIGHT) / widest))
    return sorted({round(place) for place in np.linspace(0, steps - 1, min(most, steps))})


@dataclass(frozen=True, eq=False)
class SeriesRows:
    """A series with its forecast in the terminal: history and forecast as points, the interval as a shade.

    Args:
        panel: The series.
        times: Time of each step, history first.
        height: Height in lines.
    """

    panel: SeriesPanel
    times: Sequence[str]
    height: int = 12

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, panel = Brush.of(console), self.panel
        low, high = panel.extent()
        margin = max(len(f"{low:.4g}"), len(f"{high:.4g}"))
        width = max(1, min(options.max_width - margin - 2, len(self.times)))
        history, forecast = len(panel.history), len(panel.forecast)
        steps = np.linspace(0, history + forecast - 1, width).round().astype(int)
        values = np.concatenate([panel.history, panel.forecast])[steps]
        ends = [
            np.concatenate([np.full(history, np.nan), np.full(forecast, np.nan) if part is None else part])[steps]
            for part in (panel.low, panel.high)
        ]

        def row_of(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.round((numbers - low) / (high - low) * (self.height - 1))

        rows, (bottoms, tops) = row_of(values), (row_of(part) for part in ends)
        point, shade = ("*", ":") if brush.ascii_only else ("•", "░")
        yield Text(brush.plain(panel.title), style="bold", no_wrap=True, overflow="crop")
        for row in range(self.height - 1, -1, -1):
            label = f"{high:.4g}" if row == self.height - 1 else f"{low:.4g}" if not row else ""
            whole = Text(label.rjust(margin) + " ", style="dim", no_wrap=True, overflow="crop")
            for column, step in enumerate(steps):
                if rows[column] == row:
                    whole.append(point, style="cyan" if step < history else "yellow")
                elif bottoms[column] <= row <= tops[column]:
                    whole.append(shade, style="yellow")
                else:
                    whole.append(" ")
            whole.rstrip()
            yield whole
        first, last = self.times[0], self.times[-1]
        gap = " " * max(1, width - len(first) - len(last))
        yield Text(" " * (margin + 1) + first + gap + last, style="dim", no_wrap=True, overflow="crop")
