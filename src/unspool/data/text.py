"""Plain text reader: lines, or running text in blocks, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from unspool.data.files import Paths, Reader, find_files
from unspool.data.forms import Form, FormOptions, form_by_suffix, form_named, forms_of
from unspool.errors import DataError

__all__ = ["Line", "read_lines", "read_text"]

_BLOCK = 1 << 20  # characters


class Line(NamedTuple):
    """One line of text, without its line end."""

    where: str
    text: str


def read_lines(paths: Paths, *, format: str | None = None, skip_bad: bool = False) -> Reader[Line]:
    """Read text files line by line, with blank lines; line ends may be LF or CRLF.

    Args:
        paths: Files, folders, globs or `-`.
        format: Name of a form that yields lines; None: by suffix, or else plain text.
        skip_bad: Skip bad lines and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or, while reading, not UTF-8 (unless `skip_bad`).
    """
    options = FormOptions()
    return Reader(find_files(paths), lambda file: _form_of(file, format).read(file, options), skip_bad=skip_bad or None)


def read_text(paths: Paths, *, format: str | None = None) -> Reader[str]:
    """Read text files as one running text, in pieces of about a megabyte that end at a line end.

    The pieces concatenate to the text, with CRLF replaced by LF. A file without a final line end gets one if another
    file follows.

    Args:
        paths: Files, folders, globs or `-`.
        format: Name of a form that yields lines; None: by suffix, or else plain text.

    Raises:
        DataError: If a file is missing, empty or, while reading, not UTF-8.
    """
    files = find_files(paths)
    last = files[-1]

    def pieces(file: str) -> Iterator[str | DataError]:
        piece = "\n"
        for piece in _blocks_of(file, _form_of(file, format)):
            yield piece
        if file is not last and not piece.endswith("\n"):
            yield "\n"

    return Reader(files, pieces, skip_bad=None)


def _form_of(file: str, format: str | None) -> Form:
    form = None if format is None else form_named(format, "lines")
    return form or form_by_suffix(file, "lines") or forms_of("lines")["text"]


def _blocks_of(file: str, form: Form) -> Iterator[str]:
    """Yield the text of a file in large pieces that end at a line end."""
    if form.blocks is not None:
        yield from form.blocks(file)
        return
    lines: list[str] = []
    size = 0
    for line in form.read(file, FormOptions()):
        if isinstance(line, DataError):
            raise line
        lines.append(f"{line.text}\n")
        size += len(lines[-1])
        if size >= _BLOCK:
            yield "".join(lines)
            lines, size = [], 0
    if lines:
        yield "".join(lines)
