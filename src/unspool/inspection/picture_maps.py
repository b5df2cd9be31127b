"""Maps over a picture, such as saliency and attention: in the terminal, and as HTML, SVG, PNG, JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from unspool.inspection.columns import Columns
from unspool.inspection.paint import RGB, Brush, mix
from unspool.inspection.png import data_address, png_bytes
from unspool.inspection.result import Result
from unspool.inspection.svg import document, shorten, text
from unspool.inspection.terminal_pixels import image_lines, panels

__all__ = ["PictureMaps"]

_HEAT: tuple[RGB, ...] = ((0, 0, 4), (120, 28, 109), (237, 105, 37), (252, 255, 164))  # dark to bright, even in grey
_SIDE = 168  # pixels of a panel's longer side in a picture
_GAP, _TITLE = 12, 20  # pixels between panels, and of the line above each
_COLUMNS = 28  # of a panel in the terminal
_IN_A_ROW = 6  # panels beside each other in a picture


@dataclass(frozen=True, eq=False, repr=False)
class PictureMaps(Result):
    """A picture as the network sees it, maps over it, and small pictures of the network's filters."""

    noun: ClassVar[str] = "picture"
    forms: ClassVar[tuple[str, ...]] = (".html", ".svg", ".png", ".json", ".csv")

    pixels: NDArray[np.uint8]
    """(height, width, channels), 1 grey or 3 colour."""
    maps: Mapping[str, NDArray[np.float32]]
    """Values of each map, at least 0, (rows, columns) of a grid over the picture."""
    prediction: Mapping[str, Any] = field(default_factory=dict)
    """The output as JSON values."""
    model: str = ""
    """One line that describes the network."""
    filters: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Weights of filters, (rows, columns), or (rows, columns, 3) over colour."""
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return prediction, maps and filters as JSON values, without the pixels."""
        return {
            "model": self.model,
            "prediction": dict(self.prediction),
            "notes": list(self.notes),
            "maps": {name: _listed(values) for name, values in self.maps.items()},
            "filters": {name: _listed(values) for name, values in self.filters.items()},
        }

    def to_columns(self) -> Columns:
        """Return one row for each cell of each map: map, row, column, value."""
        cells = [
            (name, row, column, float(values[row, column]))
            for name, values in self.maps.items()
            for row, column in np.ndindex(*values.shape)
        ]
        names = ("map", "row", "column", "value")
        return {title: [cell[place] for cell in cells] for place, title in enumerate(names)}

    def __repr__(self) -> str:
        return f"<PictureMaps of {self.pixels.shape[1]} x {self.pixels.shape[0]} pixels: {', '.join(self.maps)}>"

    def _drawing(self) -> RenderableType:
        return _Panels(self)

    def _repr_html_(self) -> str:
        return f"<figure>{self.svg()}<figcaption>{escape(self._caption())}</figcaption></figure>"

    def _content(self, suffix: str) -> bytes:
        if suffix == ".svg":
            return self.svg().encode()
        return png_bytes(self.sheet()) if suffix == ".png" else super()._content(suffix)

    def _caption(self) -> str:
        label, shares = self.prediction.get("label", ""), self.prediction.get("probabilities", {})
        share = f" ({shares[label]:.3f})" if label in shares else ""
        return " · ".join(part for part in (f"{label}{share}", self.model, *self.notes) if part)

    def _rows(self) -> list[list[tuple[str, NDArray[np.uint8]]]]:
        """Return rows of panels, title and pixels in RGB: the picture and each map over it, then the filters."""
        height, width = self.pixels.shape[:2]
        scale = max(1, -(-_SIDE // max(height, width)))
        large = _in_colour(self.pixels).repeat(scale, 0).repeat(scale, 1)
        maps = [("picture", large), *((name, _over(large, values)) for name, values in self.maps.items())]
        filters = [(name, _filter(values, _SIDE // 2)) for name, values in self.filters.items()]
        return [*_in_rows(maps, _IN_A_ROW), *_in_rows(filters, 2 * _IN_A_ROW)]

    def sheet(self) -> NDArray[np.uint8]:
        """Return all panels as one picture, uint8 (height, width, 3), without titles."""
        rows: list[NDArray[np.uint8]] = []
        for row in self._rows():
            tallest = max(len(pixels) for _, pixels in row)
            padded = [
                np.pad(pixels, ((0, tallest - len(pixels)), (0, _GAP), (0, 0)), constant_values=255)
                for _, pixels in row
            ]
            rows.append(np.concatenate(padded, 1))
        widest = max(row.shape[1] for row in rows)
        wide = [np.pad(row, ((0, _GAP), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
        return np.concatenate(wide)

    def svg(self) -> str:
        """Return all panels with their titles as an SVG document."""
        body: list[str] = []
        y, widest = float(_GAP), 0.0
        for row in self._rows():
            x, tallest = float(_GAP), 0.0
            for title, pixels in row:
                height, width = _shown_size(pixels, small=title in self.filters)
                body.append(text(x, y + 12, shorten(title, width), "small"))
                place = f'x="{x:.0f}" y="{y + _TITLE:.0f}" width="{width:.0f}" height="{height:.0f}"'
                style = 'style="image-rendering:pixelated" preserveAspectRatio="none"'
                body.append(f'<image {place} {style} href="{data_address(pixels)}"/>')
                x, tallest = x + width + _GAP, max(tallest, height)
            y, widest = y + tallest + _TITLE + _GAP, max(widest, x)
        body.append(text(_GAP, y + 10, self._caption(), "dim"))
        widest = max(widest, 7.25 * len(self._caption()) + 2 * _GAP)
        return document(self._caption(), widest, y + 2 * _GAP, body)


class _Panels:
    """Drawing of a picture and its maps in a terminal: half blocks in colour, levels without."""

    def __init__(self, result: PictureMaps) -> None:
        self.result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, result = Brush.of(console), self.result
        height, width = result.pixels.shape[:2]
        columns = _COLUMNS if width >= height else max(1, round(_COLUMNS * width / height))
        lines = max(1, round(columns * height / width / 2))
        images = [("picture", _in_colour(result.pixels))]
        images += [(name, _heat(values, result.pixels.shape[:2])) for name, values in result.maps.items()]
        titled = [(name, image_lines(pixels, lines, columns, brush)) for name, pixels in images]
        yield from panels(titled, columns, options.max_width, brush)
        yield Group(*(Text(brush.plain(line)) for line in result._caption().split(" · ")))


def _nearest(values: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Scale an array, (rows, columns, ...), by its nearest cells."""
    height, width = values.shape[:2]
    scaled: NDArray[Any] = values[np.arange(rows) * height // rows][:, np.arange(columns) * width // columns]
    return scaled


def _in_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2)


def _shares(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Scale a map to 0 to 1, and to the size of a picture by its nearest cells."""
    finite = np.where(np.isfinite(values), values, 0)
    largest = float(finite.max(initial=0)) or 1.0
    shares: NDArray[np.float32] = (finite / largest).clip(0, 1)
    return _nearest(shares, size[0], size[1])


def _heat(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.uint8]:
    table = np.array([mix(share / 255, _HEAT) for share in range(256)], np.uint8)
    heat: NDArray[np.uint8] = table[np.rint(_shares(values, size) * 255).astype(int)]
    return heat


def _over(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture with a map over it: the larger the value, the more of its colour."""
    shares = _shares(values, pixels.shape[:2])[:, :, None]
    grey = pixels.mean(2, keepdims=True) * 0.6
    mixed: NDArray[np.uint8] = np.rint(grey * (1 - shares) + _heat(values, pixels.shape[:2]) * shares).astype(np.uint8)
    return mixed


def _filter(values: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """Return weights as grey or colour, with 0 in the middle."""
    largest = float(np.abs(values).max(initial=0)) or 1.0
    grey = np.rint(127.5 + 127.5 * values / largest).astype(np.uint8)
    pixels = _in_colour(grey.reshape(*grey.shape[:2], -1))
    scale = max(1, side // max(grey.shape[:2]))
    return pixels.repeat(scale, 0).repeat(scale, 1)


def _shown_size(pixels: NDArray[np.uint8], *, small: bool) -> tuple[float, float]:
    scale = (_SIDE / 2 if small else _SIDE) / max(pixels.shape[:2])
    return pixels.shape[0] * scale, pixels.shape[1] * scale


def _in_rows(panels: list[tuple[str, NDArray[np.uint8]]], most: int) -> list[list[tuple[str, NDArray[np.uint8]]]]:
    return [panels[start : start + most] for start in range(0, len(panels), most)]


def _listed(values: NDArray[np.float32]) -> list[Any]:
    listed: list[Any] = np.where(np.isfinite(values), values, 0).tolist()
    return listed
