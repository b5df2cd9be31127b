"""Random strings and what is to be written for each: themselves, or themselves from back to front.

    python recipes/strings.py OUT

writes `OUT/copy/` and `OUT/reverse/`, each with `train.tsv` (40,000 pairs), `valid.tsv` (500) and `test.tsv` (2,000).
Strings have 1 to 20 letters of 26, each length as often as any other; no string of four letters or more stands in two
files. Then `recipes/strings.toml` trains on either.
"""

from __future__ import annotations

import argparse
import random
import string
from pathlib import Path

SIZES = {"test": 2000, "valid": 500, "train": 40000}
LONGEST = 20


def draw(rng: random.Random, count: int, taken: set[str]) -> list[str]:
    """So many strings; those of four letters or more are none of `taken`, to which they are added."""
    found: list[str] = []
    while len(found) < count:
        text = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, LONGEST)))
        if text not in taken:
            found.append(text)
            if len(text) > 3:
                taken.add(text)
    return found


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="of the strings (0)")
    options = parser.parse_args()
    rng, taken = random.Random(options.seed), set[str]()
    for name, size in SIZES.items():
        texts = draw(rng, size, taken)
        for task, step in (("copy", 1), ("reverse", -1)):
            file = options.out / task / f"{name}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{text}\t{text[::step]}\n" for text in texts]
            file.write_text("source\ttarget\n" + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
