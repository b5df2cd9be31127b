"""SVG picture of a trace: the first map in full, other maps small, and a strip per gate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from rich.cells import cell_len

from unspool.inspection.image_words import is_over_image, svg_words
from unspool.inspection.maps import Map
from unspool.inspection.overview import Column, columns, extent, legend, sentences, units
from unspool.inspection.paint import DIVERGING, SEQUENTIAL, mix
from unspool.inspection.trace import Trace, visible

__all__ = ["picture"]

_CELL, _ROW, _LEFT, _PAD = 46, 26, 110, 16
_LETTER = 7.0  # width of a letter in the fixed font, pixels
_CUT, _ACROSS = 18, 24  # maximum letters of a token above a column; tokens per strip
_SMALL, _GAP = 150, 14  # longest side of a small map, and the gap between two
_SHADES, _FAINT = 12, 0.04  # colours of a small map; fraction of the scale that is left blank
_STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#222}.dim{fill:#666;font-size:11px}"
    ".title{font-weight:bold;font-size:14px}.n{font-size:10.5px;text-anchor:middle}.w{fill:#fff}.small{font-size:9.5px}"
)


def picture(trace: Trace) -> str:
    """Return an SVG picture of a trace: maps, and the gates of every place over the tokens.

    The numbers are those of the terminal view; the colour of a cell runs from an empty to a full bar. Maps after the
    first one are small, without numbers. The output text follows the input.
    """
    body: list[str] = []
    sides = [trace] if trace.written is None else [trace, trace.written]
    longest = max((len(side.tokens) for side in sides if side.places or trace.image is None), default=0)
    width = max(
        520.0 if len(trace.maps) < 2 and trace.image is None else 860.0,
        _LEFT + min(longest, _ACROSS) * _CELL + max(map(_above, sides)) + _PAD,
    )
    y = float(_PAD + 14)
    if trace.model:
        y = _lines(body, trace.model, y, width, "title")
    for line in _prediction_lines(trace):
        y = _lines(body, line, y, width)
    if trace.maps:
        name, *others = trace.maps
        if trace.image is not None and is_over_image(trace, name):
            images, y = svg_words(name, trace.maps[name], trace.image, _PAD, y + 6)
            body += images
        else:
            y = _map(body, name, trace.maps[name], y + 6)
            y = _small_maps(body, {other: trace.maps[other] for other in others}, y, width)
    for side in sides:
        for place in side.places or (("",) if not trace.maps else ()):
            y = _place(body, side, place, y + 6, width)
    for note in trace.notes:
        y = _lines(body, f"Note: {note}", y, width, "dim")
    size = f"{width:.0f} {y:.0f}"
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width:.0f}" height="{y:.0f}">'
    title = escape(" ".join(map(visible, trace.tokens if trace.image is None else sides[-1].tokens)))
    return "\n".join(
        [
            start,
            f"<title>{title}</title><style>{_STYLE}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _prediction_lines(trace: Trace) -> list[str]:
    label = trace.prediction.get("label", trace.prediction.get("labels"))
    lines = [] if label is None else ["predicted: " + (label if isinstance(label, str) else ", ".join(map(str, label)))]
    texts = {name: trace.prediction.get(name) for name in ("translation", "caption")}
    return lines + [f"{name}: {text}" for name, text in texts.items() if isinstance(text, str)]


def _above(trace: Trace) -> float:
    """Return the height of the tokens above their columns."""
    return _slant(_cut(token) for token in trace.tokens)


def _slant(names: Iterable[str]) -> float:
    return max((cell_len(name) for name in names), default=0) * _LETTER * 0.75 + 16


def _map(body: list[str], name: str, matrix: Map, y: float) -> float:
    """Draw one map in full; return the y below it."""
    low, high = extent(matrix.values)
    body.append(_text(_PAD, y, name, "title"))
    for start in range(0, len(matrix.columns), _ACROSS):
        across = matrix.columns[start : start + _ACROSS]
        y = _slanted(body, [_cut(token) for token in across], y)
        body.append(_ground(_LEFT, y, len(across) * _CELL - 2, len(matrix.rows) * _ROW - 2, low))
        for token, row in zip(matrix.rows, matrix.values[:, start : start + _ACROSS].tolist(), strict=True):
            body.append(_text(_PAD, y + _ROW / 2 + 4, _cut(token, 13)))
            for index, value in enumerate(row):
                if not abs(value) < 0.005:
                    body.append(_square(value, (value - low) / (high - low), _LEFT + index * _CELL, y, low < 0))
            y += _ROW
    return y + 18


def _small_maps(body: list[str], maps: Mapping[str, Map], y: float, width: float) -> float:
    """Draw maps without numbers, one row for a mean and its heads; return the y below them."""
    x, tallest, lead = float(_PAD), 0.0, ""
    for name, matrix in maps.items():
        ends, cell = extent(matrix.values), min(12.0, _SMALL / max(matrix.values.shape))
        belongs = bool(lead) and name.startswith(f"{lead} ")
        title = name[len(lead) + 1 :] if belongs else name
        across = max(len(matrix.columns) * cell, cell_len(title) * 5.8)
        if x > _PAD and (not belongs or x + across > width - _PAD):
            x, y, tallest = float(_PAD), y + tallest + _GAP, 0.0
        lead = lead if belongs else name
        body.append(_text(x, y + 10, title, "small"))
        body.append(_ground(x, y + 16, len(matrix.columns) * cell, len(matrix.rows) * cell, ends[0]))
        body += _shades(matrix, x, y + 16, cell, ends)
        x, tallest = x + across + _GAP, max(tallest, len(matrix.rows) * cell + 16)
    return y + tallest + 24 if maps else y


def _shades(matrix: Map, x: float, y: float, cell: float, ends: tuple[float, float]) -> list[str]:
    """Draw the cells of a small map, one path per colour."""
    low, high = ends
    shares = (matrix.values - low) / (high - low)
    levels = np.ceil(np.clip(np.nan_to_num(shares, nan=_empty(low)), 0, 1) * _SHADES).astype(int)
    mask = np.abs(shares - _empty(low)) >= _FAINT
    paths = []
    for level in range(_SHADES + 1):
        places = np.argwhere(mask & (levels == level))
        if len(places):
            box = f"h{cell:.2f}v{cell:.2f}h-{cell:.2f}z"
            path = "".join(f"M{x + column * cell:.2f} {y + row * cell:.2f}{box}" for row, column in places)
            paths.append(f'<path d="{path}" fill="{_hex(level / _SHADES, low < 0)}"/>')
    return paths


def _ground(x: float, y: float, width: float, height: float, low: float) -> str:
    fill = _hex(_empty(low), low < 0)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{fill}"/>'


def _empty(low: float) -> float:
    """Return the position of 0 on the scale, between 0 and 1."""
    return 0.5 if low < 0 else 0.0


def _hex(share: float, signed: bool = False) -> str:
    return "#{:02x}{:02x}{:02x}".format(*mix(share, DIVERGING if signed else SEQUENTIAL))


def _square(value: float, share: float, x: float, y: float, signed: bool = False) -> str:
    """Draw a cell with its number."""
    fill = _hex(share, signed) if math.isfinite(share) else "none"
    number = f"{value:.2f}" if math.isfinite(value) else str(value)
    dark = abs(share - 0.5) > 0.3 if signed else share > 0.6
    box = f'<rect x="{x}" y="{y:.0f}" width="{_CELL - 2}" height="{_ROW - 2}" rx="2" fill="{fill}"/>'
    return box + _text(x + (_CELL - 2) / 2, y + _ROW / 2 + 3, number, "n w" if dark else "n")


def _slanted(body: list[str], names: list[str], y: float) -> float:
    """Draw names above their columns; return the y below them."""
    y += _slant(names)
    for index, name in enumerate(names):
        x = _LEFT + (index + 0.5) * _CELL
        body.append(f'<g transform="translate({x:.0f} {y - 6:.0f}) rotate(-45)">{_text(0, 0, name)}</g>')
    return y


def _place(body: list[str], trace: Trace, place: str, y: float, width: float) -> float:
    place_columns, names = columns(trace, place), [_cut(token) for token in trace.tokens]
    body.append(_text(_PAD, y, place, "title"))
    for start in range(0, len(names), _ACROSS):
        y = _slanted(body, names[start : start + _ACROSS], y)
        if tags := trace.prediction.get("tags"):
            body.append(_text(_PAD, y + _ROW / 2 + 4, "tag"))
            for index, tag in enumerate(map(str, tags[start : start + _ACROSS])):
                body.append(_text(_LEFT + index * _CELL + _CELL / 2 - 1, y + _ROW / 2 + 3, visible(tag)[:8], "n"))
            y += _ROW
        for column in place_columns:
            body.append(_text(_PAD, y + _ROW / 2 + 4, column.title[:13]))
            body += [_cell(column, index, y) for index in range(start, min(start + _ACROSS, len(names)))]
            y += _ROW
    y += 18
    for line in sentences(trace, place):
        y = _lines(body, line, y, width)
    return _lines(body, legend(place_columns, units(trace.at(place))), y, width, "dim") + 10


def _cell(column: Column, index: int, y: float) -> str:
    value = float(column.values[index])
    return _square(value, value / column.high, _LEFT + index % _ACROSS * _CELL, y)


def _lines(body: list[str], text: str, y: float, width: float, kind: str = "") -> float:
    """Append a text on as many lines as it needs; return the y of the next line."""
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


def _cut(token: str, most: int = _CUT) -> str:
    text = visible(token)
    if cell_len(text) <= most:
        return text
    while cell_len(text) > most - 1:
        text = text[:-1]
    return text + "…"
