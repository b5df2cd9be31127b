#!/usr/bin/env python3
"""Measure whether the heads of machines that copy walk over the memory: `measure_heads.py MODEL [MODEL ...]`."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from unspool import Algorithm
from unspool.inspection.memory import head_path


def main() -> None:
    """Trace exercises with random vectors and print the mean shares per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 40], help="vectors to copy")
    parser.add_argument("--exercises", type=int, default=50, help="number of exercises of each length")
    options = parser.parse_args()
    line = "{:<16} {:>6} {:>20} {:>17} {:>4} {:>6}\n"
    sys.stdout.write(line.format("model", "length", "write head advances", "reading retraces", "lag", "exact"))
    for folder in options.models:
        model = Algorithm.load(folder)
        for length in options.lengths:
            chance = random.Random(3)  # the same exercises for every model
            paths, exact = [], 0
            for _ in range(options.exercises):
                text = " ".join("".join(chance.choice("01") for _ in range(8)) for _ in range(length))
                trace = model.trace(text)
                paths.append(head_path(trace, length))
                exact += trace.prediction["answer"] == trace.prediction["right"]
            advances, retraces = (
                sum(getattr(path, name) for path in paths) / len(paths) for name in ("advances", "retraces")
            )
            lags = "/".join(str(lag) for lag in sorted({path.lag for path in paths}))
            share = exact / options.exercises
            row = (folder.name, length, f"{advances:.3f}", f"{retraces:.3f}", lags, f"{share:.2f}")
            sys.stdout.write(line.format(*row))


if __name__ == "__main__":
    main()
