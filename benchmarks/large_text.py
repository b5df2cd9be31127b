"""Train a language model on a text larger than you would hold in memory, and print how much memory that took.

Makes a text of random words (`--gigabytes`), trains a small character model on it for half a minute, and prints the
largest resident memory of the training process; that of the same training on a hundredth of the text stands beside it::

    python benchmarks/large_text.py --gigabytes 1
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_text(path: Path, size: int) -> None:
    """Write `size` bytes of lines of random words, a few megabytes at a time."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(generator.choice(list("etaoinshrdlu"), 5)) for _ in range(2000)])
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < size:
            lines = (" ".join(row) + "\n" for row in generator.choice(words, (20_000, 16)))
            written += file.write("".join(lines))


def train(text: Path, folder: Path) -> tuple[float, float]:
    """Train in a process of its own: seconds, and its largest resident memory in MB."""
    command = [sys.executable, "-m", "unspool", "--quiet", "train", "write", str(text), "--out", str(folder)]
    settings = [
        "--minutes",
        "0.5",
        "--hidden",
        "64",
        "--embedding",
        "16",
        "--no-baselines",
        "--valid-fraction",
        "0.001",
    ]
    started = time.perf_counter()
    process = subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit("the training failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    arguments = parser.parse_args()
    print("| text, MB | seconds | largest memory of the process, MB |")
    print("|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for share in (0.01, 1.0):
            text = Path(folder) / "text.txt"
            write_text(text, int(arguments.gigabytes * share * 1e9))
            seconds, memory = train(text, Path(folder) / f"model-{share}")
            print(f"| {text.stat().st_size / 1e6:,.0f} | {seconds:.0f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
