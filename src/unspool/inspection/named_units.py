"""Terminal view of the named units of a trace: a row per token, a coloured value per unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.overview import scale
from unspool.inspection.paint import DIVERGING, Brush, cropped
from unspool.inspection.trace import Trace, visible
from unspool.inspection.unit_names import NAMED_UNITS

__all__ = ["NamedUnits"]

_COLUMN, _NUMBER = 16, 6


@dataclass(frozen=True)
class NamedUnits:
    """Named units of a trace; as many tables as the width needs, each with a column per unit."""

    trace: Trace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, arrays = Brush.of(console), self.trace.at(NAMED_UNITS)
        token = max(2, min(16, max(len(visible(each)) for each in self.trace.tokens)))
        digits = len(str(len(self.trace.tokens)))
        most = max(1, (options.max_width - digits - token - 1) // (_COLUMN + 1))
        names = list(arrays)
        yield Text(NAMED_UNITS, style="bold")
        for begin in range(0, len(names), most):
            table = names[begin : begin + most]
            titles = "".join(" " + brush.fit(name, _COLUMN) for name in table)
            yield cropped(Text(" " * (digits + 1 + token) + titles, style="dim"))
            for row, text in enumerate(self.trace.tokens):
                line = Text(f"{row + 1:>{digits}} {brush.token(text, token)}")
                for name in table:
                    line.append(" ").append_text(_value(arrays[name], row, brush))
                yield cropped(line)


def _value(array: np.ndarray, row: int, brush: Brush) -> Text:
    low, high = scale("h", array)
    value = float(array[row, 0])
    share = (value - low) / (high - low)
    patch = Text(brush.bar(share, _COLUMN - _NUMBER - 1), style=brush.style(share, DIVERGING))
    return patch.append(f" {value:{_NUMBER}.2f}", style="none")
