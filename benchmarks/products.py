"""Products of two float32 matrices by our own code, in tiles (AMX) or on vectors, against torch's.

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

from unspool.engine.cpu.codegen.target import host_target
from unspool.engine.cpu.jit.compile import missing, products, tiled
from unspool.engine.cpu.runtime.gemm import PARTS, multiplied

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
    parser.add_argument("--way", choices=["tiles", "vectors"], help="tiles where the processor has them if omitted")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args(words)
    if missing() is not None:
        sys.exit(f"nothing to compare: {missing()}")
    target = host_target()
    way = given.way or ("tiles" if target.tiled else "vectors")
    if way == "tiles" and not target.tiled:
        sys.exit("nothing to compare: this processor has no tiles (AMX)")
    by = tiled(target, PARTS) if way == "tiles" else products(torch.float32, target)
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
            errors = [error(found, rows, matrix) for found in (multiplied(rows, [matrix], by=by)[0], rows @ matrix)]
            if errors[0] > _MOST * errors[1]:
                raise Disagreement(f"{size}, {name}: an error of {errors[0]:.2g}, torch's is {errors[1]:.2g}")
            times = interleaved(
                {
                    way: lambda rows=rows, matrix=matrix: multiplied(rows, [matrix], by=by),
                    "torch": lambda rows=rows, matrix=matrix: rows @ matrix,
                },
                given.repeats,
            )
            comparisons.append(Comparison(times[way], times["torch"]))
            share = f"{errors[0] / errors[1]:.2f}"
            lines.append([f"{size} {name}", str(times[way]), str(times["torch"]), str(comparisons[-1]), share])
    print(f"# Products of two matrices\n\n{told(conditions())}\n")
    print(table(["rows, in, out", way, "torch", "times as fast", "error, torch's is 1"], lines))
    print(f"\n{tally(comparisons)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
