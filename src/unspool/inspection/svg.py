"""SVG documents for light and dark pages: text, lines, colours, without fonts or scripts from other hosts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rich.cells import cell_len

from unspool.inspection.paint import RGB, mix
from unspool.inspection.trace import visible

__all__ = ["LETTER", "SHADES", "SMALL", "document", "line", "series_class", "shade_class", "shorten", "text"]

LETTER, SMALL = 7.25, 6.65
"""Widths of a letter in the text and in small text, pixels."""
SHADES = 16
"""Number of steps of the colour ramp."""
_LIGHT_RAMP: tuple[RGB, ...] = ((226, 234, 236), (120, 180, 200), (12, 66, 116))
_DARK_RAMP: tuple[RGB, ...] = ((38, 52, 62), (58, 122, 158), (196, 234, 250))
_LIGHT_SERIES = ("#1f6fb2", "#c4501b", "#2a8a57", "#8a4fb0", "#8a6d00", "#b0306a", "#4a5560", "#0e7f86")
_DARK_SERIES = ("#74b6ee", "#f39462", "#6fcf9a", "#c79be6", "#dcc060", "#ee83b2", "#aeb9c3", "#62cdd3")
_FONT = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def document(title: str, width: float, height: float, body: Iterable[str], *, light: str = "", dark: str = "") -> str:
    """Return an SVG document with its own ground, in the colours that the reader's system prefers.

    Args:
        title: Title for screen readers.
        width: Width in pixels.
        height: Height in pixels.
        body: Elements.
        light: Further style rules.
        dark: Rules that replace them in dark mode.
    """
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" class="un" {size} role="img">'
    style = f"{_style(False)}{light}@media (prefers-color-scheme:dark){{{_style(True)}{dark}}}"
    ground = '<rect class="un-ground" width="100%" height="100%"/>'
    return "\n".join([start, f"<title>{escape(title)}</title><style>{style}</style>", ground, *body, "</svg>\n"])


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "") -> str:
    """Return a line of text; `kind` is dim, small, title or a series class, `anchor` middle or end."""
    classes = " ".join(["un-text", *(part for part in kind.split())])
    end = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}"{end}>{escape(_visible_line(content))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "un-line") -> str:
    """Return a straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def shorten(content: str, width: float, letter: float = LETTER) -> str:
    """Cut a text to a width in pixels, with `…` at the end."""
    content = _visible_line(content)
    most = max(1, int(width / letter))
    if cell_len(content) <= most:
        return content
    while content and cell_len(content) > most - 1:
        content = content[:-1]
    return content + "…"


def _visible_line(content: str) -> str:
    """Return a text in printable form; blanks stay blanks."""
    return " ".join(visible(part) if part else "" for part in content.split(" "))


def shade_class(share: float) -> str:
    """Return the class of a fraction between 0 and 1 along the colour ramp."""
    return f"un-s{round(min(1.0, max(0.0, share)) * (SHADES - 1))}"


def series_class(number: int) -> str:
    """Return the class of a series: `un-c0`, `un-c1` and so on, which repeat."""
    return f"un-c{number % len(_LIGHT_SERIES)}"


def _style(dark: bool) -> str:
    ink, dim, ground, rule = (
        ("#e6e9ec", "#a7b0b8", "#16191d", "#5a646d") if dark else ("#1d2226", "#5b646c", "#ffffff", "#9aa3ab")
    )
    ramp, series = (_DARK_RAMP, _DARK_SERIES) if dark else (_LIGHT_RAMP, _LIGHT_SERIES)
    rules = [f".un-ground{{fill:{ground}}}.un-text{{fill:{ink}}}.un-text.dim{{fill:{dim}}}"]
    rules.append(f".un-line{{stroke:{rule};fill:none}}")
    colours = ("#{:02x}{:02x}{:02x}".format(*mix(number / (SHADES - 1), ramp)) for number in range(SHADES))
    rules += [f".un-s{number}{{fill:{colour}}}" for number, colour in enumerate(colours)]
    for number, colour in enumerate(series):
        rules.append(f".un-c{number}{{stroke:{colour};fill:none}}.un-text.un-c{number}{{stroke:none;fill:{colour}}}")
    if not dark:
        rules.append(f".un-text{{font:12px {_FONT}}}.un-text.small{{font-size:11px}}")
        rules.append(".un-text.title{font-size:14px;font-weight:bold}")
    return "".join(rules)
