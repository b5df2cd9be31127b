"""Files that are there in full or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from unspool.errors import MachineError

__all__ = ["replace_file"]


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
