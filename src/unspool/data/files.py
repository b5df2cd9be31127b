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
from pathlib import Path
from typing import Any, Generic, TypeVar

from unspool.errors import DataError
from unspool.settings import nearest

__all__ = [
    "Paths",
    "Reader",
    "decode_line",
    "find_files",
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

_BOM = b"\xef\xbb\xbf"


class Reader(Generic[T]):
    """What a file holds, one item at a time; iterate again to read again (except standard input).

    Attributes:
        skipped: Bad items left out of the last reading; stays 0 unless `skip_bad` was asked for.
    """

    def __init__(self, files: Sequence[str], read: Callable[[str], Iterator[T | DataError]], *, skip_bad: bool) -> None:
        self.files = tuple(files)
        self.skipped = 0
        self._read = read
        self._was_read = False
        self._skip_bad = skip_bad

    def __iter__(self) -> Iterator[T]:
        if self._was_read and "-" in self.files:
            raise DataError("it can be read only once; save it to a file and name that", where=name_of("-"))
        self._was_read = True
        self.skipped = 0
        found = 0
        for file in self.files:
            for item in self._read(file):
                if not isinstance(item, DataError):
                    found += 1
                    yield item
                elif self._skip_bad:
                    self.skipped += 1
                else:
                    raise item
        if not found:
            bad = f" but {self.skipped} bad ones, which were skipped" if self.skipped else ""
            where = ", ".join(map(name_of, self.files[:3])) + (", ..." if len(self.files) > 3 else "")
            raise DataError(f"there is nothing to read{bad}", where)

    def map(self, change: Callable[[T], U | DataError]) -> Reader[U]:
        """A reader of what `change` makes of each item; bad ones are raised or left out like those of the file."""

        def read(file: str) -> Iterator[U | DataError]:
            for item in self._read(file):
                yield item if isinstance(item, DataError) else change(item)

        return Reader(self.files, read, skip_bad=self._skip_bad)


def name_of(path: str) -> str:
    """How messages call a file."""
    return "standard input" if path == "-" else path


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
        elif path.lower().endswith(".gz"):
            with gzip.open(path, "rb") as packed, io.BufferedReader(packed, 1 << 18) as stream:
                yield stream
        else:
            with open(path, "rb") as stream:
                yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the compressed file is damaged: {error}", where=path) from None
    except FileNotFoundError:
        raise DataError("no such file", where=path) from None
    except PermissionError:
        raise DataError("the file may not be read; look at its permissions", where=path) from None


def _standard_input() -> io.BufferedReader[Any]:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise DataError("there is no standard input of bytes here", where="standard input")
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line's number, from 1, and its bytes with the line end; a byte-order mark is dropped."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.removeprefix(_BOM) if number == 1 else line


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
