"""`InputEntry`, the entry of an input in the catalog: column detection and reading, without importing torch."""

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
    """Input columns and label column of a table."""

    values: tuple[str, ...]
    """Columns of the input."""
    label: str
    """Column of the labels."""


@dataclass(frozen=True, kw_only=True)
class InputEntry:
    """Description of an input, without importing torch."""

    name: str
    """Name of the input, and of its folder."""
    order: int = 100
    """Position in the detection order, lowest first; the input that accepts any table comes last."""
    fitted: str
    """Name of its `FittedInput` class in the module `fitted` of its folder."""
    file: str
    """File that identifies the input in a model folder."""
    network: str
    """Network for this input if the setting is `auto`."""
    find: Callable[[Sequence[Row], str | None, str | None, LabelledColumns | None, Layout], LabelledColumns | None]
    """Detect the columns in a sample of rows. Arguments: the rows, the column settings of input and label, the columns
    of earlier data, and the layout to update. Returns None if the table belongs to another input."""
    find_chosen: (
        Callable[[Sequence[Row], str | None, str | None, LabelledColumns | None, Layout], LabelledColumns | None] | None
    ) = None
    """Detect the columns if the user chose this input, where that allows more than `find`; None: `find`."""
    read: Callable[[Iterable[Row | DataError], LabelledColumns, str | None, Any], Iterator[Any]]
    """Read labelled values from rows and errors. Arguments: the rows, the columns, the separator of labels, and the
    settings of the task, or None."""
    describe: Callable[[LabelledColumns], dict[str, str]]
    """Return the columns by role, for summaries."""
