"""Data of the task `write`: running text from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from unspool.data import DataSource, Layout, Line, Reader, Row, RowsInMemory, Sample, read_lines
from unspool.errors import DataError
from unspool.tasks.write.settings import LanguageModelSettings

__all__ = ["open_data", "samples", "text_of"]


def open_data(
    settings: LanguageModelSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Line]:
    """Open running text for reading, line by line.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count lines that are not UTF-8.

    Raises:
        DataError: If a file is missing or empty.
    """
    if isinstance(source, RowsInMemory):
        return source.reader(skip_bad=bool(skip_bad)).map(lambda row: Line(row.where, text_of(row)))
    return read_lines(source, skip_bad=bool(skip_bad))


def samples(lines: Iterable[Line]) -> Iterator[Sample]:
    """Convert lines to samples for summaries and checks."""
    return (Sample(line.where, (line.text,)) for line in lines if line.text.strip())


def text_of(row: Row) -> str:
    """Return the text of an example in memory.

    Raises:
        DataError: If the value is not a text, or empty.
    """
    text = row.values.get("text")
    if not isinstance(text, str):
        raise DataError(f"{type(text).__name__} came; expected a text", row.where)
    if not text:
        raise DataError("the text is empty", row.where)
    return text
