"""Running text for the task `write`, read from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from unspool.data import DataSource, Line, Reader, Row, RowsInMemory, Sample, read_lines
from unspool.errors import DataError
from unspool.tasks.write.settings import LanguageModelSettings

__all__ = ["open_data", "samples", "text_of"]


def open_data(
    settings: LanguageModelSettings, source: DataSource, columns: Sequence[str] = (), *, skip_bad: bool | None = None
) -> Reader[Line]:
    """Open running text for reading, line by line.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        columns: Ignored; running text has no columns.
        skip_bad: Leave lines that are not UTF-8 out and count them.

    Raises:
        DataError: If a file is missing or empty.
    """
    if isinstance(source, RowsInMemory):
        return source.reader(skip_bad=bool(skip_bad)).map(lambda row: Line(row.where, text_of(row)))
    return read_lines(source, skip_bad=bool(skip_bad))


def samples(lines: Iterable[Line]) -> Iterator[Sample]:
    """The lines as summaries and checks show them."""
    return (Sample(line.where, (line.text,)) for line in lines if line.text.strip())


def text_of(row: Row) -> str:
    """The text of an example in memory.

    Raises:
        DataError: If it is no text, or empty.
    """
    text = row.values.get("text")
    if not isinstance(text, str):
        raise DataError(f"{type(text).__name__} came; expected a text", row.where)
    if not text:
        raise DataError("the text is empty", row.where)
    return text
