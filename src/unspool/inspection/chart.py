"""Bar chart of scores as SVG: one panel per score, one bar per network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

__all__ = ["bar_chart"]

_ROW, _LABEL, _BAR, _GAP, _TOP = 22, 130, 150, 70, 44
_COLOURS = ("#33658a", "#86bbd8", "#758e4f", "#f6ae2d", "#f26419", "#6d597a", "#b56576", "#2f4858", "#9aa0a6")


def bar_chart(scores: Mapping[str, Mapping[str, float]], *, title: str) -> str:
    """Return an SVG bar chart of scores.

    Scores with the same name up to a comma (`bleu`, `bleu, over 8 words`) share a scale.

    Args:
        scores: Scores of each network by name; a missing or non-finite score has no bar.
        title: Title of the chart.
    """
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    height = _TOP + 26 + _ROW * len(scores) + 12
    width = _LABEL + len(names) * (_BAR + _GAP)
    body = [_text(8, 24, title, 15)]
    for row, network in enumerate(scores):
        body.append(_text(_LABEL - 10, _middle(row), network, 12, "end"))
    for place, name in enumerate(names):
        x = _LABEL + place * (_BAR + _GAP)
        body.append(_text(x, _TOP + 12, name, 12))
        body += _panel(scores, name, _scale(scores, name, names), x)
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    ground = f'<title>{escape(title)}</title><rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([start, ground, *body, "</svg>\n"])


def _panel(scores: Mapping[str, Mapping[str, float]], name: str, most: float, x: float) -> list[str]:
    marks = []
    for row, values in enumerate(scores.values()):
        value = values.get(name, math.nan)
        if not math.isfinite(value):
            continue
        length = _BAR * max(0.0, value) / most if most else 0.0
        y = _middle(row) - 11
        colour = _COLOURS[row % len(_COLOURS)]
        marks.append(f'<rect x="{x:g}" y="{y:g}" width="{length:.1f}" height="14" fill="{colour}"/>')
        marks.append(_text(x + length + 4, _middle(row), f"{value:.4g}", 11))
    return marks


def _scale(scores: Mapping[str, Mapping[str, float]], name: str, names: list[str]) -> float:
    """Return the value of a full bar: the maximum over all scores of one family."""
    family = [other for other in names if other.partition(",")[0] == name.partition(",")[0]]
    values = [row[other] for row in scores.values() for other in family if other in row]
    return max((value for value in values if math.isfinite(value)), default=0.0)


def _middle(row: int) -> float:
    return _TOP + 26 + _ROW * row + 15


def _text(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="#222">{escape(text)}</text>'
