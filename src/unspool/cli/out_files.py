"""Checks of output files before a command computes what goes into them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unspool.errors import UsageError

__all__ = ["check_new_file", "check_out"]


def check_out(paths: Iterable[Path], formats: Iterable[str], *, overwrite: bool) -> None:
    """Check the files of `--out`.

    Raises:
        UsageError: If a format is unknown, a folder is missing, or a file exists and must not be replaced.
    """
    known = tuple(formats)
    for path in paths:
        if path.suffix.lower() not in known:
            expected = f"one of the formats {', '.join(known)}" if len(known) > 1 else f"a file {known[0]}"
            raise UsageError(f"--out {path}: expected {expected}")
        check_new_file(path, overwrite=overwrite)


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Check a file that a command is to write.

    Raises:
        UsageError: If its folder is missing, or it exists and must not be replaced.
    """
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; name another file, or add --overwrite")
