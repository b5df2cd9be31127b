"""Opening of data files as numbered lines: paths, folders, globs, gzip and standard input."""

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
"""Most bytes of a line (64 MiB), since readers hold a line in memory."""

_BOM = b"\xef\xbb\xbf"
_DEEPEST = 100  # levels of a JSON value
_MOST_BAD = 20  # bad items in `Reader.bad`
_PADDING = 1 << 20  # bytes of zeros that may follow the compressed part of a file


@dataclass
class Layout:
    """Form and columns of the files that a reader has read; the reader fills it in."""

    files: dict[str, str] = field(default_factory=dict)
    """Description of each file's form: delimiter, header line."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column of each role, such as text or label."""
    input: str = ""
    """Name of the input of labelled values, for tasks with several kinds of input."""
    values: tuple[str, ...] = ()
    """The columns of that input."""

    def columns_of(self, *roles: str) -> list[str]:
        """Return the columns that roles were read from; roles without a column are left out."""
        return [self.columns[role] for role in roles if role in self.columns]


class Reader(Generic[T]):
    """Iterable over the items of files. A second iteration reads again, except for standard input and pipes.

    Args:
        files: Names of the files.
        read: Function that yields the items of a file, and a `DataError` for each bad one.
        skip_bad: Skip bad items instead of raising the first; None: raise, in a context without that setting.
        layout: Layout that `read` fills in.

    Attributes:
        skipped: Number of bad items that the last iteration skipped; 0 without `skip_bad`.
        bad: The errors of the first 20 bad items.
        layout: Form and columns of the files read so far.
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
            raise DataError(
                "a stream can be read only once; save it to a file and name that", where=name_of(streams[0])
            )
        self._was_read = True
        self.skipped, self.bad = 0, []
        count = 0
        for file in self.files:
            for item in self._read(file):
                if not isinstance(item, DataError):
                    count += 1
                    yield item
                elif self._skip_bad:
                    self.skipped += 1
                    self.bad += [item] * (len(self.bad) < _MOST_BAD)
                else:
                    raise item if self._skip_bad is None else _with_skip_hint(item)
        if not count:
            bad = f" but {self.skipped} bad ones, which were skipped" if self.skipped else ""
            where = ", ".join(map(name_of, self.files[:3])) + (", ..." if len(self.files) > 3 else "")
            raise DataError(f"there is nothing to read{bad}", where)

    def map(self, change: Callable[[T], U | DataError]) -> Reader[U]:
        """Return a reader that applies `change` to each item; it raises or skips errors like those of the file."""

        def changed(items: Iterator[T | DataError]) -> Iterator[U | DataError]:
            for item in items:
                yield item if isinstance(item, DataError) else change(item)

        return self.transform(changed)

    def transform(self, change: Callable[[Iterator[T | DataError]], Iterator[U | DataError]]) -> Reader[U]:
        """Return a reader that applies `change` to the iterator over a file's items, bad ones included."""
        return Reader(self.files, lambda file: change(self._read(file)), skip_bad=self._skip_bad, layout=self.layout)


def _with_skip_hint(error: DataError) -> DataError:
    """Return the error of a bad item with a hint at `skip_bad`."""
    text = error.message.removeprefix(f"{error.where}: ")
    return DataError(f"{text}; {option('skip_bad')} leaves such lines out", error.where)


def name_of(path: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if path == "-" else path


def is_stream(path: str) -> bool:
    """Return whether a path can be read only once, such as standard input or a pipe."""
    return path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def suffix_of(path: str) -> str:
    """Return the suffix of a file in lower case, without `.gz`: `.tsv` for `Train.TSV.gz`."""
    return Path(path.lower().removesuffix(".gz")).suffix


def find_files(paths: Paths, *, suffixes: Collection[str] | None = None) -> list[str]:
    """List the files of paths, folders and globs; folders and globs are sorted by name.

    Args:
        paths: Files, folders (searched recursively, without hidden files), globs, or `-`.
        suffixes: Suffixes, such as `.tsv`, to which a folder is restricted; None: all files.

    Raises:
        DataError: If a file is missing or empty, or a folder or glob holds nothing to read.
    """
    files: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        name = os.fspath(path)
        if name == "-" or (os.path.exists(name) and not os.path.isdir(name)):
            if os.path.isfile(name) and os.path.getsize(name) == 0:
                raise DataError("the file is empty", where=name)
            files.append(name)
        elif os.path.isdir(name):
            files.extend(_in_folder(name, suffixes))
        elif glob.has_magic(name):
            files.extend(_in_glob(name))
        else:
            folder = os.path.dirname(name)
            others = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
            raise DataError(f"no such file{nearest(os.path.basename(name), others)}", where=name)
    if not files:
        raise DataError("no file was named")
    return files


def _in_folder(folder: str, suffixes: Collection[str] | None) -> list[str]:
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = os.path.join(place, name)
            fits = suffixes is None or suffix_of(name) in suffixes
            if fits and not name.startswith(".") and os.path.isfile(file) and os.path.getsize(file) > 0:
                files.append(file)
    if not files:
        ending = f" that ends in {', '.join(sorted(suffixes))}" if suffixes else ""
        raise DataError(f"there is no file to read in this folder{ending}", where=folder)
    return sorted(files)


def _in_glob(pattern: str) -> list[str]:
    files = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    files = [name for name in files if os.path.getsize(name) > 0]
    if not files:
        raise DataError("no file matches this pattern", where=pattern)
    return files


@contextmanager
def open_bytes(path: str) -> Iterator[io.BufferedReader[Any]]:
    """Open a file, a `.gz` or standard input (`-`) for reading bytes.

    Raises:
        DataError: If opening or reading fails, inside the context as well.
    """
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
        raise DataError("no permission to read the file; check its access rights", where=path) from None


def _check_padding(path: str, stream: io.BufferedReader[Any]) -> None:
    """Refuse a `.gz` with a long tail of zeros, which `gzip` would read byte by byte."""
    if os.path.isfile(path) and os.path.getsize(path) > _PADDING:
        stream.seek(-_PADDING, os.SEEK_END)
        if not any(stream.read()):
            raise DataError("the compressed file is damaged: it ends in zeros", where=path)
        stream.seek(0)


def _standard_input() -> io.BufferedReader[Any]:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise DataError("standard input gives no bytes here; name a file instead", where="standard input")
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line's number, from 1, and its bytes with the line end, without a byte-order mark.

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
        DataError: If the line is not JSON, or is nested more than 100 levels deep.
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


_TOO_DEEP = f"lists in lists, over {_DEEPEST} levels deep; expected texts and lists of texts"


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether a decoded value has more than `levels` levels; without recursion."""
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
    """Decode a line in UTF-8, without its line end.

    Raises:
        DataError: If the line is not UTF-8.
    """
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise not_utf8(raw, error, where) from None


def not_utf8(raw: bytes, error: UnicodeDecodeError, where: str) -> DataError:
    """Return the error for a byte that is not UTF-8, with the likely encoding."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:64]:
        return DataError("the text looks like UTF-16, expected UTF-8; try: iconv -f UTF-16 -t UTF-8", where)
    byte = f"byte 0x{raw[error.start]:02X} at position {error.start + 1} of the line"
    return DataError(f"{byte} is not UTF-8; if the text is Latin-1, try: iconv -f LATIN1 -t UTF-8", where)
