"""Names of the built-in cells, read from the source of the cells' files; imports no torch.

A file of this folder that defines cells ends with a table of their names: `CELLS = {"lstm": LSTMCell}`.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["CellFile", "cell_files", "cell_names"]


class CellFile(NamedTuple):
    """One file that defines cells."""

    names: tuple[str, ...]
    """Names of its cells: the keys of its `CELLS`."""
    exports: tuple[str, ...]
    """Its public names: its `__all__`."""


@cache
def cell_files() -> dict[str, CellFile]:
    """Return the files of this folder that define cells, by module name, in alphabetical order."""
    sources = {file.stem: file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))}
    return {module: _parse(source) for module, source in sources.items() if "\nCELLS = {" in source}


def cell_names() -> list[str]:
    """Return the names of all built-in cells, in the order of `CELLS`, without importing torch."""
    return [name for file in cell_files().values() for name in file.names]


def _parse(source: str) -> CellFile:
    exports = source.partition("\n__all__ = [")[2].partition("]")[0]
    table = source.partition("\nCELLS = ")[2]
    tree = ast.parse(table, mode="eval").body
    assert isinstance(tree, ast.Dict)
    names = (str(ast.literal_eval(key)) for key in tree.keys if key is not None)
    return CellFile(tuple(names), tuple(ast.literal_eval(f"[{exports}]")))
