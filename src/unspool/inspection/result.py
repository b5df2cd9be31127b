"""Base of results that people look at: display in a notebook, print, save as a file, columns for data frames."""

from __future__ import annotations

import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console, RenderableType

from unspool.errors import UsageError
from unspool.inspection.columns import Columns
from unspool.inspection.notebook import LARGEST, opened_html, show_result
from unspool.inspection.trace import Trace
from unspool.settings import nearest
from unspool.writing import replace_file

__all__ = ["Result", "new_file"]

_FORMS = (".json", ".csv", ".html")
_WIDTH = 96  # columns of a drawing in a notebook
_STYLE = "body{font:15px system-ui,sans-serif;margin:1rem;color-scheme:light dark}pre{overflow-x:auto}"


class Result(ABC):
    """A result that prints in a terminal, displays in a notebook, and saves as a file.

    A subclass defines the drawing, `record` and `to_columns`, and the traces to display below the drawing.
    """

    noun: ClassVar[str] = "result"
    """What messages call the result."""
    forms: ClassVar[tuple[str, ...]] = _FORMS
    """Suffixes of the files that `save` writes."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""

    @abstractmethod
    def to_columns(self) -> Columns:
        """Return columns for a data frame: `pandas.DataFrame(result.to_columns())`. Positions count from 0."""

    @abstractmethod
    def _drawing(self) -> RenderableType:
        """Return what the terminal prints."""

    def _traces(self) -> Mapping[str, Trace]:
        """Return the traces that a notebook displays below the drawing, by title."""
        return {}

    def show(self, console: Console | None = None) -> None:
        """Display the result in a notebook, or print it in a terminal.

        Args:
            console: Console to print to, also from a notebook; if omitted, the notebook or the standard output.
        """
        show_result(self, console, lambda console: console.print(self._drawing()))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the result atomically: its record (.json), its columns (.csv), a page (.html), or one of `forms`.

        Args:
            path: The file, in an existing folder.
            overwrite: Whether to replace an existing file.

        Returns:
            The path.

        Raises:
            UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
            MachineError: If the file can't be written.
        """
        path = new_file(path, self.forms, f"a {self.noun}", overwrite=overwrite)
        replace_file(path, self._content(path.suffix.lower()))
        return path

    def _content(self, suffix: str) -> bytes:
        """Return the content of a file with one of the suffixes in `forms`."""
        if suffix == ".json":
            text = json.dumps(self.record(), allow_nan=False)
        elif suffix == ".csv":
            text = _csv(self.to_columns())
        else:
            text = _page(self.noun, self._repr_html_())
        return text.encode("utf-8", "backslashreplace")

    def _repr_html_(self) -> str:
        return self._html()

    def _html(self, *, array: str | None = None, maps: str | None = None) -> str:
        """Return the drawing and the traces, whose pages open with the arguments of `opened_html`."""
        drawing = self._drawing()
        head = f"<pre>{escape(drawing) if isinstance(drawing, str) else _in_colours(drawing)}</pre>"
        frames = [
            f"<div><b>{escape(title)}</b>{opened_html(trace, array=array, maps=maps)}</div>"
            for title, trace in self._traces().items()
        ]
        if len(head) + sum(map(len, frames)) > LARGEST:
            frames = ["<p>The traces take more than 2 MB together; show each by itself.</p>"]
        columns = "grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))"
        return f'<div>{head}<div style="display:grid;gap:8px;{columns}">{"".join(frames)}</div></div>'


def new_file(path: str | os.PathLike[str], forms: tuple[str, ...], what: str, *, overwrite: bool) -> Path:
    """Return the path of a file to write.

    Args:
        path: The file.
        forms: Suffixes to choose from, such as `.json`.
        what: What is written, for messages: a trace.
        overwrite: Whether the file may exist.

    Raises:
        UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if forms and suffix not in forms:
        hint = nearest(suffix, forms)
        raise UsageError(
            f"{path} ends in {path.suffix or 'nothing'!r}; {what} is written as one of {', '.join(forms)}{hint}"
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file in it")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; choose another name, or say that it may be overwritten")
    return path


def _in_colours(drawing: RenderableType) -> str:
    """Return what a terminal with colours prints, as HTML."""
    console = Console(file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, color_system="truecolor")
    console.print(drawing)
    return console.export_html(inline_styles=True, code_format="{code}").rstrip()


def _csv(columns: Columns) -> str:
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue()


def _page(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
