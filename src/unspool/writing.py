"""Atomic writes: single files, appended lines, and sets of files in a folder that change together."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from unspool.errors import MachineError, UnspoolError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "append_line",
    "finish_generation",
    "flush_folder",
    "locked",
    "new_generation",
    "newest",
    "read_undisturbed",
    "replace_file",
]

T = TypeVar("T")

_GENERATION = "generation"  # holds committed files until each is moved to its place
_STAGED, _REPLACED = f"{_GENERATION}.partial", f"{_GENERATION}.old"
_thread = threading.local()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically: into a partial file, flushed to disk, then renamed. Make its folder if missing.

    Raises:
        MachineError: If the disk is full or refuses; the old file is unchanged and no partial file remains.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise MachineError(f"{path} can't be written: {error.strerror or error}") from error


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append a JSON object as one line to a file, flushed to disk; make the file if it is missing.

    Raises:
        MachineError: If the disk is full or refuses.
    """
    try:
        with path.open("ab") as file:
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise MachineError(f"{path} can't be written: {error.strerror or error}") from error


def newest(folder: Path, name: str) -> Path:
    """Return the path of the newest version of a file in a folder that `new_generation` writes."""
    committed = folder / _GENERATION / name
    return committed if os.path.lexists(committed) else folder / name


@contextmanager
def new_generation(folder: Path) -> Iterator[Path]:
    """Replace several files of a folder in one transaction.

    The context yields an empty folder to write into. At its end, the files are flushed to disk and committed by one
    rename. A reader through `newest` sees all old files or all new ones, at any moment and after any fault. Files that
    the context does not write stay. Other writers wait. The transaction of a killed writer is finished first.

    Args:
        folder: The folder; created if missing.

    Raises:
        MachineError: If the disk is full or refuses; the folder is unchanged.
    """
    existed, staged = folder.is_dir(), folder / _STAGED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            finish_generation(folder)
            try:
                staged.mkdir()
                yield staged
                _flush_folders(staged)
                staged.rename(folder / _GENERATION)
            except BaseException:
                shutil.rmtree(staged, ignore_errors=True)
                if not existed:
                    with suppress(OSError):
                        folder.rmdir()
                raise
            with suppress(OSError):  # already committed; the next writer finishes the moves
                flush_folder(folder)
                _install(folder)
    except OSError as error:
        raise _refusal(folder, error) from error


def finish_generation(folder: Path) -> None:
    """Finish the transaction of a killed writer: move committed files to their places, and remove the others.

    Raises:
        MachineError: If the disk refuses; nothing is lost.
    """
    generation = folder / _GENERATION
    try:
        with locked(folder):
            for path in (folder / _STAGED, folder / _REPLACED):
                _remove(path)
            if generation.is_dir() and not generation.is_symlink():
                _install(folder)
            else:
                _remove(generation)
    except OSError as error:
        raise _refusal(folder, error) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for writing inside the context; other writers wait, in this process and in others.

    The kernel frees the lock of a process that dies. The lock is reentrant per thread. It is a no-op if the folder is
    missing or the platform has no locks.
    """
    place, locks = folder.resolve(), vars(_thread).setdefault("locks", set())
    if sys.platform == "win32" or place in locks or not place.is_dir():
        yield
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        locks.add(place)
        yield
    finally:
        locks.discard(place)
        os.close(descriptor)


def read_undisturbed(folder: Path, read: Callable[[], T]) -> T:
    """Call `read` and return its result; call it again while a writer changes the folder in the meantime."""
    while True:
        before = _state(folder)
        try:
            result = read()
        except UnspoolError:
            if _state(folder) == before:
                raise
            continue
        if _state(folder) == before:
            return result


def _state(folder: Path) -> list[tuple[str, str, int, int]]:
    """Return names, inodes and change times of a folder's files, to detect changes."""
    state = []
    for place in (folder, folder / _GENERATION):
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name not in (_STAGED, _REPLACED):
                    stat = entry.stat(follow_symlinks=False)
                    changed = 0 if entry.is_dir(follow_symlinks=False) else stat.st_mtime_ns
                    state.append((place.name, entry.name, stat.st_ino, changed))
    return sorted(state)


def _install(folder: Path) -> None:
    """Move the committed files to their places; `newest` finds each file before and after its move."""
    generation, replaced = folder / _GENERATION, folder / _REPLACED
    for source in sorted(generation.iterdir()):
        target = folder / source.name
        if source.is_dir() and os.path.lexists(target):  # a rename can't replace a non-empty folder
            target.rename(replaced)
            source.rename(target)
            _remove(replaced)
        else:
            source.replace(target)
    generation.rmdir()
    flush_folder(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush_folders(folder: Path) -> None:
    """Flush the entries of a folder and of its subfolders to disk."""
    for place, _, _ in os.walk(folder):
        flush_folder(Path(place))


def flush_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk; a no-op outside POSIX."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(folder: Path, error: OSError) -> MachineError:
    """Return the error for a folder that can't be written."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else f"it can't be written ({cause.strerror or cause})"
    way_out = ": free some space and try again" if full else ""
    return MachineError(f"{folder}: {reason}; what was there before is unharmed{way_out}")
