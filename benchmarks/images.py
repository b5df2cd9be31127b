"""Compare trainings on images with plain torch: images per second of the same networks on the same batches.

    python benchmarks/images.py                                   # about five minutes on one core
    python benchmarks/images.py --networks feedforward --updates 50 --repeats 9 --precision bfloat16

Ours is `training.fit` as `Classifier.fit` calls it, with its batches, log and checkpoint. The other is a plain loop
over an array of pixels with `nn.Conv2d`, `nn.LSTM` and `nn.Linear`. Data are the first images of MNIST in the folder
that UNSPOOL_DATA names, else random pixels. Both end in the same weights before anything is timed. Times are processor
times.
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from measure import Disagreement, conditions, distance, figure, note, table, told, use_threads, write_json
from rivals.plain_images import plain_images, plain_loop
from workloads.corpora import data_folder

from unspool import Classifier
from unspool.data.forms.arrays import read_idx
from unspool.training import LineReporter, fit

TARGET = 0.95
"""What our images per second must at least be, as a share of the plain loop's."""
TOLERANCE = {"float32": 1e-2, "bfloat16": 0.1}
"""Largest distance between the weights that both loops end with after 2 updates, as a share of a tensor's norm. Adam
divides each gradient by its own size, so that the rounding errors of tiny gradients count."""
NETWORKS: dict[str, dict[str, Any]] = {
    "convolutional": {"network": "convolutional", "pooling": "mean"},
    "LSTM by rows": {"network": "recurrent", "cell": "lstm", "hidden": 128, "pooling": "mean"},
    "feed-forward": {"network": "feedforward", "hidden": 512, "layers": 2},
}


class Clocked:
    """The first batches of a source, with the processor time between the first and the one after the last.

    What the loop does once a run (opening the folder, the last checkpoint) does not count, and its batches do.
    """

    def __init__(self, source: Any, updates: int) -> None:
        self._source, self._updates = source, updates
        self.seconds = 0.0

    def __len__(self) -> int:
        return self._updates + 1

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """The batches, in the order of the epoch."""
        batches = self._source.epoch(number, start=start)
        began = time.process_time()
        yield from itertools.islice(batches, self._updates)
        self.seconds = time.process_time() - began
        yield next(batches)


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 (images, 28, 28, 1), and labels."""
    folder = data_folder() / "mnist"
    if (folder / "train-images-idx3-ubyte.gz").exists():
        pixels = read_idx(str(folder / "train-images-idx3-ubyte.gz"))[:count, :, :, None]
        return pixels.copy(), read_idx(str(folder / "train-labels-idx1-ubyte.gz"))[:count].astype(np.int64)
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 28, 28, 1), np.uint8), generator.integers(0, 10, count)


class Problem:
    """A network with its data, as `Classifier.fit` would have it."""

    def __init__(self, values: dict[str, Any], pixels: np.ndarray, labels: np.ndarray, batch: int, precision: str):
        options = {"dropout": 0.0, "epochs": 1, "batch_size": batch, "batch_tokens": 32 * batch, "plan": False}
        self.task: Any = Classifier(**options, **values, precision=precision)
        examples = self.task._read(self.task._data_source(list(pixels), labels.tolist()))
        self.task._learn(examples)
        torch.manual_seed(0)
        self.model = self.task._make_network()
        self.source = self.task._source(examples)
        plain = {"schedule": "constant", "warmup": 0, "average": "none", "patience": None}
        self.settings = msgspec.structs.replace(self.task.settings.training, **plain)
        self.pixels, self.targets = pixels, self.task.fitted.targets(examples)

    def ours(self, model: Any, updates: int) -> float:
        """Train with our loop, in a new folder; return the seconds of the updates."""
        source = Clocked(self.source, updates)
        with tempfile.TemporaryDirectory() as folder:
            fit(model, source, self.settings, folder=Path(folder), reporter=LineReporter(io.StringIO()))
        return source.seconds

    def plain(self, model: Any, updates: int) -> float:
        """Train with the plain loop on the same batches; return its seconds."""
        fitted = self.task.fitted.input
        indices = self.source.epoch_indices(0)[:updates]
        mean, deviation, smoothing = fitted.mean[0], fitted.deviation[0], self.task.settings.label_smoothing
        began = time.process_time()
        plain_loop(model, self.pixels, self.targets, indices, mean, deviation, self.settings, smoothing)
        return time.process_time() - began

    def network(self) -> Any:
        """The plain network with our weights."""
        return plain_images(self.model, self.task.settings, self.pixels.shape[1:])

    def check(self, precision: str) -> float:
        """Refuse to time loops that do not do the same; return how far apart they are.

        Raises:
            Disagreement: If both loops end in other weights.
        """
        one, other = copy.deepcopy(self.model), self.network()
        self.ours(one, 1)
        self.plain(other, 2)
        pairs = zip(_sorted(one), _sorted(other), strict=True)
        apart = max(distance(mine, theirs) for mine, theirs in pairs)
        if apart > TOLERANCE[precision]:
            raise Disagreement(f"the weights of both loops are {apart:.2g} apart")
        return apart


def _sorted(network: Any) -> list[torch.Tensor]:
    """The matrices and kernels of a network, by their first element, since the names differ."""
    matrices = [weight.detach() for weight in network.parameters() if weight.dim() >= 2]
    return sorted(matrices, key=lambda weight: (tuple(weight.shape), float(weight.sum())))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", type=lambda text: text.split(","), default=list(NETWORKS), help=", ".join(NETWORKS)
    )
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="(float32)")
    parser.add_argument("--updates", type=int, default=60, help="of each repeat (60)")
    parser.add_argument("--batch", type=int, default=64, help="images of a batch (64)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds (7)")
    parser.add_argument("--threads", type=int, default=1, help="cores to use (1)")
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    options = parser.parse_args(arguments)
    use_threads(options.threads)
    facts, rows, records = conditions(), [], []
    pixels, labels = images((options.updates + 1) * options.batch)
    for name in options.networks:
        problem = Problem(NETWORKS[name], pixels, labels, options.batch, options.precision)
        note(f"{name}: {problem.task._summary()}")
        apart = problem.check(options.precision)
        one, other = copy.deepcopy(problem.model), problem.network()
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(1 + options.repeats):
            times["ours"].append(problem.ours(one, options.updates))
            times["plain"].append(problem.plain(other, options.updates))
        count = options.updates * options.batch
        speeds = {who: count / statistics.median(each[1:]) for who, each in times.items()}  # the first warms caches
        ratio = speeds["ours"] / speeds["plain"]
        verdict = "reached" if ratio >= TARGET else "missed"
        rows.append([name, *(f"{figure(speeds[who])}/s" for who in ("ours", "plain")), f"{ratio:.2f}", verdict])
        records.append({"network": name, "ratio": ratio, "apart": apart} | times)
    columns = ["network", "unspool", "plain torch", "ratio", f"target {TARGET}"]
    sys.stdout.write(
        f"# Images per second in training, {options.precision}\n\n{told(facts)}\n\n{table(columns, rows)}\n"
    )
    if options.json:
        write_json(options.json, {"conditions": facts, "runs": records})
    return 0


if __name__ == "__main__":
    sys.exit(main())
