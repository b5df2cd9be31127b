"""Maps in the terminal: as a grid of coloured numbers, and as lines of words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from unspool.inspection.maps import Map
from unspool.inspection.overview import extent, lookups
from unspool.inspection.paint import DIVERGING, SEQUENTIAL, Brush, mix
from unspool.inspection.trace import Array, Trace, visible

__all__ = ["Grid", "Lookups"]

_NARROW, _SIGNED, _WIDE = 3, 6, 9  # width of a column: minimum, minimum for values outside 0 to 1, maximum
_TALL = 30  # rows of a tall map
_TALLEST = 10  # letters of a vertical heading
_LIGHT, _DARK = (255, 255, 255), (20, 23, 26)
_JOINER = "\u200d"


@dataclass(frozen=True)
class Grid:
    """One map of a trace as a grid of numbers on coloured ground.

    Headings that are too wide are vertical. Columns that do not fit go into further tables below. Columns of zeros are
    then omitted, and so are rows of zeros in a tall map. Without colours, a number that rounds to zero is a dot.

    Raises:
        UsageError: If the trace has no such map.
    """

    trace: Trace
    name: str

    def __post_init__(self) -> None:
        self.trace.map(self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, matrix = Brush.of(console), self.trace.map(self.name)
        low, high = extent(matrix.values)
        labels = _labels(matrix.rows, brush, max(8, options.max_width // 4))
        minimum = _NARROW if (low, high) == (0.0, 1.0) else _SIGNED
        margin = cell_len(labels[0]) + 1
        room = max(minimum, options.max_width - margin)
        zero = 0.05 if minimum == _NARROW else 0.005  # smaller values round to zero in a narrow column
        across, down = _visible_columns(matrix, room // minimum, zero), _visible_rows(matrix, zero)
        labels = [labels[row] for row in down]
        headings = [brush.plain(visible(matrix.columns[column])) for column in across]
        natural = max(map(cell_len, headings)) + 1
        width = natural if minimum <= natural <= _WIDE and natural * len(headings) <= room else minimum
        fit = max(1, room // width)
        tables = -(-len(headings) // fit)
        fit = -(-len(headings) // tables)  # balanced tables
        yield Text(brush.plain(self.name), style="bold")
        for start in range(0, len(headings), fit):
            yield from _headings(headings[start : start + fit], width, margin, brush)
            for label, row in zip(labels, down, strict=True):
                yield _row(label, matrix.values[row, across[start : start + fit]], width, (low, high), brush)
            if start + fit < len(headings):
                yield Text()
        omitted = _omitted(len(matrix.columns) - len(across), len(matrix.rows) - len(down))
        yield Text(brush.plain(_legend(matrix, (low, high)) + omitted), style="dim")


@dataclass(frozen=True)
class Lookups:
    """One map of a trace in words: the largest weights of each row, as `die → the 0.93, house 0.05`.

    Raises:
        UsageError: If the trace has no such map.
    """

    trace: Trace
    name: str

    def __post_init__(self) -> None:
        self.trace.map(self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, matrix = Brush.of(console), self.trace.map(self.name)
        labels = _labels(matrix.rows, brush, max(8, options.max_width // 4))
        arrow = "->" if brush.ascii_only else "→"
        for label, targets in zip(labels, lookups(matrix), strict=True):
            yield Text(f"{label} {arrow} {brush.plain(targets)}")


def _visible_columns(matrix: Map, fit: int, zero: float) -> NDArray[np.int64]:
    """Return the columns to draw: all if they fit into one table, else those with a value that is not near zero."""
    columns = np.arange(len(matrix.columns))
    return columns if len(columns) <= fit else _not_zero(columns, matrix.values.T, zero)


def _visible_rows(matrix: Map, zero: float) -> NDArray[np.int64]:
    """Return the rows to draw: all of a short map, else those with a value that is not near zero."""
    rows = np.arange(len(matrix.rows))
    return rows if len(rows) <= _TALL else _not_zero(rows, matrix.values, zero)


def _not_zero(places: NDArray[np.int64], lines: Array, zero: float) -> NDArray[np.int64]:
    visible_lines = places[~(np.abs(lines) < zero).all(axis=1)]
    return visible_lines if len(visible_lines) else places


def _omitted(columns: int, rows: int) -> str:
    counts = [f"{count} {name}{'s' * (count > 1)}" for count, name in ((columns, "column"), (rows, "row")) if count]
    return f"; {' and '.join(counts)} of zeros omitted" if counts else ""


def _labels(rows: tuple[str, ...], brush: Brush, room: int) -> list[str]:
    """Return position and token of every row, all of one width."""
    width = max(2, min(room, max(cell_len(brush.plain(visible(token))) for token in rows)))
    digits = len(str(len(rows)))
    return [f"{number:>{digits}} {brush.token(token, width)}" for number, token in enumerate(rows, start=1)]


def _headings(headings: list[str], width: int, margin: int, brush: Brush) -> Iterator[Text]:
    """Yield the headings of the columns: horizontal if all fit, else vertical and aligned at the bottom."""
    if max(map(cell_len, headings)) < width:
        yield _line(" " * margin + "".join(_right(heading, width) for heading in headings))
        return
    upright = [_letters(heading, brush) for heading in headings]
    height = max(map(len, upright))
    for line in range(height):
        letters = (column[line - height + len(column)] if line >= height - len(column) else "" for column in upright)
        yield _line(" " * margin + "".join(_right(letter, width) for letter in letters))


def _letters(heading: str, brush: Brush) -> list[str]:
    """Return the letters of a vertical heading, each with its combining marks; a long one ends in `…`."""
    letters: list[str] = []
    for sign in heading:
        if letters and (cell_len(sign) == 0 or letters[-1].endswith(_JOINER)):
            letters[-1] += sign
        else:
            letters.append(sign)
    cut = "~" if brush.ascii_only else "…"
    return letters if len(letters) <= _TALLEST else [*letters[: _TALLEST - 1], cut]


def _right(text: str, width: int) -> str:
    return " " * max(0, width - cell_len(text)) + text if cell_len(text) <= width else set_cell_size(text, width)


def _line(text: str) -> Text:
    return Text(text.rstrip(), style="dim", no_wrap=True, overflow="crop")


def _row(label: str, values: Array, width: int, ends: tuple[float, float], brush: Brush) -> Text:
    low, high = ends
    line = Text(label + " ", no_wrap=True, overflow="crop")
    for value in map(float, values):
        line.append(_cell(value, width, ends, brush), style=_ground((value - low) / (high - low), brush, low < 0))
    if not brush.colour:
        line.rstrip()
    return line


def _cell(value: float, width: int, ends: tuple[float, float], brush: Brush) -> str:
    """Format a number with as many digits as fit; a dot (a blank, with colours) if it rounds to zero."""
    if not math.isfinite(value):
        return "?".rjust(width)
    if ends == (0.0, 1.0):
        places = 2 if width > _NARROW else 1
        text = "1" if round(value, places) >= 1 else f"{value:.{places}f}".removeprefix("0")
        nothing = round(value, places) == 0
    else:
        text = next((t for places in (2, 1, 0) if len(t := f"{value:.{places}f}") < width), f"{value:.0e}")
        nothing = not float(text)
    if nothing:
        text = " " if brush.colour else "." if brush.ascii_only else "·"
    return text.rjust(width)


def _ground(share: float, brush: Brush, signed: bool) -> Style:
    """Return the colour behind a number, with readable text on it."""
    if not brush.colour or not math.isfinite(share):
        return Style.null()
    red, green, blue = mix(share, DIVERGING if signed else SEQUENTIAL)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    return Style(color=Color.from_rgb(*(_LIGHT if dark else _DARK)), bgcolor=Color.from_rgb(red, green, blue))


def _legend(matrix: Map, ends: tuple[float, float]) -> str:
    low, high = ends
    end = f"; {visible('')}: the end" if "" in matrix.rows else ""
    what = "values" if low < 0 else "a row looks across its columns,"
    return f"{what} from {low:.3g} to {high:.3g}{end}"
