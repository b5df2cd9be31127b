"""Definition of a file form: name, suffixes, kind of items and reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unspool.data.files import Layout
from unspool.errors import DataError

__all__ = ["Form", "FormOptions", "Kind", "file_rows"]

Kind = Literal["lines", "rows", "sentences", "stories", "files"]
"""Kind of items of a form: lines of text, rows with columns, sentences with columns of words, or stories. `files` are
examples themselves: one row for the whole file, with its path and the name of its folder, or rows of an array."""


@dataclass(frozen=True, kw_only=True)
class FormOptions:
    """Options of the caller for reading a file."""

    layout: Layout = field(default_factory=Layout)
    """Layout of the file; the form's reader fills it in."""
    header: str = "auto"
    """Whether a table of text begins with column names: auto, yes or no."""
    delimiter: str | None = None
    """Delimiter of a table of text; None: detect it by content."""
    names: frozenset[str] = frozenset()
    """Column names that the caller looks for, in lower case."""
    labels: str | None = None
    """Name of the file of labels beside an array of examples; None: by the usual names."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One file form; the modules of this folder define the forms."""

    name: str
    """Value of the setting `format`."""
    suffixes: tuple[str, ...]
    """Suffixes of file names, in lower case, without `.gz`."""
    yields: Kind
    help: str
    """Content of such a file, in a few words."""
    read: Callable[[str, FormOptions], Iterator[Any | DataError]]
    """Function that yields the items of a file, and an error for each bad one."""
    blocks: Callable[[str], Iterator[str]] | None = None
    """For forms of lines: function that yields the text in large pieces that end at a line end; None: use the lines."""
    recognises: Callable[[str, FormOptions], bool] | None = None
    """For forms of files: function that tells whether a file is of this form by its content; None: by its suffix."""


def file_rows(column: str, noun: str) -> Callable[[str, FormOptions], Iterator[Any | DataError]]:
    """Return the reader of a form whose files are one example each, in a folder for each label.

    Args:
        column: Name of the column of paths.
        noun: Plural noun of the examples, for the layout.
    """

    def read(path: str, options: FormOptions) -> Iterator[Any | DataError]:
        from unspool.data.rows import Row

        options.layout.files[str(Path(path).parent.parent)] = f"{noun}, in a folder for each label"
        yield Row(path, {column: path, "label": Path(path).resolve().parent.name})

    return read
