"""SVG picture of gradients through time: decay curves in one plot, and heat maps of losses by steps on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from unspool.inspection.gradient_views import binned, log_scale
from unspool.inspection.gradients import Gradients, Norms
from unspool.inspection.svg import (
    LETTER,
    SHADES,
    SMALL,
    document,
    line,
    series_class,
    shade_class,
    shorten,
    text,
)
from unspool.inspection.trace import visible

__all__ = ["gradient_picture"]

_WIDTH, _PAD, _AXIS, _GAP = 760.0, 20.0, 64.0, 24.0
_PLOT_HEIGHT, _ROW = 200.0, 18.0
_MOST_CELLS, _TALLEST = 100, 480.0  # cells per side of a heat map, and its largest height in pixels
_MOST_NAMES, _NAME = 26, 96.0  # rows with names, and the width of a name in pixels


def gradient_picture(gradients: Mapping[str, Gradients], arrays: Mapping[str, str] | None = None) -> str:
    """Return an SVG picture of the gradients of one network or several.

    The plot shows the mean log norm against the distance; below stands a heat map of each network, all on one colour
    scale. Long texts are binned, and a bin shows its largest norm.

    Args:
        gradients: Results by name.
        arrays: Name of the array to draw of each; the whole state of the first layer if omitted.
    """
    arrays = arrays or {name: each.main for name, each in gradients.items()}
    ends = log_scale(*(each.array(arrays[name]) for name, each in gradients.items()))
    body = [text(_PAD, 28, "Gradient through time", "title")]
    y = 28.0 + 10
    y = _plot(body, gradients, arrays, y)
    y = _scale(body, ends, y + 10)
    across = 1 if len(gradients) == 1 else 2
    width = (_WIDTH - 2 * _PAD - (across - 1) * _GAP) / across
    bottoms: list[float] = []
    for number, (name, each) in enumerate(gradients.items()):
        if number % across == 0:
            y, bottoms = max([y, *bottoms]), []
        x = _PAD + number % across * (width + _GAP)
        title = f"{name}: {arrays[name]}" if name else arrays[name]
        if each.model and each.model != name and across == 1:
            title += f" of {each.model}"
        body.append(text(x, y + 16, shorten(title, width, LETTER * 1.2), "title"))
        bottoms.append(_map(body, each, arrays[name], ends, (x, y + 26, width)) + 14)
    y = max([y, *bottoms])
    return document("Gradient through time", _WIDTH, y + 4, body)


def _plot(body: list[str], gradients: Mapping[str, Gradients], arrays: Mapping[str, str], y: float) -> float:
    """Draw the decay curves; return the y below their legend."""
    curves = {name: each.decay(arrays[name]) for name, each in gradients.items()}
    points = [decay for decay in curves.values() if len(decay.means)]
    if not points:
        body.append(text(_PAD, y + 18, "the gradient is zero everywhere", "dim"))
        return y + 30
    most = max(1, max(int(decay.distances[-1]) for decay in points))
    values = np.concatenate([decay.means for decay in points]) / math.log(10)
    low, high = math.floor(values.min()), math.ceil(values.max())
    high = high if high > low else low + 1
    left, right, top = _PAD + _AXIS, _WIDTH - _PAD, y + 28
    bottom = top + _PLOT_HEIGHT
    body.append(text(_PAD, y + 16, "mean norm (logarithmic) against the distance from the loss, in steps", "dim"))
    step = -(-(high - low) // 6)
    for power in range(low, high + 1, step):
        at = bottom - (power - low) / (high - low) * _PLOT_HEIGHT
        body += [line(left, at, right, at), text(left - 8, at + 4, f"1e{power:+03d}", "dim small", "end")]
    for distance in _ticks(most):
        x = left + distance / most * (right - left)
        body += [line(x, bottom, x, bottom + 4), text(x, bottom + 17, str(distance), "dim small", "middle")]
    for number, decay in enumerate(curves.values()):
        xs = left + decay.distances / most * (right - left)
        ys = bottom - (decay.means / math.log(10) - low) / (high - low) * _PLOT_HEIGHT
        path = " ".join(f"{x:.1f},{at:.1f}" for x, at in zip(xs, ys, strict=True))
        body.append(f'<polyline class="{series_class(number)}" stroke-width="2" points="{path}"/>')
    y = bottom + 40
    for number, (name, decay) in enumerate(curves.items()):
        body.append(f'<path class="{series_class(number)}" stroke-width="3" d="M{left} {y - 4:.1f}h22"/>')
        life = "does not decay" if math.isinf(decay.half_life) else f"half-life {decay.half_life:.3g} steps"
        label = f"{name or arrays[name]}: {life}, factor {decay.factor:.3g} per step"
        body.append(text(left + 32, y, shorten(label, right - left - 32)))
        y += _ROW
    return y


def _ticks(most: int) -> list[int]:
    step = next(size * 10**power for power in range(9) for size in (1, 2, 5) if size * 10**power * 8 >= most)
    return list(range(0, most + 1, step))


def _scale(body: list[str], ends: tuple[float, float], y: float) -> float:
    """Draw the colour scale of the maps; return the y below."""
    x = _PAD + _AXIS
    body.append(text(x - 8, y + 11, f"{10 ** ends[0]:.0e}", "dim small", "end"))
    for number in range(SHADES):
        box = f'x="{x + number * 12:.1f}" y="{y:.1f}" width="12" height="14"'
        body.append(f'<rect class="{shade_class(number / (SHADES - 1))}" {box}/>')
    end = x + SHADES * 12
    body.append(text(end + 8, y + 11, f"{10 ** ends[1]:.0e}: norm of the gradient; empty: none", "dim small"))
    return y + 30


def _map(
    body: list[str], gradients: Gradients, name: str, ends: tuple[float, float], box: tuple[float, float, float]
) -> float:
    """Draw one heat map, losses downwards and steps across, into x, y and width; return the y below."""
    x_left, y, room = box
    rows, row_starts = binned(gradients.array(name).T, len(gradients.losses), _MOST_CELLS)
    cells, starts = binned(rows.T, len(gradients.tokens), _MOST_CELLS)
    named_rows, named_columns = len(cells) <= _MOST_NAMES, len(starts) <= _MOST_NAMES
    left = x_left + (_NAME + 8 if named_rows else _AXIS / 2)
    width = min(26.0, (x_left + room - left) / len(starts), _TALLEST / len(cells))
    height = _ROW if named_rows else width
    if named_columns:
        names = [shorten(visible(gradients.tokens[start]), _NAME, SMALL) for start in starts]
        y += max(map(len, names)) * SMALL * 0.72 + 12
        for index, label in enumerate(names):
            x = left + (index + 0.5) * width
            body.append(f'<g transform="translate({x:.1f} {y - 5:.1f}) rotate(-45)">{text(0, 0, label, "small")}</g>')
    body += _cells(cells, left, y, width, height, ends)
    bottom = y + len(cells) * height
    for index in _some(len(cells), named_rows):
        label = visible(gradients.losses[row_starts[index]]) if named_rows else str(row_starts[index] + 1)
        body.append(text(left - 8, y + (index + 0.5) * height + 4, shorten(label, _NAME, SMALL), "small", "end"))
    if not named_columns:
        for index in _some(len(starts), False):
            x = left + (index + 0.5) * width
            body.append(text(x, bottom + 14, str(starts[index] + 1), "dim small", "middle"))
        bottom += 16
    loss = "rows: the loss at t" if len(gradients.losses) > 1 else "one loss"
    caption = shorten(f"{loss}; columns: the step s of the state", room, SMALL)
    body.append(text(x_left, bottom + 16, caption, "dim small"))
    return bottom + 22


def _some(count: int, every: bool) -> list[int]:
    """Return the indices that get a label."""
    return list(range(count)) if every else sorted({*range(0, count, max(1, -(-count // 8)))})


def _cells(values: Norms, x: float, y: float, width: float, height: float, ends: tuple[float, float]) -> list[str]:
    """Draw the cells, one path per colour; a norm of zero stays empty."""
    with np.errstate(divide="ignore"):
        shares = (np.log10(values) - ends[0]) / (ends[1] - ends[0])
    positive = (values > 0) & np.isfinite(values)
    levels = np.rint(np.clip(np.where(positive, shares, 0), 0, 1) * (SHADES - 1)).astype(int)
    box = f"h{width + 0.1:.2f}v{height + 0.1:.2f}h-{width + 0.1:.2f}z"
    paths = []
    for level in range(SHADES):
        places = np.argwhere(positive & (levels == level))
        if len(places):
            path = "".join(f"M{x + column * width:.2f} {y + row * height:.2f}{box}" for row, column in places)
            paths.append(f'<path class="un-s{level}" d="{path}"/>')
    frame = f'x="{x:.1f}" y="{y:.1f}" width="{values.shape[1] * width:.1f}" height="{len(values) * height:.1f}"'
    return [*paths, f'<rect class="un-line" {frame}/>']
