#!/usr/bin/env python3
"""Draw one step of every built-in cell, into docs/assets/cells: `draw_cells.py [NAME ...]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from unspool import graph
from unspool.cells import CELLS, cell_class

FOLDER = Path(__file__).parent.parent / "docs" / "assets" / "cells"
INPUT, HIDDEN = 32, 64
SMALL = {"ntm": "ntm(slots=16, width=8)", "ntm-feedforward": "ntm-feedforward(slots=16, width=8)"}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="the cells; all of them if omitted")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pictures")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.names or CELLS:
        cell = cell_class(SMALL.get(name, name))(INPUT, HIDDEN)
        graph(cell).save(chosen.out / f"{name}.svg", overwrite=True)


if __name__ == "__main__":
    main()
