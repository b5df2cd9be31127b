"""Output folder of a demo: the user's, or a temporary one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unspool.errors import UsageError

__all__ = ["demo_folder", "refuse_used"]


def refuse_used(folder: Path) -> None:
    """Refuse an output folder that is neither new nor empty.

    Raises:
        UsageError: If the folder has files, or is a file itself.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already, and nothing is overwritten; name a new folder")


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
    refuse_used(out)
    out.mkdir(parents=True, exist_ok=True)
    yield out
