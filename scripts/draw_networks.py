#!/usr/bin/env python3
"""Draw how each network gives the source to the decoder, into docs/assets/networks."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "assets" / "networks"
STEP, WIDTH, HEIGHT = 84, 52, 34
ENCODER, DECODER, OTHER = "#dbe9f6", "#fde5cf", "#e4f1dc"


class Drawing:
    """Boxes and arrows on a page of fixed width."""

    def __init__(self, height: int) -> None:
        self.height, self.parts = height, []

    def box(self, x: float, y: float, label: str, colour: str, width: float = WIDTH) -> None:
        """A box around its centre."""
        self.parts.append(
            f'<rect x="{x - width / 2:g}" y="{y - HEIGHT / 2:g}" width="{width:g}" height="{HEIGHT}" rx="7" '
            f'fill="{colour}" stroke="#555"/>'
        )
        self.text(x, y, label)

    def text(self, x: float, y: float, label: str, size: int = 14) -> None:
        """A word in the middle of a place; what follows `_` is set lower."""
        base, _, below = label.partition("_")
        sub = f'<tspan dy="4" font-size="{size - 4}">{escape(below)}</tspan>' if below else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle" font-size="{size}">{escape(base)}{sub}</text>'
        )

    def arrow(self, x1: float, y1: float, x2: float, y2: float, *, light: bool = False, bend: float = 0) -> None:
        """An arrow; bent sideways if so asked."""
        style = 'stroke="#999" stroke-dasharray="4 3"' if light else 'stroke="#333"'
        path = f"M{x1:g},{y1:g} Q{(x1 + x2) / 2:g},{(y1 + y2) / 2 - bend:g} {x2:g},{y2:g}"
        self.parts.append(f'<path d="{path}" fill="none" {style} stroke-width="1.5" marker-end="url(#tip)"/>')

    def svg(self, title: str) -> str:
        """The whole picture."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {self.height}" role="img" '
            'font-family="sans-serif">'
            f"<title>{escape(title)}</title>"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#333"/></marker></defs>'
            f'<rect width="640" height="{self.height}" fill="#fff"/>'
        )
        return head + "".join(self.parts) + "</svg>\n"


SOURCE = [60 + STEP * place for place in range(3)]
TARGET = [340 + STEP * place for place in range(3)]


def recurrent(kind: str) -> Drawing:
    """Encoder and decoder side by side, and what goes from the one to the other."""
    attends = kind in ("dot", "additive", "bilinear")
    picture = Drawing(330 if attends else 250)
    row = 220 if attends else 140
    shared = kind == "concatenated"
    for place, x in enumerate(SOURCE, 1):
        picture.box(x, row, f"h_{place}", ENCODER)
        picture.text(x, row + 75, f"x_{place}")
        picture.arrow(x, row + 58, x, row + 19)
        if place < 3:
            picture.arrow(x + 27, row, x + STEP - 28, row)
            if not shared:
                picture.arrow(x + STEP - 28, row + 9, x + 27, row + 9, light=True)
    for place, x in enumerate(TARGET, 1):
        picture.box(x, row, f"s_{place}", ENCODER if shared else DECODER)
        picture.text(x, row + 75, f"y_{place - 1}" if place > 1 else ("sep" if shared else "begin"))
        picture.arrow(x, row + 58, x, row + 19)
        picture.text(x, 20, f"y_{place}")
        if place < 3:
            picture.arrow(x + 27, row, x + STEP - 28, row)
    picture.arrow(SOURCE[-1] + 27, row, TARGET[0] - 28, row)
    if attends:
        _attention(picture, kind, row)
    else:
        for x in TARGET:
            picture.arrow(x, row - 19, x, 34)
    if kind in ("every-step", "latent"):
        _summary(picture, kind, row)
    return picture


def _summary(picture: Drawing, kind: str, row: int) -> None:
    picture.box(270, 60, "c" if kind == "every-step" else "c, z", OTHER)
    picture.arrow(SOURCE[-1] + 10, row - 19, 252, 79)
    for x in TARGET:
        picture.arrow(297, 60, x - 12, row - 19, light=True)
    if kind == "latent":
        picture.text(270, 25, "z ~ N(μ, σ²)", 13)


def _attention(picture: Drawing, kind: str, row: int) -> None:
    """One context for each step; drawn for the second in full."""
    for place, x in enumerate(TARGET, 1):
        picture.box(x - 14, 105, f"c_{place}", OTHER, 40)
        if kind == "bilinear":
            picture.arrow(x - 14, row - 19, x - 14, 124)
            picture.arrow(x - 14, 86, x - 4, 34)
        else:
            picture.arrow(x - 14, 124, x - 14, row - 19)
            if place < 3:
                picture.arrow(x + 22, row - 19, x + STEP - 35, 112)
        picture.arrow(x + 14, row - 19, x + 4, 34)
    for x, shade in zip(SOURCE, (True, False, True), strict=True):
        picture.arrow(x, row - 19, TARGET[0] - 35, 105, light=shade, bend=40)


def window() -> Drawing:
    """One hidden layer over the two windows."""
    picture = Drawing(220)
    for place, x in enumerate(SOURCE, 1):
        picture.box(x, 180, f"x_{place}", ENCODER)
        picture.arrow(x, 161, 300, 118)
    for x, label in zip(TARGET, ("y_t-3", "y_t-2", "y_t-1"), strict=True):
        picture.box(x + 40, 180, label, DECODER)
        picture.arrow(x + 40, 161, 340, 118)
    picture.box(320, 100, "hidden layer", OTHER, 150)
    picture.arrow(320, 81, 320, 38)
    picture.text(320, 22, "y_t")
    return picture


def transformer() -> Drawing:
    """Two stacks of layers."""
    picture = Drawing(300)
    for place, x in enumerate(SOURCE, 1):
        picture.text(x, 280, f"x_{place}")
        picture.arrow(x, 266, x, 236)
    for place, x in enumerate(TARGET, 1):
        picture.text(x, 280, f"y_{place - 1}" if place > 1 else "begin")
        picture.arrow(x, 266, x, 236)
        picture.text(x, 20, f"y_{place}")
        picture.arrow(x, 62, x, 34)
    for x, colour, rows in (
        (SOURCE[1], ENCODER, ((218, "every unit looks at every other"), (168, "feed-forward"))),
        (TARGET[1], DECODER, ((218, "looks at what is written"), (148, "looks at the source"), (80, "feed-forward"))),
    ):
        for y, label in rows:
            picture.box(x, y, label, colour, 232)
        for (low, _), (high, _) in pairwise(rows):
            picture.arrow(x, low - 18, x, high + 18)
    picture.arrow(SOURCE[1] + 50, 150, TARGET[1] - 118, 148, bend=14)
    picture.text(SOURCE[1], 118, "N layers of each", 13)
    return picture


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawings = {name: recurrent(name) for name in ("concatenated", "initial", "every-step", "latent")}
    drawings |= {name: recurrent(name) for name in ("dot", "additive", "bilinear")}
    drawings |= {"window": window(), "transformer": transformer()}
    for name, drawing in drawings.items():
        (FOLDER / f"{name}.svg").write_text(drawing.svg(f"The network {name}"), encoding="utf-8")


if __name__ == "__main__":
    main()
