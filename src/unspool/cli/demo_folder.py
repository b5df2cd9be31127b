"""Where a demo puts its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unspool.errors import UsageError

__all__ = ["demo_folder"]


@contextmanager
def demo_folder(out: Path | None) -> Iterator[Path]:
    """The folder asked for, which must be new or empty; without one, a folder that is gone afterwards.

    Raises:
        UsageError: If the folder holds something already.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="unspool-demo-") as name:
            yield Path(name)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already, and nothing is overwritten; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    yield out
