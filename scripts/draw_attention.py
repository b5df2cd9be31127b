#!/usr/bin/env python3
"""Train a translator that writes letters backwards, and draw where it attended: docs/assets/pictures/attention.svg."""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

from unspool import Translator
from unspool.inspection import write_trace

OUT = Path(__file__).parent.parent / "docs" / "assets" / "pictures" / "attention.svg"


def main() -> None:
    """Train for half a minute, then write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="h e a d e d", help="Letters from a to h, a blank between them.")
    parser.add_argument("--out", type=Path, default=OUT, help="The picture, .svg or .html.")
    chosen = parser.parse_args()
    chance = Random(1)
    texts = [" ".join(chance.choices("abcdefgh", k=chance.randint(3, 10))) for _ in range(8000)]
    model = Translator(units="blank", hidden=64, embedding=32, epochs=8, threads=1, plan=False)
    model.fit(texts, [text[::-1] for text in texts])
    write_trace(model.trace(chosen.text).select("attention"), chosen.out, overwrite=True)


if __name__ == "__main__":
    main()
