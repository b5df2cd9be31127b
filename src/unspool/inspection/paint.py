"""Bars, blocks and colours for a terminal: with colour, without, or in plain ASCII."""

from __future__ import annotations

import math
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from unspool.inspection.trace import visible

__all__ = ["DIVERGING", "OPEN_SHUT", "SEQUENTIAL", "Brush", "cropped", "mix"]

RGB = tuple[int, int, int]
SEQUENTIAL: tuple[RGB, ...] = ((240, 240, 236), (120, 180, 200), (20, 85, 140))
DIVERGING: tuple[RGB, ...] = ((33, 102, 172), (232, 232, 228), (178, 24, 43))
OPEN_SHUT: tuple[RGB, ...] = ((205, 95, 20), (150, 140, 90), (27, 150, 115))  # readable on black and on white
_LEVELS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_ASCII_LEVELS = " .:-=+*#@"


class Brush(NamedTuple):
    """Draw numbers for one console.

    Args:
        ascii_only: Whether the console's encoding lacks block characters.
        colour: Whether the console shows colours.
    """

    ascii_only: bool
    colour: bool

    @classmethod
    def of(cls, console: Console) -> Brush:
        """Return the brush for a console."""
        unicode = console.encoding.lower().replace("-", "").startswith(("utf", "gb18030"))
        return cls(ascii_only=not unicode, colour=console.color_system is not None and not console.no_color)

    def level(self, share: float) -> str:
        """Return one block character for a fraction between 0 and 1; `?` for NaN."""
        levels = _ASCII_LEVELS if self.ascii_only else _LEVELS
        return levels[round(_clip(share) * (len(levels) - 1))] if math.isfinite(share) else "?"

    def bar(self, share: float, width: int) -> str:
        """Return a bar of `width` characters for a fraction between 0 and 1; a single character fills from below."""
        if width == 1:
            return self.level(share)
        if not math.isfinite(share):
            return "?" + " " * (width - 1)
        if self.ascii_only:
            return ("#" * round(_clip(share) * width)).ljust(width)
        whole, rest = divmod(round(_clip(share) * width * 8), 8)
        return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)

    def heat(self, share: float, colours: tuple[RGB, ...], width: int = 1) -> Text:
        """Return a patch of a heat map; `share` is between 0 and 1 along the scale."""
        if not self.colour or not math.isfinite(share):
            return Text(self.level(share) * width)
        return Text("█" * width if not self.ascii_only else self.level(share) * width, style=self.style(share, colours))

    def style(self, share: float, colours: tuple[RGB, ...]) -> Style:
        """Return the colour of a fraction between 0 and 1; no style for NaN."""
        return Style(color=Color.from_rgb(*mix(share, colours))) if math.isfinite(share) else Style.null()

    def token(self, token: str, width: int) -> str:
        """Fit a token into exactly `width` cells, with `…` if it is wider; wide characters take two cells."""
        return self.fit(visible(token), width)

    def fit(self, text: str, width: int) -> str:
        """Fit a text into exactly `width` cells, with `…` if it is wider."""
        dots = "…"
        if self.ascii_only:
            text, dots = text.encode("ascii", "backslashreplace").decode("ascii"), "~"
        if cell_len(text) > width:
            text = set_cell_size(text, width - 1).rstrip() + dots
        return set_cell_size(text, width)

    def plain(self, text: str) -> str:
        """Return a line in the console's encoding."""
        return text if not self.ascii_only else text.replace("…", "...").encode("ascii", "backslashreplace").decode()


def mix(share: float, colours: tuple[RGB, ...]) -> RGB:
    """Interpolate between evenly spaced colours at a fraction between 0 and 1."""
    place = _clip(share) * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    first, second = colours[index], colours[index + 1]
    red, green, blue = (round(a + (b - a) * (place - index)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def cropped(line: Text) -> Text:
    """Return a line without blanks at its end, which a narrow console crops and never wraps."""
    line.rstrip()
    line.no_wrap, line.overflow = True, "crop"
    return line


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
