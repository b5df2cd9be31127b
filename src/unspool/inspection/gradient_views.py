"""Terminal views of gradients through time: heat map of losses by steps, decay in words, comparison table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.gradients import Gradients, Norms
from unspool.inspection.paint import SEQUENTIAL, Brush
from unspool.inspection.trace import visible

__all__ = ["DECADES", "GradientMap", "GradientTable", "binned", "log_scale", "show_gradients"]

DECADES = 8
"""Number of powers of ten of the colour scale; smaller norms look like the smallest."""
_MOST_ROWS = 40
_BAR = 24


def show_gradients(gradients: Gradients, console: Console | None = None, *, array: str | None = None) -> None:
    """Print the heat map of one array, the decay in words, and the half-life of every array.

    Args:
        gradients: The gradients.
        console: Console to print to; standard output if omitted.
        array: Name of the array to draw; the whole state of the first layer if omitted.

    Raises:
        UsageError: If there is no array of that name.
    """
    console = console or Console()
    brush, name = Brush.of(console), gradients.main if array is None else array
    view = GradientMap(gradients, name)
    if gradients.model:
        console.print(Text(brush.plain(gradients.model), style="bold"))
        console.print()
    console.print(view)
    console.print()
    console.print(GradientTable({"": gradients}))
    for note in gradients.notes:
        console.print(Text(brush.plain(f"Note: {note}")))


@dataclass(frozen=True)
class GradientMap:
    """Heat map of one array: a row per loss, a column per step, coloured by the logarithm of the norm.

    Texts longer than the console bin neighbouring steps and show the largest norm of a bin. A single loss has a row per
    step instead, with a bar.

    Raises:
        UsageError: If there is no array of that name.
    """

    gradients: Gradients
    name: str
    ends: tuple[float, float] | None = None
    """Ends of the scale as log10 norms; those of the array if omitted."""

    def __post_init__(self) -> None:
        self.gradients.array(self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, norms = Brush.of(console), self.gradients.array(self.name)
        ends = self.ends or log_scale(norms)
        variable = self.name.rpartition(" / ")[2]
        yield Text(brush.plain(f"{self.name}: |dL/d{variable}|"), style="bold")
        if len(norms) == 1:
            yield from self._bars(norms[0], ends, brush, options.max_width)
        else:
            yield from self._map(norms, ends, brush, options.max_width)
        for line in self.gradients.sentences(self.name):
            yield Text(brush.plain(line))

    def _bars(self, norms: Norms, ends: tuple[float, float], brush: Brush, width: int) -> Iterator[Text]:
        values, starts = binned(norms[None], len(norms), _MOST_ROWS)
        labels = _labels(self.gradients.tokens, starts, brush, max(8, width // 3))
        room = min(_BAR, max(4, width - cell_len(labels[0]) - 12))
        for label, value in zip(labels, values[0], strict=True):
            share = _share(value, ends)
            line = Text(f"{label} ").append(brush.bar(share, room), style=brush.style(share, SEQUENTIAL[1:]))
            yield _cropped(line.append(f" {_number(value)}"))
        yield Text(f"bars: logarithm of the norm, from {_power(ends[0])} to {_power(ends[1])}", style="dim")

    def _map(self, norms: Norms, ends: tuple[float, float], brush: Brush, width: int) -> Iterator[Text]:
        gradients = self.gradients
        room_of_label = max(8, width // 4)
        rows, row_starts = binned(norms.T, len(norms), _MOST_ROWS)
        labels = _labels(gradients.losses, row_starts, brush, room_of_label)
        room = width - cell_len(labels[0]) - 1
        cells, starts = binned(rows.T, norms.shape[1], room)
        patch = max(1, min(3, room // cells.shape[1]))
        ruler = _ruler([start + 1 for start in starts], patch)
        yield _cropped(Text(f"{' ' * cell_len(labels[0])} {ruler}", style="dim"))
        for label, row in zip(labels, cells, strict=True):
            line = Text(label + " ")
            for value in row:
                line.append_text(
                    Text(" " * patch) if value == 0 else brush.heat(_share(value, ends), SEQUENTIAL, patch)
                )
            yield _cropped(line)
        marks = Text(f"{_power(ends[0])} ")
        for step in range(17):
            marks.append_text(brush.heat(step / 16, SEQUENTIAL))
        size = -(-norms.shape[1] // cells.shape[1])
        bins = f"; a column is {size} steps, its largest norm" if size > 1 else ""
        marks.append(f" {_power(ends[1])}; rows: the loss at t, columns: the step s{bins}; empty: no gradient")
        yield marks


@dataclass(frozen=True)
class GradientTable:
    """Table of the decay of every array, of one result or several: slope, half-life, reach, near and far norms."""

    gradients: Mapping[str, Gradients]
    arrays: Mapping[str, str] | None = None
    """Name of the only array to list of each result; all arrays if omitted."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush = Brush.of(console)
        rows = [
            (label if self.arrays is not None else name, gradients, name)
            for label, gradients in self.gradients.items()
            for name in (gradients.names if self.arrays is None else [self.arrays[label]])
        ]
        width = max(10, min(options.max_width - 48, max(cell_len(title) for title, _, _ in rows)))
        titles = "".join(title.rjust(12) for title in ("per step", "half-life", "90 % within", "farthest"))
        yield Text(" " * width + titles, style="dim")
        for title, gradients, name in rows:
            decay = gradients.decay(name)
            farthest = math.exp(decay.means[-1]) if len(decay.means) else 0.0
            figures = (f"x {decay.factor:.4g}", _half_life(decay.half_life), str(gradients.reach(name=name)))
            line = brush.fit(title, width) + "".join(figure.rjust(12) for figure in (*figures, _number(farthest)))
            yield _cropped(Text(line))
        yield Text(
            "per step: factor of the norm for one step back; half-life, reach: steps;\n"
            "farthest: mean norm at the largest distance",
            style="dim",
        )


def log_scale(*arrays: Norms) -> tuple[float, float]:
    """Return the ends of a common colour scale as log10 norms, at most `DECADES` apart."""
    positive = [array[(array > 0) & np.isfinite(array)] for array in arrays]
    values = np.concatenate([part.ravel() for part in positive]) if positive else np.zeros(0)
    if not len(values):
        return -1.0, 0.0
    high = math.ceil(math.log10(values.max()) * 2) / 2
    low = max(math.floor(math.log10(values.min()) * 2) / 2, high - DECADES)
    return (low, high) if low < high else (high - 1, high)


def binned(values: Norms, count: int, most: int) -> tuple[Norms, list[int]]:
    """Return the largest value of each bin of neighbouring columns, (rows, bins), and the first column of each bin."""
    size = -(-count // max(1, most))
    starts = list(range(0, count, size))
    return np.maximum.reduceat(values, starts, axis=1), starts


def _share(value: float, ends: tuple[float, float]) -> float:
    if not math.isfinite(value):
        return math.nan
    return 0.0 if value <= 0 else (math.log10(value) - ends[0]) / (ends[1] - ends[0])


def _labels(names: tuple[str, ...], starts: list[int], brush: Brush, room: int) -> list[str]:
    """Return position and name of the rows that begin at `starts`, all of one width."""
    shown = [names[start] for start in starts]
    width = max(1, min(room, max(cell_len(brush.plain(visible(name))) for name in shown)))
    digits = len(str(len(names)))
    if all(name == str(start + 1) for name, start in zip(shown, starts, strict=True)):
        return [f"{start + 1:>{digits}}" for start in starts]
    return [f"{start + 1:>{digits}} {brush.token(name, width)}" for name, start in zip(shown, starts, strict=True)]


def _ruler(numbers: list[int], patch: int) -> str:
    line = ""
    for place, number in enumerate(numbers):
        label = str(number)
        if place * patch >= len(line) + (1 if line else 0) and (place + 1) * patch <= len(numbers) * patch:
            line = line.ljust(place * patch) + label + " " * 3
    return line.rstrip()


def _cropped(text: Text) -> Text:
    text.rstrip()
    text.no_wrap, text.overflow = True, "crop"
    return text


def _power(exponent: float) -> str:
    return f"{10**exponent:.1e}" if exponent % 1 else f"1e{int(exponent):+03d}"


def _number(value: float) -> str:
    return f"{value:.2e}"


def _half_life(steps: float) -> str:
    return "none" if math.isinf(steps) else "unknown" if math.isnan(steps) else f"{steps:.4g}"
