"""Maps over an image: for each word, the image lit where the network looked, in a terminal and as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.maps import Map
from unspool.inspection.paint import Brush
from unspool.inspection.png import data_address
from unspool.inspection.shown_image import ShownImage
from unspool.inspection.terminal_pixels import image_lines, level_lines, panels
from unspool.inspection.trace import Trace, visible

__all__ = ["ImageWords", "is_over_image", "svg_words"]

_WIDEST = 24  # columns of one image in the terminal
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
        tiles = [("image", image_lines(image.pixels, lines, columns, brush))] if brush.colour else []
        for word, weights in zip(matrix.rows, matrix.values, strict=True):
            if brush.colour:
                tile = image_lines(image.lit(weights), lines, columns, brush)
            else:
                tile = level_lines(image.shading(weights), lines, columns, brush)
            tiles.append((visible(word), tile))
        yield Text(brush.plain(self.name), style="bold")
        yield from panels(tiles, columns, options.max_width, brush)
        end = f"; {visible('')}: the end" if "" in matrix.rows else ""
        what = "bright: where it looked" if brush.colour else "dark blocks: where it looked"
        yield Text(brush.plain(f"{what}; the brightest cell of each image has the largest weight{end}"), style="dim")


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
