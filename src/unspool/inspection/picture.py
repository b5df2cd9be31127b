"""A trace as a still picture: one SVG, a strip per gate and a column per token."""

from __future__ import annotations

import math
from html import escape

from rich.cells import cell_len

from unspool.inspection.overview import Column, columns, legend, sentences, units
from unspool.inspection.paint import SEQUENTIAL, mix
from unspool.inspection.trace import Trace, visible

__all__ = ["picture"]

_CELL, _ROW, _LEFT, _PAD = 46, 26, 110, 16
_LETTER = 7.0  # width of a letter in the fixed font, pixels
_CUT, _ACROSS = 18, 24  # longest token above a column, in letters; tokens side by side before the strips wrap
_STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#222}.dim{fill:#666;font-size:11px}"
    ".title{font-weight:bold;font-size:14px}.n{font-size:10.5px;text-anchor:middle}.w{fill:#fff}"
)


def picture(trace: Trace) -> str:
    """The gates of every place over the tokens, as the text of an SVG file.

    The numbers are those of the terminal view: each cell holds its value, its colour runs from empty to a full bar.
    """
    body: list[str] = []
    names = [_cut(token) for token in trace.tokens]
    above = max((cell_len(name) for name in names), default=0) * _LETTER * 0.75 + 16
    width = max(520.0, _LEFT + min(len(names), _ACROSS) * _CELL + above + _PAD)
    y = float(_PAD + 14)
    if trace.model:
        y = _lines(body, trace.model, y, width, "title")
    label = trace.prediction.get("label", trace.prediction.get("labels"))
    if label is not None:
        y = _lines(body, "predicted: " + (label if isinstance(label, str) else ", ".join(map(str, label))), y, width)
    for place in trace.places or ("",):
        y = _place(body, trace, place, names, y + 6, above, width)
    for note in trace.notes:
        y = _lines(body, f"Note: {note}", y, width, "dim")
    size = f"{width:.0f} {y:.0f}"
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width:.0f}" height="{y:.0f}">'
    title = escape(" ".join(map(visible, trace.tokens)))
    return "\n".join(
        [
            start,
            f"<title>{title}</title><style>{_STYLE}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _place(body: list[str], trace: Trace, place: str, names: list[str], y: float, above: float, width: float) -> float:
    shown = columns(trace, place)
    body.append(_text(_PAD, y, place, "title"))
    for start in range(0, len(names), _ACROSS):
        y += above
        for place_in_row, name in enumerate(names[start : start + _ACROSS]):
            x = _LEFT + (place_in_row + 0.5) * _CELL
            body.append(f'<g transform="translate({x:.0f} {y - 6:.0f}) rotate(-45)">{_text(0, 0, name)}</g>')
        if tags := trace.prediction.get("tags"):
            body.append(_text(_PAD, y + _ROW / 2 + 4, "tag"))
            for index, tag in enumerate(map(str, tags[start : start + _ACROSS])):
                body.append(_text(_LEFT + index * _CELL + _CELL / 2 - 1, y + _ROW / 2 + 3, visible(tag)[:8], "n"))
            y += _ROW
        for column in shown:
            body.append(_text(_PAD, y + _ROW / 2 + 4, column.title[:13]))
            body += [_cell(column, index, y) for index in range(start, min(start + _ACROSS, len(names)))]
            y += _ROW
    y += 18
    for said in sentences(trace, place):
        y = _lines(body, said, y, width)
    return _lines(body, legend(shown, units(trace.at(place))), y, width, "dim") + 10


def _cell(column: Column, index: int, y: float) -> str:
    value, x = float(column.values[index]), _LEFT + index % _ACROSS * _CELL
    share = value / column.high
    fill = "#{:02x}{:02x}{:02x}".format(*mix(share, SEQUENTIAL)) if math.isfinite(share) else "none"
    number = f"{value:.2f}" if math.isfinite(value) else str(value)
    kind = "n w" if share > 0.6 else "n"
    box = f'<rect x="{x}" y="{y:.0f}" width="{_CELL - 2}" height="{_ROW - 2}" rx="2" fill="{fill}"/>'
    return box + _text(x + (_CELL - 2) / 2, y + _ROW / 2 + 3, number, kind)


def _lines(body: list[str], text: str, y: float, width: float, kind: str = "") -> float:
    """Append a text over as many lines as it needs; the y of the line after it."""
    room = max(20, int((width - 2 * _PAD) / (_LETTER * (1.2 if kind == "title" else 1.04))))
    line = ""
    for word in _visible_words(text):
        if line and cell_len(line) + 1 + cell_len(word) > room:
            body.append(_text(_PAD, y, line, kind))
            y, line = y + 17, word
        else:
            line = f"{line} {word}" if line else word
    body.append(_text(_PAD, y, line, kind))
    return y + 17


def _visible_words(text: str) -> list[str]:
    return [visible(word) for word in text.split()]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"' + (f' class="{kind}"' if kind else "") + f">{escape(text)}</text>"


def _cut(token: str) -> str:
    text = visible(token)
    if cell_len(text) <= _CUT:
        return text
    while cell_len(text) > _CUT - 1:
        text = text[:-1]
    return text + "…"
