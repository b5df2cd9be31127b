"""Disk cache of compiled code, by content: the key is the text, the processor and the versions of LLVM.

Entries are written beside their place and renamed, so that processes can share the folder. An entry that is incomplete,
or another user's, is never loaded; the oldest entries are deleted when the folder is full.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from unspool.engine.cpu.policy import current_policy

__all__ = ["find", "folder", "keep", "key"]

_HEAD = b"unspool kernel 1\n"


def folder() -> Path:
    """Return the cache folder, by the platform's conventions."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "unspool" / "kernels"


def key(*parts: str) -> str:
    """Return the name of an entry."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def find(name: str) -> bytes | None:
    """Return an entry; None if there is none that is complete and this user's."""
    path = folder() / name
    try:
        with path.open("rb") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            content = file.read()
    except OSError:
        return None
    head, body = content[: len(_HEAD) + 32], content[len(_HEAD) + 32 :]
    if head != _HEAD + _digest(name, body):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the entries used last are kept
    return body


def keep(name: str, body: bytes) -> None:
    """Write an entry. The cache only saves time, so a folder that can't be written to raises nothing."""
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=place, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_HEAD + _digest(name, body) + body)
            os.replace(partial, place / name)
        except OSError:
            os.unlink(partial)
            raise
        _shrink(place, current_policy().disk_cache_bytes)
    except OSError:
        return


def _digest(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode() + body).digest()


def _shrink(place: Path, most: int) -> None:
    with os.scandir(place) as files:
        entries = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in files)
    total = sum(size for _, size, _ in entries)
    for _, size, path in entries:
        if total <= most:
            return
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.unlink(path)
        total -= size
