"""Images in a terminal: blocks of colour, two pixels above each other in a character, or levels without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from unspool.inspection.paint import Brush

__all__ = ["image_lines", "level_lines", "panels", "resampled"]

_GAP = 2  # columns between two panels


def image_lines(pixels: NDArray[np.uint8], lines: int, columns: int, brush: Brush) -> list[Text]:
    """Draw an image, (height, width, 3), in lines of characters; without colours, by its brightness."""
    if not brush.colour:
        return level_lines(pixels.mean(2) / 255, lines, columns, brush)
    if brush.ascii_only:
        small = resampled(pixels, lines, columns)
        return [_blocks(row, row, " ") for row in small]
    small = resampled(pixels, 2 * lines, columns)
    return [_blocks(small[2 * line], small[2 * line + 1], "▀") for line in range(lines)]


def level_lines(shares: NDArray[Any], lines: int, columns: int, brush: Brush) -> list[Text]:
    """Draw numbers between 0 and 1, (height, width), as characters that grow with them."""
    small = resampled(shares[:, :, None], lines, columns)[:, :, 0]
    return [Text("".join(brush.level(float(share)) for share in row)) for row in small]


def panels(titled: Sequence[tuple[str, list[Text]]], columns: int, width: int, brush: Brush) -> Iterator[Text]:
    """Put drawings of the same number of columns beside each other, as many as fit into a width, with titles above."""
    across = max(1, (width + _GAP) // (columns + _GAP))
    for start in range(0, len(titled), across):
        part = titled[start : start + across]
        titles = (" " * _GAP).join(brush.fit(title, columns) for title, _ in part)
        yield Text(titles.rstrip(), no_wrap=True, overflow="crop")
        for line in range(max(len(lines) for _, lines in part)):
            yield _joined([lines[line] if line < len(lines) else Text(" " * columns) for _, lines in part])


def resampled(values: NDArray[Any], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the means over the parts of an image, (height, width, channels), that the cells of a new grid cover."""
    down, across = (_shares(size, cells) for size, cells in zip(values.shape[:2], (rows, columns), strict=True))
    means: NDArray[np.float64] = np.einsum("rh,hwk,cw->rck", down, values.astype(np.float64), across)
    return means


def _joined(parts: list[Text]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for number, part in enumerate(parts):
        line.append_text(Text(" " * _GAP if number else "")).append_text(part)
    return line


def _blocks(upper: NDArray[Any], lower: NDArray[Any], sign: str) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for above, below in zip(np.rint(upper).astype(int).tolist(), np.rint(lower).astype(int).tolist(), strict=True):
        line.append(sign, Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
    return line


def _shares(size: int, cells: int) -> NDArray[np.float64]:
    """Return the share of each of `size` pixels in each cell, (cells, size)."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(inside, 0, None)
    shares: NDArray[np.float64] = overlap / overlap.sum(1, keepdims=True)
    return shares
