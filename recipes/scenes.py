#!/usr/bin/env python3
"""Train the captioner of `unspool demo pictures` on a grid of 24 x 24 cells, for about three minutes, and score it.

python recipes/scenes.py my-scenes
"""

from __future__ import annotations

import sys
from pathlib import Path

from unspool.cli.demo_pictures import show_pictures


def main() -> None:
    """Train and score; the model and its pictures stay in the folder named on the command line."""
    show_pictures(Path(sys.argv[1]), stem="2", widths="32", epochs=5)


if __name__ == "__main__":
    main()
