"""Products of two float32 matrices: in tiles of bfloat16, each number cut into three, against torch's own.

    python benchmarks/products.py --threads 1
    python benchmarks/products.py --sizes 700,200,800 --threads 2      # rows, in, out of a layer

For each layer its product, its inputs' gradient and its weight's. Errors are those of float64, as a share of torch's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from measure import Comparison, Disagreement, conditions, interleaved, note, table, tally, told, use_threads
from torch import Tensor

from unspool.engine.cpu.compile import missing
from unspool.engine.cpu.emit.target import host_target
from unspool.engine.cpu.tiled import in_tiles

SIZES = ["4096,128,512", "700,200,800", "700,650,2600", "4096,256,1024", "4096,512,2048"]
_MOST = 2.0
"""Errors, as a share of torch's, above which something else was computed."""


def error(found: Tensor, rows: Tensor, matrix: Tensor) -> float:
    """Root of the mean square, against float64."""
    return float((found.double() - rows.double() @ matrix.double()).square().mean().sqrt())


def main(words: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", action="append", metavar="ROWS,IN,OUT", help="a layer; may be given again")
    parser.add_argument("--threads", type=int, help="torch's setting if omitted")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args(words)
    if missing() is not None or not host_target().tiled:
        sys.exit(f"nothing to compare: {missing() or 'this processor has no tiles (AMX)'}")
    use_threads(given.threads)
    lines, comparisons = [], []
    for size in given.sizes or SIZES:
        count, width, out = map(int, size.split(","))
        inputs, weight, gradient = torch.randn(count, width), torch.randn(out, width), torch.randn(count, out)
        for name, rows, matrix in (
            ("product", inputs, weight.t()),
            ("inputs' gradient", gradient, weight),
            ("weight's gradient", gradient.t(), inputs),
        ):
            note(f"{size} {name}")
            errors = [error(found, rows, matrix) for found in (in_tiles(rows, [matrix])[0], rows @ matrix)]
            if errors[0] > _MOST * errors[1]:
                raise Disagreement(f"{size}, {name}: an error of {errors[0]:.2g} in tiles, torch's is {errors[1]:.2g}")
            times = interleaved(
                {
                    "tiles": lambda rows=rows, matrix=matrix: in_tiles(rows, [matrix]),
                    "torch": lambda rows=rows, matrix=matrix: rows @ matrix,
                },
                given.repeats,
            )
            comparisons.append(Comparison(times["tiles"], times["torch"]))
            share = f"{errors[0] / errors[1]:.2f}"
            lines.append([f"{size} {name}", str(times["tiles"]), str(times["torch"]), str(comparisons[-1]), share])
    print(f"# Products of two matrices\n\n{told(conditions())}\n")
    print(table(["rows, in, out", "tiles", "torch", "times as fast", "error, torch's is 1"], lines))
    print(f"\n{tally(comparisons)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
