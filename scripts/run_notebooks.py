#!/usr/bin/env python3
"""Run the code cells of notebooks from top to bottom, without Jupyter; a failed assertion in a cell fails the run.

python scripts/run_notebooks.py examples/*.ipynb
"""

from __future__ import annotations

import argparse
import ast
import json
import linecache
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def main() -> None:
    """Run notebooks, and print what they display."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path, help="Notebooks to run.")
    for path in parser.parse_args().notebooks:
        begun = time.monotonic()
        run(path, lambda value: sys.stdout.write(f"{value!r}\n"))
        sys.stderr.write(f"{path}: {time.monotonic() - begun:.0f} s\n")


def run(path: Path, display: Callable[[Any], object]) -> None:
    """Run the code cells of a notebook in order, as one module.

    Args:
        path: The notebook.
        display: Called with the value of each cell that ends in an expression other than None.
    """
    module = ModuleType("__notebook__")
    sys.modules[module.__name__] = module  # where classes of the notebook are defined
    try:
        for number, source in enumerate(code_cells(path), start=1):
            value = _run_cell(source, f"{path}, code cell {number}", vars(module))
            if value is not None:
                display(value)
    finally:
        del sys.modules[module.__name__]


def code_cells(path: Path) -> Iterator[str]:
    """Yield the source of each code cell."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def _run_cell(source: str, name: str, names: dict[str, Any]) -> Any:
    """Run one cell; return the value of its last line if this is an expression."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), names)


if __name__ == "__main__":
    main()
