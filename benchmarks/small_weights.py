"""What a model loses when its weights are rounded, and whether its export to C answers alike, on all lines of files.

    python benchmarks/small_weights.py my-model test.tsv
    python benchmarks/small_weights.py my-model test.tsv --only-scores

Scores are those of `unspool evaluate`, with every matrix rounded as an export with `--small` does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import torch

import unspool
from unspool.ship.answers import compare_answers
from unspool.ship.c import export
from unspool.ship.small import Small, round_matrix
from unspool.ship.targets import Options
from unspool.tasks.running import exporting

KINDS: tuple[Small | None, ...] = (None, "int8", "int4")


@torch.no_grad()
def rounded(folder: str, small: Small | None) -> Any:
    """A model with rounded matrices."""
    task: Any = unspool.load(folder)
    for weight in task.model.parameters() if small else ():
        if weight.dim() > 1:
            weight.copy_(torch.from_numpy(round_matrix(weight.flatten(1).numpy(), small).dense()).view_as(weight))
    return task


def main(words: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", nargs="+")
    parser.add_argument("--only-scores", action="store_true", help="do not export")
    given = parser.parse_args(words)
    for small in KINDS:
        scores = rounded(given.model, small).evaluate(given.data)
        print(f"{small or 'float32':8}", ", ".join(f"{name} {value:.4f}" for name, value in scores.items()), flush=True)
    if given.only_scores:
        return 0
    task: Any = unspool.load(given.model)
    exporting._MOST = exporting._MOST_WRITTEN = sys.maxsize
    texts = [task._export_text(text) for text in exporting._read(task, given.data, "").texts]
    expected, sheet = task._export_answers(texts), task.sheet()
    for small in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            start = process_time()
            artefact = export(sheet, Path(folder) / "model.c", Options(small=small))
            seconds = process_time() - start
            compared = compare_answers(sheet, texts, expected, artefact.run(texts))
            size = sum(file.stat().st_size for file in artefact.files)
            print(
                f"{small or 'float32':8} {compared.texts} texts, {compared.agreement:.2%} the same answers, largest "
                f"difference {compared.largest_difference:.2g}; {size:,} bytes in {seconds:.1f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
