"""What tests read from the HTML of a result in a notebook."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any

__all__ = ["Elements", "embedded_picture"]


class Elements(HTMLParser):
    """The start tags of a text, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attributes)))

    def one(self, tag: str) -> dict[str, str | None]:
        (only,) = [attributes for name, attributes in self.all if name == tag]
        return only


def embedded_picture(result: Any) -> str:
    """The SVG document that is the image of a result."""
    kind, data = Elements(result._repr_html_()).one("img")["src"].split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(data).decode()
