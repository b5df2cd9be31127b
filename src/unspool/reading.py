"""Safe opening and reading of untrusted files: model folders, recipes, pipes.

Every read of a model folder's file goes through this module. Before it reads a byte, it refuses links out of the
folder, anything but a regular file, and files of unreasonable size.
"""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from unspool.errors import ModelFolderError

__all__ = [
    "LARGEST",
    "PATIENCE",
    "RECORD",
    "open_file",
    "open_pipe",
    "open_regular",
    "read_file",
    "read_json",
    "read_part",
]

RECORD = "unspool.json"
"""The file that makes a folder a model folder."""

LARGEST = 1 << 28
"""Most bytes of a file that `read_file` reads whole; a vocabulary of a million units has some 60 million."""

PATIENCE = 30.0
"""Seconds that `open_pipe` waits for the first byte."""

T = TypeVar("T")

_DEPTH = 3  # most folders from a file up to its model folder
_SAFELY = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: Path) -> BinaryIO:
    """Open a file of a model folder for reading; opening never blocks.

    Raises:
        FileNotFoundError: If there is no such file.
        NotADirectoryError: If what should be its folder is a file.
        ModelFolderError: If a link leads out of the model folder, or the file is not regular or not readable.
    """
    try:
        real = os.path.realpath(path, strict=True)
        root = os.path.realpath(_model_folder(path), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if os.path.commonpath((real, root)) != root:
        raise ModelFolderError(
            f"{path} is a link that leads out of the model folder, to {real}; put the file itself in its place"
        )
    return _open(path, real)


def open_regular(path: Path) -> BinaryIO:
    """Open a file that the user named, wherever links lead, for reading; opening never blocks.

    Raises:
        FileNotFoundError: If there is no such file.
        NotADirectoryError: If what should be its folder is a file.
        ModelFolderError: If the file is not regular or not readable.
    """
    return _open(path, path)


def read_file(path: Path, *, most: int = LARGEST, open_it: Callable[[Path], BinaryIO] = open_file) -> bytes:
    """Read the whole of a file.

    Args:
        path: The file.
        most: Largest size, in bytes.
        open_it: `open_file` for a file of a model folder, `open_regular` for one that the user named.

    Raises:
        FileNotFoundError: If there is no such file.
        NotADirectoryError: If what should be its folder is a file.
        ModelFolderError: If the file is larger, or `open_it` refuses it.
    """
    with open_it(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(most + 1) if size <= most else b""
        except OSError as error:
            raise _unreadable(path, error) from None
    if max(size, len(content)) > most:
        raise ModelFolderError(f"{path} has {max(size, len(content)):,} bytes, expected at most {most:,}")
    return content


def read_part(path: Path) -> bytes:
    """Read a required file of a model folder.

    Raises:
        ModelFolderError: If the file is missing, or `read_file` refuses it.
    """
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFolderError(f"{path}: the file is missing; the model folder is not complete") from None


def read_json(path: Path, kind: type[T], what: str) -> T:
    """Read a JSON file of a model folder as a value of a type.

    Args:
        path: The file.
        kind: The type, as `msgspec` takes it.
        what: The content of the file, for messages: "the list of labels".

    Raises:
        ModelFolderError: If the file is missing, `read_file` refuses it, or it does not hold such a value.
    """
    content = read_part(path)
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelFolderError(f"{path}: {what} is damaged: {error}") from None


def open_pipe(path: str | os.PathLike[str]) -> io.BufferedReader[Any]:
    """Open a pipe for reading, and wait `PATIENCE` seconds at most for its first byte; plain `open` may block for ever.

    Raises:
        TimeoutError: If no writer sends a byte or closes the pipe within `PATIENCE` seconds.
        OSError: If the pipe can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | _SAFELY)
    if not select.select([descriptor], [], [], PATIENCE)[0]:
        os.close(descriptor)
        raise TimeoutError(
            f"nothing was written to this pipe in {PATIENCE:g} seconds; start the program that writes to it first, "
            f"or save its output to a file and name that"
        )
    os.set_blocking(descriptor, True)
    try:
        return open(descriptor, "rb")
    except IsADirectoryError:
        os.close(descriptor)
        raise


def _open(path: Path, place: str | Path) -> BinaryIO:
    """Open `place` if it is a regular file; messages show `path`."""
    try:
        descriptor = os.open(place, os.O_RDONLY | _SAFELY)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ModelFolderError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')}; expected a file")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: Path, error: OSError) -> ModelFolderError:
    return ModelFolderError(f"{path} can't be read: {error.strerror or error}")


def _model_folder(path: Path) -> Path:
    """Return the model folder of a file; the file's own folder if there is no model folder above it."""
    for folder in list(path.parents)[:_DEPTH]:
        if os.path.lexists(folder / RECORD):
            return folder
    return path.parent
