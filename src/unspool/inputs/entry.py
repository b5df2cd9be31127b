"""The entry of an input in the catalog: how it recognises its columns in a table, and reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unspool.data.files import Layout
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["InputEntry", "LabelledColumns"]


@dataclass(frozen=True)
class LabelledColumns:
    """The columns of a table that are read."""

    values: tuple[str, ...]
    """The columns of the input."""
    label: str
    """The column of labels."""


@dataclass(frozen=True, kw_only=True)
class InputEntry:
    """Description of an input, without importing torch."""

    name: str
    """Name of the input, and of its folder."""
    order: int = 100
    """When the input is tried, lowest first; the one that takes anything comes last."""
    fitted: str
    """Name of its class in the module `fitted` of its folder, a `FittedInput`."""
    file: str
    """The file in a model folder by which the input is recognised."""
    network: str
    """Network that reads it where the settings leave the choice open."""
    find: Callable[[Sequence[Row], str | None, str | None, LabelledColumns | None, Layout], LabelledColumns | None]
    """Find the columns in a sample of rows, given the settings of the input's column and of the label's, and the
    columns that other data of the task were read from; None where the table is of another input."""
    read: Callable[[Iterable[Row | DataError], LabelledColumns, str | None], Iterator[Any]]
    """Read labelled values from rows, bad ones among them, given what parts several labels of one cell."""
    describe: Callable[[LabelledColumns], dict[str, str]]
    """Describe the columns, by what they hold."""
