"""Reader of plain text in UTF-8: lines, or blocks of running text."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.data.files import decode_line, name_of, not_utf8, numbered_lines, open_bytes
from unspool.data.forms.form import Form, FormOptions
from unspool.data.text import Line
from unspool.errors import DataError

__all__ = ["FORM"]

_BLOCK = 1 << 20  # bytes
_LONGEST_LINE = 1 << 24  # bytes; a longer line is cut at a blank so that memory stays constant


def _lines(path: str, options: FormOptions) -> Iterator[Line | DataError]:
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
    """Return the start of the last, possibly incomplete, character of UTF-8."""
    end = len(data) - 1
    while end > len(data) - 4 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


FORM = Form(
    name="text",
    suffixes=(".txt", ".text", ".md"),
    yields="lines",
    help="plain text in UTF-8",
    read=_lines,
    blocks=_pieces,
)
