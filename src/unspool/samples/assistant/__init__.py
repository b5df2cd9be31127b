"""Source files of a sample assistant: commands in Python, and questions with answers. `unspool init` copies them."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["source_files"]

_NAMES = ("commands.py", "pairs.tsv")


def source_files() -> dict[str, bytes]:
    """Return the content of each file by its name: `commands.py`, then `pairs.tsv`."""
    folder = files("unspool.samples.assistant")
    return {name: folder.joinpath(name).read_bytes() for name in _NAMES}
