"""Output folder of a demo: the user's, or a temporary one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unspool.errors import UsageError

__all__ = ["demo_folder"]


@contextmanager
def demo_folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder `out`, which must be new or empty; None: a temporary folder, removed at the end.

    Raises:
        UsageError: If the folder is not empty.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="unspool-demo-") as name:
            yield Path(name)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already, and nothing is overwritten; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    yield out
