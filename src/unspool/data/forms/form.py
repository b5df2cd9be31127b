"""A file form: which files have it, what it yields, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from unspool.data.files import Layout
from unspool.errors import DataError

__all__ = ["Form", "FormOptions", "Kind"]

Kind = Literal["lines", "rows", "sentences", "stories"]
"""What a form yields: lines of text, rows with columns, sentences with columns of words, or stories."""


@dataclass(frozen=True, kw_only=True)
class FormOptions:
    """What the caller says of a file."""

    layout: Layout = field(default_factory=Layout)
    """How the file is read; the form's reader fills it in."""
    header: str = "auto"
    """Whether a table of text begins with column names: auto, yes or no."""
    delimiter: str | None = None
    """What parts the cells of a table of text; found by content if None."""
    names: frozenset[str] = frozenset()
    """Column names that the caller looks for, in lower case."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One file form; each stands in a file of its own beside this one, and is found there."""

    name: str
    """Value of the setting `format`."""
    suffixes: tuple[str, ...]
    """Ends of file names, in lower case, `.gz` set aside."""
    yields: Kind
    help: str
    """What such a file holds, in a few words."""
    read: Callable[[str, FormOptions], Iterator[Any | DataError]]
    """Yield the items of a file, and an error for each bad one."""
    blocks: Callable[[str], Iterator[str]] | None = None
    """Of lines: yield the text in large pieces that end at a line end; None: from the lines."""
