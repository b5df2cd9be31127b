"""Opening what people point at: paths, folders, globs, `.gz` and standard input, as numbered lines."""

from __future__ import annotations

import glob
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from unspool.errors import DataError, option
from unspool.reading import open_pipe
from unspool.settings import nearest

__all__ = [
    "LONGEST_LINE",
    "Layout",
    "Paths",
    "Reader",
    "decode_json",
    "decode_line",
    "find_files",
    "is_stream",
    "name_of",
    "not_utf8",
    "numbered_lines",
    "open_bytes",
    "suffix_of",
]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One path or several; each a file, a folder, a glob, or `-` for standard input."""

T = TypeVar("T")
U = TypeVar("U")

LONGEST_LINE = 1 << 26
"""Bytes of the longest line that a reader holds in memory (64 MiB)."""

_BOM = b"\xef\xbb\xbf"
_DEEPEST = 100  # levels of a JSON value
_REMEMBERED = 20  # bad items
_PADDING = 1 << 20  # bytes of zeros that may follow the compressed part of a file


@dataclass
class Layout:
    """How files were read; a reader fills it in while it reads."""

    files: dict[str, str] = field(default_factory=dict)
    """The form of each file, in words: delimiter, header line."""
    columns: dict[str, str] = field(default_factory=dict)
    """The column that each role, such as text or label, was read from."""
    input: str = ""
    """The input that labelled values are of, where they may be of several."""
    values: tuple[str, ...] = ()
    """The columns of that input."""


class Reader(Generic[T]):
    """What a file holds, one item at a time; iterate again to read again (except standard input and pipes).

    Args:
        files: Their names.
        read: Yields the items of a file, and a `DataError` for each bad one.
        skip_bad: Leave bad items out instead of raising the first; None where the caller has no such choice.
        layout: How the files were read; `read` fills it in.

    Attributes:
        skipped: Bad items left out of the last reading; stays 0 unless `skip_bad` was asked for.
        bad: The first 20 of them.
        layout: How the files were read, as far as they were.
    """

    def __init__(
        self,
        files: Sequence[str],
        read: Callable[[str], Iterator[T | DataError]],
        *,
        skip_bad: bool | None,
        layout: Layout | None = None,
    ) -> None:
        self.files = tuple(files)
        self.skipped = 0
        self.bad: list[DataError] = []
        self.layout = layout or Layout()
        self._read = read
        self._was_read = False
        self._skip_bad = skip_bad

    def __iter__(self) -> Iterator[T]:
        if self._was_read and (streams := [file for file in self.files if is_stream(file)]):
            raise DataError("it can be read only once; save it to a file and name that", where=name_of(streams[0]))
        self._was_read = True
        self.skipped, self.bad = 0, []
        found = 0
        for file in self.files:
            for item in self._read(file):
                if not isinstance(item, DataError):
                    found += 1
                    yield item
                elif self._skip_bad:
                    self.skipped += 1
                    self.bad += [item] * (len(self.bad) < _REMEMBERED)
                else:
                    raise item if self._skip_bad is None else _with_way_out(item)
        if not found:
            bad = f" but {self.skipped} bad ones, which were skipped" if self.skipped else ""
            where = ", ".join(map(name_of, self.files[:3])) + (", ..." if len(self.files) > 3 else "")
            raise DataError(f"there is nothing to read{bad}", where)

    def map(self, change: Callable[[T], U | DataError]) -> Reader[U]:
        """A reader of what `change` makes of each item; bad ones are raised or left out like those of the file."""

        def changed(items: Iterator[T | DataError]) -> Iterator[U | DataError]:
            for item in items:
                yield item if isinstance(item, DataError) else change(item)

        return self.transform(changed)

    def transform(self, change: Callable[[Iterator[T | DataError]], Iterator[U | DataError]]) -> Reader[U]:
        """A reader of what `change` makes of all the items of a file, bad ones among them."""
        return Reader(self.files, lambda file: change(self._read(file)), skip_bad=self._skip_bad, layout=self.layout)


def _with_way_out(error: DataError) -> DataError:
    """The error of a bad item, with the setting that leaves such items out."""
    text = error.message.removeprefix(f"{error.where}: ")
    return DataError(f"{text}; {option('skip_bad')} leaves such lines out", error.where)


def name_of(path: str) -> str:
    """How messages call a file."""
    return "standard input" if path == "-" else path


def is_stream(path: str) -> bool:
    """Whether a path can be read only once, as standard input and pipes are: no regular file, no folder."""
    return path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def suffix_of(path: str) -> str:
    """The last part of a file's name in lower case, `.gz` set aside: `.tsv` for `Train.TSV.gz`."""
    return Path(path.lower().removesuffix(".gz")).suffix


def find_files(paths: Paths, *, suffixes: Collection[str] | None = None) -> list[str]:
    """List the files that paths, folders and globs stand for; folders and globs are sorted by name.

    Args:
        paths: Files, folders (searched to the bottom, hidden files left out), globs, or `-`.
        suffixes: In a folder, only files with one of these (as `.tsv`); all of them if omitted.

    Raises:
        DataError: If a file is missing or empty, or a folder or glob holds nothing to read.
    """
    found: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        name = os.fspath(path)
        if name == "-" or (os.path.exists(name) and not os.path.isdir(name)):
            if os.path.isfile(name) and os.path.getsize(name) == 0:
                raise DataError("the file is empty", where=name)
            found.append(name)
        elif os.path.isdir(name):
            found.extend(_in_folder(name, suffixes))
        elif glob.has_magic(name):
            found.extend(_in_glob(name))
        else:
            folder = os.path.dirname(name)
            others = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
            raise DataError(f"no such file{nearest(os.path.basename(name), others)}", where=name)
    if not found:
        raise DataError("no file was named")
    return found


def _in_folder(folder: str, suffixes: Collection[str] | None) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = os.path.join(place, name)
            fits = suffixes is None or suffix_of(name) in suffixes
            if fits and not name.startswith(".") and os.path.isfile(file) and os.path.getsize(file) > 0:
                found.append(file)
    if not found:
        wanted = f" that ends in {', '.join(sorted(suffixes))}" if suffixes else ""
        raise DataError(f"there is no file to read in this folder{wanted}", where=folder)
    return sorted(found)


def _in_glob(pattern: str) -> list[str]:
    found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    found = [name for name in found if os.path.getsize(name) > 0]
    if not found:
        raise DataError("no file matches this pattern", where=pattern)
    return found


@contextmanager
def open_bytes(path: str) -> Iterator[io.BufferedReader[Any]]:
    """Open a file, a `.gz` or standard input (`-`) for reading bytes; what fails inside is a `DataError`."""
    try:
        if path == "-":
            yield _standard_input()
        else:
            with open_pipe(path) if is_stream(path) else open(path, "rb") as stream:
                if path.lower().endswith(".gz"):
                    _check_padding(path, stream)
                    with gzip.open(stream) as packed, io.BufferedReader(packed, 1 << 18) as lines:
                        yield lines
                else:
                    yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the compressed file is damaged: {error}", where=path) from None
    except TimeoutError as error:
        raise DataError(str(error), where=path) from None
    except FileNotFoundError:
        raise DataError("no such file", where=path) from None
    except PermissionError:
        raise DataError("the file may not be read; look at its permissions", where=path) from None


def _check_padding(path: str, stream: io.BufferedReader[Any]) -> None:
    """Refuse a `.gz` that ends in many zeros, which `gzip` would read to the end one by one."""
    if os.path.isfile(path) and os.path.getsize(path) > _PADDING:
        stream.seek(-_PADDING, os.SEEK_END)
        if not any(stream.read()):
            raise DataError("the compressed file is damaged: it ends in zeros", where=path)
        stream.seek(0)


def _standard_input() -> io.BufferedReader[Any]:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise DataError("there is no standard input of bytes here", where="standard input")
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line's number, from 1, and its bytes with the line end; a byte-order mark is dropped.

    Raises:
        DataError: If a line is longer than `LONGEST_LINE`.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
            if len(line) > LONGEST_LINE:
                where = f"{name_of(path)}:{number}"
                raise DataError(f"the line is longer than {LONGEST_LINE >> 20} MiB; break it into shorter ones", where)
            yield number, line.removeprefix(_BOM) if number == 1 else line


def decode_json(line: str, where: str) -> Any:
    """Decode a line of JSON.

    Raises:
        DataError: If it is no JSON, or has lists in lists without end.
    """
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise DataError(f"the line is no JSON: {error}", where) from None
    except RecursionError:
        raise DataError(_TOO_DEEP, where) from None
    if line.count("[") + line.count("{") > _DEEPEST and _is_deeper(value, _DEEPEST):
        raise DataError(_TOO_DEEP, where)
    return value


_TOO_DEEP = f"lists in lists in lists, over {_DEEPEST} levels deep; expected texts and lists of texts"


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a decoded value has more levels than so many; without recursion."""
    inside = [value]
    for _ in range(levels):
        inside = [
            each
            for outer in inside
            for each in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(each, dict | list)
        ]
        if not inside:
            return False
    return True


def decode_line(raw: bytes, where: str) -> str:
    """Decode a line, its line end dropped.

    Raises:
        DataError: If it is not UTF-8.
    """
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise not_utf8(raw, error, where) from None


def not_utf8(raw: bytes, error: UnicodeDecodeError, where: str) -> DataError:
    """The error that says which byte is not UTF-8, and what the file may be instead."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:64]:
        return DataError("the text looks like UTF-16, expected UTF-8; try: iconv -f UTF-16 -t UTF-8", where)
    byte = f"byte 0x{raw[error.start]:02X} at position {error.start + 1} of the line"
    return DataError(f"{byte} is not UTF-8; if the text is Latin-1, try: iconv -f LATIN1 -t UTF-8", where)
