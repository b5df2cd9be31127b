"""Files that are there in full or not at all, and sets of files that change together."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from unspool.errors import MachineError, UnspoolError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "finish_generation",
    "flush_folder",
    "locked",
    "new_generation",
    "newest",
    "read_undisturbed",
    "replace_file",
]

T = TypeVar("T")

_GENERATION = "generation"  # files on their way to their places; there is none but for a moment
_STAGED, _REPLACED = f"{_GENERATION}.partial", f"{_GENERATION}.old"
_thread = threading.local()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to the disk, and move it there; its folder is made if need be.

    Raises:
        MachineError: If the disk is full or refuses; the old file is as it was and nothing else is left behind.
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


def newest(folder: Path, name: str) -> Path:
    """Return where the newest version of a file or folder inside a folder that `new_generation` writes lies."""
    committed = folder / _GENERATION / name
    return committed if os.path.lexists(committed) else folder / name


@contextmanager
def new_generation(folder: Path) -> Iterator[Path]:
    """Write new versions of several parts of a folder, which take the places of the old ones all at once.

    The context gives an empty folder to write into. At its end the files are flushed to the disk and committed by one
    rename. Whoever reads through `newest`, at any moment and after any fault, finds all old parts or all new ones.
    Parts that are not written stay. Other writers wait; what a killed one left behind is brought to its end.

    Args:
        folder: The folder; made if need be.

    Raises:
        MachineError: If the disk is full or refuses; the folder is as it was before.
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
            with suppress(OSError):  # committed already; the next writer brings the rest to its place
                flush_folder(folder)
                _install(folder)
    except OSError as error:
        raise _refusal(folder, error) from error


def finish_generation(folder: Path) -> None:
    """Bring to its end what a killed writer left behind: remove what it had not committed, put in place what it had.

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
    """Keep other writers out of a folder until the context ends: they wait, in this process and in others.

    The kernel frees the lock of a process that dies. A thread may take it again while it has it. Where there is no
    such folder, or the platform has no locks, nothing is locked.
    """
    place, held = folder.resolve(), vars(_thread).setdefault("held", set())
    if sys.platform == "win32" or place in held or not place.is_dir():
        yield
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        held.add(place)
        yield
    finally:
        held.discard(place)
        os.close(descriptor)


def read_undisturbed(folder: Path, read: Callable[[], T]) -> T:
    """Return what `read` reads from a folder; read it anew where a writer changed the folder meanwhile."""
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
    """The parts of a folder, and which versions of them lie where."""
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
    """Move the committed parts to their places; until a part is moved, `newest` finds it where it is."""
    generation, replaced = folder / _GENERATION, folder / _REPLACED
    for source in sorted(generation.iterdir()):
        target = folder / source.name
        if source.is_dir() and os.path.lexists(target):  # no rename replaces a folder that holds something
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
    """Flush the names in a folder, and in the folders inside it, to the disk."""
    for place, _, _ in os.walk(folder):
        flush_folder(Path(place))


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; nothing where the platform has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(folder: Path, error: OSError) -> MachineError:
    """The sentence for a folder that could not be written."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else f"it can't be written ({cause.strerror or cause})"
    way_out = ": free some space and try again" if full else ""
    return MachineError(f"{folder}: {reason}; what was there before is unharmed{way_out}")
