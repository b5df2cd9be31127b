"""Lock of a model folder: one training at a time writes into it. The lock ends with its process."""

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

__all__ = ["LOCK", "in_training", "lock_folder", "refuse_folder_in_training"]

LOCK = "lock"
"""Name of the lock file in the folder `training` of a model folder."""

_ATTEMPTS = 100
_locks: ContextVar[frozenset[Path]] = ContextVar("locks", default=frozenset())


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a model folder against other trainings, of this process and of others, inside the context.

    The kernel frees the lock of a process that dies. The lock is reentrant per thread. It is a no-op where the
    platform or the file system has no locks.

    Raises:
        UsageError: If another training holds the lock; the message contains its process id.
        MachineError: If the lock file can't be written.
    """
    place, path = folder.resolve(), folder / "training" / LOCK
    file = None if place in _locks.get() else _acquire(folder, path)
    if file is None:
        yield
        return
    token = _locks.set(_locks.get() | {place})
    try:
        yield
    finally:
        _locks.reset(token)
        with file, suppress(OSError):
            if _is_at(path, file):
                path.unlink()
                path.parent.rmdir()  # only if empty


def refuse_folder_in_training(folder: Path) -> None:
    """Refuse a folder that another training writes into; remove the lock of a process that died.

    Raises:
        UsageError: If a training holds the folder's lock.
    """
    if (folder / "training" / LOCK).is_file():
        with lock_folder(folder):
            pass


def in_training(folder: Path) -> bool:
    """Return whether a living process holds the lock of a model folder; never takes the lock of a running training.

    On platforms and file systems without locks, the result is False.
    """
    path = folder / "training" / LOCK
    if sys.platform == "win32":
        return False
    try:
        file = path.open("rb")
    except OSError:
        return False
    with file:
        if _holder_is_dead(file):
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _holder_is_dead(file: IO[bytes]) -> bool:
    """Return whether the process that signed the lock file on this host has ended."""
    try:
        holder = json.loads(file.read(1000))
        if holder["host"] != platform.node():
            return False
        os.kill(int(holder["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):  # not signed yet, or a process of another user
        return False
    return False


def _acquire(folder: Path, path: Path) -> IO[bytes] | None:
    """Return the lock file, open and locked; None where the platform has no locks."""
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
    raise UsageError(f"other processes create and remove {folder} again and again; train into another folder")


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Return whether the path still leads to the open file; the last holder may have removed it."""
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def _sign(file: IO[bytes]) -> None:
    """Write process id, host and time of the holder into the lock file."""
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
