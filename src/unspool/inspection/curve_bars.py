"""Curves in the terminal: columns of block characters, on a linear or logarithmic scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.paint import Brush

__all__ = ["CurveBars"]

_LEVELS = 8  # of one block character
_WIDE = 100.0  # a range above this ratio has a logarithmic scale
_LINE, _FAULT = "cyan", "bold red"


@dataclass(frozen=True, eq=False)
class CurveBars:
    """A curve as one column per value, with the ends of its scale.

    A column without a value is empty. A column with a value that is not finite has a cross at its foot.

    Args:
        title: Title above the curve.
        values: Values from left to right, such as the maxima of an envelope, (columns,); NaN for none.
        faults: Whether a column has a value that is not finite, bool (columns,).
        height: Height in lines, at least 1.
    """

    title: str
    values: NDArray[np.float64]
    faults: NDArray[np.bool_]
    height: int = 3

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush = Brush.of(console)
        low, high, log = _scale(self.values)
        title = f"{self.title}, logarithmic scale" if log else self.title
        yield Text(brush.plain(title), style="bold", no_wrap=True, overflow="crop")
        shares = _shares(self.values, low, high, log=log)
        ends = [_figure(high), *[""] * (self.height - 2), _figure(low)] if self.height > 1 else [_figure(high)]
        width = max(map(len, ends))
        for row, end in zip(range(self.height - 1, -1, -1), ends, strict=True):
            line = Text(end.rjust(width) + " ", style="dim", no_wrap=True, overflow="crop")
            for part in self._row(shares, row, brush):
                line.append(part)
            line.rstrip()
            yield line

    def _row(self, shares: NDArray[np.float64], row: int, brush: Brush) -> Iterator[Text]:
        """Yield the characters of one row; row 0 is the lowest."""
        filled = 1 + shares * (self.height * _LEVELS - 1)  # the lowest value has the lowest level
        for level, fault in zip((filled - row * _LEVELS) / _LEVELS, self.faults, strict=True):
            if fault and row == 0:
                yield Text("x" if brush.ascii_only else "×", style=_FAULT)
            elif np.isfinite(level) and level > 0:
                yield Text(brush.level(float(level)), style=_LINE)
            else:
                yield Text(" ")


def _scale(values: NDArray[np.float64]) -> tuple[float, float, bool]:
    """Return the ends of the scale, and whether it is logarithmic."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan"), False
    low, high = float(finite.min()), float(finite.max())
    return low, high, low > 0 and high / low > _WIDE


def _shares(values: NDArray[np.float64], low: float, high: float, *, log: bool) -> NDArray[np.float64]:
    """Return the position of each value between the ends of the scale; the middle if all are equal."""
    if log:
        values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
    return (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.5, np.nan)


def _figure(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "?"
