"""Maps over an image: for each word, the image lit where the network looked, in a terminal and as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from unspool.inspection.maps import Map
from unspool.inspection.paint import Brush
from unspool.inspection.png import data_address
from unspool.inspection.shown_image import ShownImage
from unspool.inspection.trace import Trace, visible

__all__ = ["ImageWords", "is_over_image", "svg_words"]

_WIDEST, _GAP = 24, 2  # columns of one image in the terminal, and between two
_DARK = 0.25  # brightness of the parts without weight
_SIDE, _ACROSS = 112, 7  # pixels of one image in an SVG file, and images in a row


def is_over_image(trace: Trace, name: str) -> bool:
    """Return whether the columns of a map are the parts of the trace's image."""
    return trace.image is not None and trace.map(name).columns == trace.tokens


@dataclass(frozen=True)
class ImageWords:
    """One map of a trace as images: for each row, the image lit by its weights; the image itself comes first.

    Without colours, blocks show the weights alone, in the places of the image.

    Raises:
        UsageError: If the trace has no such map.
    """

    trace: Trace
    name: str

    def __post_init__(self) -> None:
        self.trace.map(self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, matrix, image = Brush.of(console), self.trace.map(self.name), self.trace.image
        assert image is not None
        height, width = image.pixels.shape[:2]
        columns = max(8, min(_WIDEST, width, options.max_width))
        lines = max(2, round(columns * height / width / 2))
        tiles = [("image", _tile(image.pixels, lines, columns, brush))] if brush.colour else []
        tiles += [
            (visible(word), _tile_of(image, weights, lines, columns, brush))
            for word, weights in zip(matrix.rows, matrix.values, strict=True)
        ]
        across = max(1, (options.max_width + _GAP) // (columns + _GAP))
        yield Text(brush.plain(self.name), style="bold")
        for start in range(0, len(tiles), across):
            part = tiles[start : start + across]
            titles = (" " * _GAP).join(brush.fit(title, columns) for title, _ in part)
            yield Text(titles.rstrip(), no_wrap=True, overflow="crop")
            for line in range(lines):
                yield _joined([tile[line] for _, tile in part])
        end = f"; {visible('')}: the end" if "" in matrix.rows else ""
        what = "bright: where it looked" if brush.colour else "dark blocks: where it looked"
        yield Text(brush.plain(f"{what}; the brightest cell of each image has the largest weight{end}"), style="dim")


def _joined(parts: list[Text]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for number, part in enumerate(parts):
        line.append_text(Text(" " * _GAP if number else "")).append_text(part)
    return line


def _tile_of(image: ShownImage, weights: NDArray[Any], lines: int, columns: int, brush: Brush) -> list[Text]:
    if brush.colour:
        return _tile(image.lit(weights, dark=_DARK), lines, columns, brush)
    shades = _resampled(image.shading(weights)[:, :, None], lines, columns)[:, :, 0]
    return [Text("".join(brush.level(float(share)) for share in row)) for row in shades]


def _tile(pixels: NDArray[np.uint8], lines: int, columns: int, brush: Brush) -> list[Text]:
    """Return an image in lines of blocks; a character shows two pixels, one above the other, if it can."""
    if brush.ascii_only:
        small = _resampled(pixels, lines, columns)
        return [_blocks(row, row, " ") for row in small]
    small = _resampled(pixels, 2 * lines, columns)
    return [_blocks(small[2 * line], small[2 * line + 1], "▀") for line in range(lines)]


def _blocks(upper: NDArray[Any], lower: NDArray[Any], sign: str) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for above, below in zip(np.rint(upper).astype(int).tolist(), np.rint(lower).astype(int).tolist(), strict=True):
        line.append(sign, Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
    return line


def _resampled(values: NDArray[Any], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the means over the parts of an image, (height, width, channels), that the cells of a new grid cover."""
    down, across = (_shares(size, cells) for size, cells in zip(values.shape[:2], (rows, columns), strict=True))
    resampled: NDArray[np.float64] = np.einsum("rh,hwk,cw->rck", down, values.astype(np.float64), across)
    return resampled


def _shares(size: int, cells: int) -> NDArray[np.float64]:
    """Return the share of each of `size` pixels in each cell, (cells, size)."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(inside, 0, None)
    shares: NDArray[np.float64] = overlap / overlap.sum(1, keepdims=True)
    return shares


def svg_words(name: str, matrix: Map, image: ShownImage, x: float, y: float) -> tuple[list[str], float]:
    """Draw a map over an image for an SVG file.

    Args:
        name: Name of the map.
        matrix: The map.
        image: The image.
        x: Left edge.
        y: Baseline of the title.

    Returns:
        The elements, and the y below them.
    """
    height, width = image.pixels.shape[:2]
    high = _SIDE * height / width
    body = [f'<text x="{x:.0f}" y="{y:.0f}" class="title">{escape(name)}</text>']
    tiles = [("image", image.pixels), *((visible(word), image.lit(row)) for word, row in _rows(matrix))]
    for number, (title, pixels) in enumerate(tiles):
        left, top = x + number % _ACROSS * (_SIDE + 8), y + 14 + number // _ACROSS * (high + 26)
        body.append(
            f'<image x="{left:.0f}" y="{top:.0f}" width="{_SIDE}" height="{high:.0f}" '
            f'style="image-rendering:pixelated" href="{data_address(pixels)}"/>'
            f'<text x="{left + _SIDE / 2:.0f}" y="{top + high + 15:.0f}" class="n">{escape(title)}</text>'
        )
    return body, y + 14 + -(-len(tiles) // _ACROSS) * (high + 26) + 12


def _rows(matrix: Map) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield from zip(matrix.rows, matrix.values, strict=True)
