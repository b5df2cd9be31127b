"""Plain text: line by line, or as running text in blocks, never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from unspool.data.files import Paths, Reader, decode_line, find_files, name_of, not_utf8, numbered_lines, open_bytes
from unspool.errors import DataError

__all__ = ["Line", "read_lines", "read_text"]

_BLOCK = 1 << 20  # bytes
_LONGEST_LINE = 1 << 24  # bytes; a longer line is cut at a blank so that memory stays flat


class Line(NamedTuple):
    """One line of text, without its line end."""

    where: str
    text: str


def read_lines(paths: Paths, *, skip_bad: bool = False) -> Reader[Line]:
    """Read text files line by line; blank lines are kept, and the line ends of Windows are line ends.

    Raises:
        DataError: If a file is missing, empty or, while reading, not UTF-8 (unless `skip_bad`).
    """
    return Reader(find_files(paths), _lines, skip_bad=skip_bad or None)


def read_text(paths: Paths) -> Reader[str]:
    """Read text files as one running text, in pieces of about a megabyte that end at a line end.

    Put together, the pieces are the text itself, with the line ends of Windows made plain; a file whose last line has
    no line end gets one if another file follows.

    Raises:
        DataError: If a file is missing, empty or, while reading, not UTF-8.
    """
    files = find_files(paths)
    last = files[-1]

    def pieces(file: str) -> Iterator[str | DataError]:
        piece = "\n"
        for piece in _pieces(file):
            yield piece
        if file is not last and not piece.endswith("\n"):
            yield "\n"

    return Reader(files, pieces, skip_bad=None)


def _lines(path: str) -> Iterator[Line | DataError]:
    name = name_of(path)
    for number, raw in numbered_lines(path):
        where = f"{name}:{number}"
        try:
            yield Line(where, decode_line(raw, where))
        except DataError as error:
            yield error


def _pieces(path: str) -> Iterator[str]:
    lines = 0
    for block in _blocks(path):
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            start = block.rfind(b"\n", 0, error.start) + 1
            line = block[start : error.start + 64]
            error.start -= start
            number = lines + block.count(b"\n", 0, start) + 1
            raise not_utf8(line, error, f"{name_of(path)}:{number}") from None
        if (zero := block.find(b"\0")) >= 0:
            number = lines + block.count(b"\n", 0, zero) + 1
            raise DataError(
                "a NUL character; expected text in UTF-8. If the text is UTF-16, try: iconv -f UTF-16 -t UTF-8",
                f"{name_of(path)}:{number}",
            )
        lines += block.count(b"\n")
        yield text.replace("\r\n", "\n") if "\r" in text else text


def _blocks(path: str) -> Iterator[bytes]:
    with open_bytes(path) as stream:
        rest = b""
        first = True
        while data := stream.read(_BLOCK):
            rest += data
            if first:
                rest = rest.removeprefix(b"\xef\xbb\xbf")
                first = False
            end = rest.rfind(b"\n") + 1
            if not end and len(rest) >= _LONGEST_LINE:
                end = rest.rfind(b" ") + 1 or _character_boundary(rest)
            if end:
                yield rest[:end]
                rest = rest[end:]
        if rest:
            yield rest


def _character_boundary(data: bytes) -> int:
    """Where the last, perhaps unfinished, character of UTF-8 begins."""
    end = len(data) - 1
    while end > len(data) - 4 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end
