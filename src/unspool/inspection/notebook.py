"""HTML of results for notebooks: a picture, and over it a self-contained page in a sandboxed frame."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from dataclasses import replace
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from unspool.inspection.trace import Trace

__all__ = ["LARGEST", "framed", "opened_html", "pictured", "show_result", "trace_html"]

LARGEST = 2_000_000
"""Maximum bytes of a result in a notebook. A notebook stores each output in its file."""
_HEIGHT = 560  # pixels; a page can't measure a sandboxed frame, so the frame scrolls
_BOX = "display:grid;grid-template-columns:minmax(0,1fr)"
_CELL = "grid-area:1/1"


def trace_html(trace: Trace, name: str = "trace", **state: str) -> str:
    """Return a trace as HTML for a notebook; above 2 MB, the picture alone.

    Args:
        trace: The trace.
        name: What the reader calls the result: trace or map.
        state: First choices of the page: `array`, `map`, `place`, by name.
    """
    from unspool.inspection.files import all_numbers
    from unspool.inspection.page import page
    from unspool.inspection.picture import picture

    numbers = sum(array.nbytes for _, array in all_numbers(trace))
    small = numbers * 4 // 3 < LARGEST  # base64 takes four letters for three bytes
    only_map = next(iter(trace.maps.values())) if len(trace.maps) == 1 and not trace.names[1:] else None
    height = _HEIGHT if only_map is None else min(_HEIGHT, 280 + 25 * len(only_map.rows))
    return framed(picture(trace), page(trace, **state) if small else None, name, repr(trace), height)


def opened_html(trace: Trace, *, array: str | None = None, maps: str | None = None, memory: int | None = None) -> str:
    """Return a trace as HTML for a notebook, opened with what `show` prints for these arguments.

    Raises:
        UsageError: If no map matches, or there is no such array, memory or step.
    """
    from unspool.inspection.memory import memory_maps

    state = {}
    if memory is not None:
        contents = memory_maps(trace, memory)
        trace, state = replace(trace, maps={**trace.maps, **contents}), {"map": next(iter(contents))}
    if maps is not None:
        state["map"] = trace.maps_like(maps)[0]
    if array is not None:
        side = trace if array in trace.arrays or trace.written is None else trace.written
        side.array(array)
        state |= {"array": array, "place": array.rpartition(" / ")[0]}
    return trace_html(trace, **state)


def framed(picture: str, page: str | None, name: str, text: str, height: int = _HEIGHT) -> str:
    """Return a page in a sandboxed frame over its picture.

    The picture stays visible where a viewer strips frames or scripts. Without a page, or above 2 MB, the picture stands
    alone with one sentence; a picture above 2 MB becomes the text.

    Args:
        picture: SVG document.
        page: HTML document that loads nothing; None if it is too large.
        name: What the result is, as its variable is usually called: trace.
        text: The result in words, for readers without pictures.
        height: Height of the frame in pixels.
    """
    image = pictured(picture, text)
    if len(image) > LARGEST:
        image = f"<pre>{escape(text)}</pre>"
    whole = None if page is None else _over(image, page, name, height)
    if whole is None or len(whole) > LARGEST:
        sentence = f"This {name} has no live view, which takes more than {LARGEST / 1e6:.0f} MB in a notebook;"
        return f"<div>{image}<p>{sentence} {name}.save('{name}.html') writes it into a file.</p></div>"
    return whole


def pictured(picture: str, text: str) -> str:
    """Return an SVG document as an image that is its own data.

    Args:
        picture: SVG document.
        text: The result in words, for readers without pictures.
    """
    data = base64.b64encode(picture.encode("utf-8", "backslashreplace")).decode()
    return f'<img alt="{escape(text)}" style="max-width:100%" src="data:image/svg+xml;base64,{data}">'


def _over(image: str, page: str, name: str, height: int) -> str:
    """Return a frame in the same grid cell as its image, which a box of the frame's height scrolls."""
    frame = (
        f'<iframe title="{name}" sandbox="allow-scripts allow-downloads" srcdoc="{escape(page)}" '
        f'style="{_CELL};width:100%;height:{height}px;border:0"></iframe>'
    )
    return f'<div style="{_BOX}"><div style="{_CELL};max-height:{height}px;overflow:auto">{image}</div>{frame}</div>'


class _Html:
    """HTML that a notebook displays."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def show_result(
    result: Any, console: Console | None, draw: Callable[[Console], None], html: Callable[[], str] | None = None
) -> None:
    """Display a result in the notebook that runs this code, or print it.

    Args:
        result: The result, with `_repr_html_`.
        console: Console to print to, also in a notebook; None for the notebook, or else the standard output.
        draw: Prints the result to a console.
        html: Returns other HTML than that of the result.
    """
    display = None if console is not None else _display_of_notebook()
    if display is not None:
        display(result if html is None else _Html(html(), repr(result)))
        return
    from rich.console import Console

    draw(console or Console())


def _display_of_notebook() -> Callable[[Any], Any] | None:
    """Return the function that displays an object in the running notebook; None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:  # IPython in a terminal has no kernel
        return None
    display: Callable[[Any], Any] = import_module("IPython.display").display
    return display
