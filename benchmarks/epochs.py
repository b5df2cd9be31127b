"""Train the same models through every path of the engine: seconds per epoch, and whether they come to the same scores.

    python benchmarks/epochs.py                                     # about fifteen minutes on one core
    python benchmarks/epochs.py --tasks classifier --cells own --threads 2 --json epochs.json

An LSTM, a GRU with its reset gate before the product, and a cell of one's own, in a tagger, a classifier and a language
model. Every run has the same seed, data and settings, float32; the first epoch, in which a cell is compiled, is not
timed. Data are those of `benchmarks/training.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from measure import conditions, figure, note, table, told, use_threads, write_json
from torch import Tensor
from workloads.corpora import corpora

from unspool import Cell, Classifier, LanguageModel, Tagger
from unspool.training import Progress, Reporter

SHARE = {"tagger": 0.3, "classifier": 1.0, "language model": 0.4}
"""The part of each corpus that is trained on."""
MADE: dict[str, Any] = {"tagger": Tagger, "classifier": Classifier, "language model": LanguageModel}
SETTINGS: dict[str, dict[str, Any]] = {
    "tagger": {"hidden": 200, "embedding": 100, "layers": 1, "batch_tokens": 2000, "learning_rate": 4e-3},
    "classifier": {"hidden": 100, "embedding": 100, "batch_tokens": 2000, "learning_rate": 2e-3},
    "language model": {"hidden": 256, "embedding": 64, "units": "character", "steps": 64, "batch_size": 32},
}


class OwnState(NamedTuple):
    """The state of `OwnCell`."""

    h: Tensor  # (batch, hidden)


class OwnCell(Cell[OwnState]):
    """What a person may think of on an afternoon: a forget gate, and a candidate that is normed before its tanh."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias = self.parameter(2 * hidden_size, input_size), self.parameter(2 * hidden_size)
        self.weight_hh, self.weight_ch = (self.parameter(hidden_size, hidden_size) for _ in range(2))

    def initial_state(self, batch_size: int) -> OwnState:
        return OwnState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: OwnState) -> tuple[Tensor, OwnState]:
        forget_x, candidate_x = F.linear(x, self.weight_ih, self.bias).chunk(2, -1)
        forget = torch.sigmoid(forget_x + F.linear(state.h, self.weight_hh))
        candidate = candidate_x + F.linear(forget * state.h, self.weight_ch)
        candidate = torch.tanh(candidate / torch.sqrt((candidate * candidate).mean(-1, keepdim=True) + 1e-5))
        h = forget * state.h + (1 - forget) * candidate
        return h, OwnState(h)


CELLS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "LSTM": ("lstm", ("native", "cpu")),
    "GRU, reset before": ("gru-reset-before", ("reference", "cpu")),
    "own": (OwnCell, ("reference", "cpu")),
}
"""Each cell and the paths that take it: torch's kernel or the plain loop, and the compiler."""


class Clock(Reporter):
    """The time of every epoch but the first, with its validation; and the last scores."""

    def __init__(self) -> None:
        self.processor: list[float] = []
        self.wall: list[float] = []
        self.scores: dict[str, float] = {}

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        self.processor.append(time.process_time())
        self.wall.append(time.perf_counter())
        self.scores = metrics

    def epoch(self) -> tuple[float, float]:
        """Mean seconds of one epoch, by processor time and by the wall's clock."""
        count = len(self.wall) - 1
        return (self.processor[-1] - self.processor[0]) / count, (self.wall[-1] - self.wall[0]) / count


def excerpt(path: Path, share: float, folder: Path) -> Path:
    """The first part of a corpus, cut between sentences."""
    text = path.read_text(encoding="utf-8")
    gap = "\n\n" if path.suffix == ".conllu" else "\n"
    cut = text.find(gap, int(share * len(text)))
    if cut < 0:
        return path
    part = folder / f"part-{path.name}"
    part.write_text(text[:cut] + gap, encoding="utf-8")
    return part


def trained(task: str, cell: Any, path: str, data: Path, epochs: int) -> Clock:
    """Train once, through one path of the engine."""
    settings = {**SETTINGS[task], "cell": cell, "backend": path, "epochs": epochs, "dropout": 0.2}
    clock = Clock()
    MADE[task](**settings).fit(data, reporter=clock, baselines=False)
    return clock


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(MADE), help=", ".join(MADE))
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(CELLS), help="; ".join(CELLS))
    parser.add_argument("--epochs", type=int, default=3, help="of each run (3)")
    parser.add_argument("--threads", type=int, default=1, help="cores to use (1)")
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    options = parser.parse_args(arguments)
    use_threads(options.threads)
    facts, rows, records = conditions(), [], []
    with tempfile.TemporaryDirectory() as scratch:
        found = corpora(Path(scratch))
        for task in options.tasks:
            path, title = found[task]
            data = excerpt(path, SHARE[task], Path(scratch))
            for name in options.cells:
                cell, paths = CELLS[name]
                clocks = {}
                for way in paths:
                    note(f"{task}, {name}, {way}")
                    clocks[way] = trained(task, cell, way, data, options.epochs)
                before, after = (clocks[way] for way in paths)
                metric = {"tagger": "accuracy", "classifier": "accuracy", "language model": "nats"}[task]
                times = [clocks[way].epoch()[0] for way in paths]
                rows.append(
                    [f"{task}, {title}", name, paths[0]]
                    + [f"{figure(seconds)} s" for seconds in times]
                    + [f"{times[0] / times[1]:.2f}"]
                    + [f"{clock.scores[metric]:.4f}" for clock in (before, after)]
                )
                for way, clock in clocks.items():
                    processor, wall = clock.epoch()
                    records.append(
                        {"task": task, "cell": name, "path": way, "processor": processor, "wall": wall} | clock.scores
                    )
    columns = ["task", "cell", "other path", "epoch, other", "epoch, cpu", "other / cpu", "score, other", "score, cpu"]
    sys.stdout.write(f"# Epochs through the engine's paths\n\n{told(facts)}\n\n{table(columns, rows)}\n")
    if options.json:
        write_json(options.json, {"conditions": facts, "runs": records})
    return 0


if __name__ == "__main__":
    sys.exit(main())
