"""A lock on a model folder, so that one training at a time writes into it; the lock ends with its process."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from unspool.errors import MachineError, UsageError

if sys.platform != "win32":
    import fcntl

__all__ = ["LOCK", "lock_folder", "refuse_folder_in_training"]

LOCK = "lock"
"""Name of the file in a folder's `training`."""

_ATTEMPTS = 100
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a model folder, in this process and in others, until the context ends.

    The kernel frees the lock of a process that dies. The thread that holds the lock may enter again. Where the platform
    or the file system has no locks, nothing is locked.

    Raises:
        UsageError: If another training holds the lock; the message names its process.
        MachineError: If the lock's file can't be written.
    """
    place, path = folder.resolve(), folder / "training" / LOCK
    file = None if place in _held.get() else _acquire(folder, path)
    if file is None:
        yield
        return
    token = _held.set(_held.get() | {place})
    try:
        yield
    finally:
        _held.reset(token)
        with file, suppress(OSError):
            if _is_at(path, file):
                path.unlink()
                path.parent.rmdir()  # where nothing else is in it


def refuse_folder_in_training(folder: Path) -> None:
    """Refuse to write into a folder that another training writes into; clear away the lock of a process that died.

    Raises:
        UsageError: If a training holds the folder's lock.
    """
    if (folder / "training" / LOCK).is_file():
        with lock_folder(folder):
            pass


def _acquire(folder: Path, path: Path) -> IO[bytes] | None:
    """The lock's file, open and locked; None where there are no locks."""
    if sys.platform == "win32":
        return None
    for _ in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except FileNotFoundError:  # another training has ended and removed its folder at this moment
            continue
        except OSError as error:
            raise MachineError(f"{path}: can't be written ({error.strerror or error})") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise UsageError(_refusal(folder, file)) from None
        except OSError:  # a file system without locks
            with file, suppress(OSError):
                path.unlink()
            return None
        if _is_at(path, file):
            _sign(file)
            return file
        file.close()
    raise UsageError(f"{folder} is made and removed again and again by other processes; train into another folder")


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Whether the path still leads to the open file: the last holder may have removed it."""
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def _sign(file: IO[bytes]) -> None:
    """Write into the lock's file who holds it."""
    holder = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with suppress(OSError):  # a full disk: the lock holds all the same
        file.truncate(0)
        file.write(json.dumps(holder).encode())
        file.flush()


def _refusal(folder: Path, file: IO[bytes]) -> str:
    try:
        file.seek(0)
        holder = json.loads(file.read(1000))
        who = f", by process {holder['process']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # the holder has not signed yet
        who = ""
    return f"{folder} is in training already{who}; wait until it ends, stop it, or choose another folder"
