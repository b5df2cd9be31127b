"""Write the split of MNIST: the last 5,000 images of the training data are validation data.

    python recipes/mnist.py $DATA/mnist mnist

`mnist/part-images-idx3-ubyte` has the first 55,000 images, `mnist/valid-images-idx3-ubyte` the last 5,000, each with
its labels beside it. `mnist/trial-images-idx3-ubyte` has the first 1,000, to try the recipes of pixel by pixel.
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

PARTS = {"part": (0, 55_000), "valid": (55_000, 60_000), "trial": (0, 1_000)}
FILES = {"images-idx3-ubyte": 28 * 28, "labels-idx1-ubyte": 1}  # bytes of an example


def main(data: str, out: str) -> None:
    """Write all parts, uncompressed."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in FILES.items():
        content = gzip.decompress((Path(data) / f"train-{name}.gz").read_bytes())
        head = 4 + 4 * content[3]
        for part, (begin, end) in PARTS.items():
            counted = content[:4] + struct.pack(">i", end - begin) + content[8:head]
            (folder / f"{part}-{name}").write_bytes(counted + content[head + begin * size : head + end * size])


if __name__ == "__main__":
    main(*sys.argv[1:])
