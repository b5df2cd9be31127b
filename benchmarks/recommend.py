"""Recommenders: training beside a plain torch GRU4Rec, and one recommendation beside one product of its size.

    python benchmarks/recommend.py                       # 12,000 items, in about two minutes
    python benchmarks/recommend.py --items 2000 --users 500

The plain program is what a careful person writes: padded batches, `torch.nn.GRU`, the vectors of the items as output
weights, `cross_entropy` over all items with the padding ignored, AdamW. Its loss is compared with ours before anything
is timed. Times are the processor's, of one thread, unless `--threads` says more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measure import Disagreement, conditions, interleaved, note, table, told, use_threads
from torch import Tensor, nn

from unspool import Recommender

TOLERANCE = 1e-4
"""Largest relative difference of the losses of a batch."""


class PlainGRU4Rec(nn.Module):
    """GRU4Rec with tied item vectors, batch first."""

    def __init__(self, ids: int, size: int) -> None:
        super().__init__()
        self.embedding, self.gru = nn.Embedding(ids, size, padding_idx=0), nn.GRU(size, size, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(ids))

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of the targets that are not -100; inputs and targets are (batch, time)."""
        logits = self.gru(self.embedding(inputs))[0] @ self.embedding.weight.t() + self.bias
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def histories(users: int, items: int, mean: float, seed: int = 0) -> list[list[str]]:
    """Draw histories with lengths and popularities as uneven as those of a shop."""
    draw = np.random.default_rng(seed)
    lengths = 4 + draw.geometric(1 / (mean - 4), users).clip(max=196)
    popularity = 1 / np.arange(10, items + 10) ** 0.8
    cumulative = np.cumsum(popularity / popularity.sum())
    drawn = [[str(item) for item in np.searchsorted(cumulative, draw.random(length))] for length in lengths]
    every = np.split(draw.permutation(items), range(9, items, 9))  # so that the training data have every item
    return drawn + [[str(item) for item in (*part, *part[:2])] for part in every]


def trained(data: list[list[str]], size: int, threads: int) -> Recommender:
    """Train a recommender for one update, so that it can be used."""
    settings = {"hidden": size, "embedding": size, "dropout": 0.0, "threads": threads, "plan": False, "epochs": 1}
    return Recommender(batch_tokens=4096, batch_size=256, learning_rate=1e-6, **settings).fit(data, baselines=False)


def steps(task: Recommender, data: list[list[str]], size: int) -> tuple[dict[str, Callable[[], object]], int]:
    """Return one update of each program on the same batch, and the number of its users."""
    source = task._source(task._read(task._data_source(data)))
    batch: Any = next(iter(source.epoch(0)))
    ours, plain = task._build().train(), PlainGRU4Rec(len(task.fitted.items) + 1, size)
    cell: Any = ours.encoder.layers[0][0]
    with torch.no_grad():
        plain.embedding.weight.copy_(ours.embedding.table.weight)
        plain.bias.copy_(ours.softmax.bias)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(plain.gru, f"{name}_l0").copy_(getattr(cell, name))
    inputs, targets = batch.tokens.ids.t().contiguous(), batch.targets.t().contiguous()
    loss = ours.loss(batch, None)
    one, other = float(loss.total.detach()) / loss.count, float(plain(inputs, targets).detach())
    if abs(one - other) > TOLERANCE * other:
        raise Disagreement(f"the loss of the batch is {one} here and {other} in plain torch")
    optimizers = {name: torch.optim.AdamW(model.parameters(), 1e-5) for name, model in (("a", ours), ("b", plain))}

    def step(name: str, loss_of: Callable[[], Tensor]) -> None:
        optimizers[name].zero_grad()
        loss_of().backward()  # type: ignore[no-untyped-call]
        optimizers[name].step()

    def own() -> Tensor:
        loss = ours.loss(batch, None)
        return loss.total / loss.count

    runs = {"unspool": lambda: step("a", own), "plain torch": lambda: step("b", lambda: plain(inputs, targets))}
    return runs, inputs.shape[0]


def calls(task: Recommender, data: list[list[str]], size: int) -> dict[str, Callable[[], object]]:
    """Return one recommendation, and the product of a matrix of the item vectors with a vector."""
    weight = np.random.default_rng(0).standard_normal((len(task.fitted.items) + 1, size)).astype(np.float32)
    vector, history = weight[0].copy(), [item for item in data[0] if item in task.fitted.items.items][:10]
    return {"unspool": lambda: task.predict(history), "product of numpy": lambda: weight @ vector}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--mean", type=float, default=9.0, help="mean length of a history")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    use_threads(arguments.threads)
    print(told(conditions("numpy")))
    data = histories(arguments.users, arguments.items, arguments.mean)
    note("training one epoch")
    task = trained(data, arguments.size, arguments.threads)
    runs, users = steps(task, data, arguments.size)
    note("timing updates")
    rows = []
    updates = interleaved(runs, arguments.repeats, clock=time.process_time, warm=True)
    for name, timing in updates.items():
        ratio = updates["plain torch"].median / timing.median
        rows.append([name, f"{users / timing.median:,.0f}", f"{ratio:.2f}"])
    print("\n" + table(["training", "users per second", "times plain torch"], rows))
    note("timing recommendations")
    single = interleaved(calls(task, data, arguments.size), 3 * arguments.repeats, clock=time.process_time, warm=True)
    rows = [
        [name, f"{1e6 * timing.median:,.0f}", f"{timing.median / single['product of numpy'].median:.1f}"]
        for name, timing in single.items()
    ]
    print("\n" + table([f"one history, {arguments.items:,} items", "µs", "times the product"], rows))


if __name__ == "__main__":
    main()
