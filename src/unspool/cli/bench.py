"""`unspool bench`: benchmark a cell against torch's nearest module, the plain loop and jax."""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.talk import common, example, result, result_json, say, table

if TYPE_CHECKING:
    from torch import Tensor

    from unspool.cells import Cell
    from unspool.engine.rivals.jax_scan import JaxRival

__all__ = ["bench"]

_EXAMPLE = "unspool bench cell my_file.py:MyCell --hidden 256"
_SECONDS = 1.0
"""Seconds of measurement for each implementation, in training and in inference."""


@click.group(epilog=example(_EXAMPLE))
@common
def bench() -> None:
    """Benchmark cells on this machine."""


@bench.command(
    "cell", epilog=example(_EXAMPLE, "unspool bench cell gru-reset-before --time 256 --batch 16 --threads 1")
)
@click.argument("cell")
@click.option("--time", "steps", default=64, show_default=True, help="Steps of each sequence.", type=click.IntRange(1))
@click.option("--batch", default=32, show_default=True, help="Sequences of a batch.", type=click.IntRange(1))
@click.option(
    "--hidden", default=256, show_default=True, help="Hidden units, and features of the inputs.", type=click.IntRange(1)
)
@click.option("--threads", help="Number of threads; torch's default if omitted.", type=click.IntRange(1, 1024))
@click.option("--explain", "explained", is_flag=True, help="Also print how the compiler lowered the cell.")
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
@common
def _cell(cell: str, steps: int, batch: int, hidden: int, threads: int | None, explained: bool, as_json: bool) -> None:
    """Time CELL, a name or my_file.py:MyCell, on every backend that supports it, beside torch.nn and jax.

    The command first compares outputs and gradients of every backend, and of jax, with the plain loop. Times are
    medians of interleaved runs, in milliseconds. The jax version runs the graph that the compiler traced, in a jitted
    lax.scan.
    """
    import torch

    from unspool.cells import cell_class
    from unspool.engine import explain

    if threads is not None:
        torch.set_num_threads(threads)
        if hasattr(os, "sched_setaffinity"):  # jax has no thread setting that always works
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.manual_seed(0)
    instance = cell_class(cell)(hidden, hidden)
    inputs = torch.randn(steps, batch, hidden, requires_grad=True)
    report = explain(instance, inputs)
    say(str(report) if explained else str(report).partition("\n")[0])
    runs, first = _rivals(instance, inputs)
    times = [_interleaved({name: run[mode] for name, run in runs.items()}) for mode in (0, 1)]
    if as_json:
        seconds = {
            name: {"training": times[0][name], "inference": times[1][name], "first call": first.get(name)}
            for name in runs
        }
        result_json({"cell": cell, "sizes": [steps, batch, hidden], "path": report.backend, "seconds": seconds})
        return
    ours = f"unspool {report.backend}"
    lines = []
    for name in runs:
        cells = [text for mode in times for text in (f"{1000 * mode[name]:.2f}", f"{mode[name] / mode[ours]:.2f}")]
        lines.append([name, *cells, f"{first[name]:.2f}" if name in first else ""])
    head = ["", "training, ms", "times as fast", "inference, ms", "times as fast", "first call, s"]
    result(
        f"{table(head, lines)}\n\n'times as fast': the speed-up of {ours}, the backend that auto picks, over each row."
    )


Pair = tuple[Callable[[], object], Callable[[], object]]


def _rivals(cell: Cell[Any], inputs: Tensor) -> tuple[dict[str, Pair], dict[str, float]]:
    """Return training and inference of each implementation, and the seconds of the first calls."""
    import torch
    from torch import nn

    from unspool.cells import to_torch
    from unspool.engine import PATHS, check_request, unroll
    from unspool.errors import CellError

    request = check_request(cell, inputs, None, None, False, ())
    runs: dict[str, Pair] = {}
    first: dict[str, float] = {}
    expected: list[Tensor] = []
    for name in reversed(PATHS):
        if PATHS[name].why_unsupported(request) is not None:
            continue

        def forward(name: str = name) -> Tensor:
            return unroll(cell, inputs, backend=name)[0]

        began = time.perf_counter()
        outputs = forward()
        results = [outputs, *torch.autograd.grad(outputs.sum(), [inputs, *cell.parameters()], materialize_grads=True)]
        first[f"unspool {name}"] = time.perf_counter() - began
        expected = expected or results  # the plain loop comes first
        _compare(f"the path {name}", results, expected)
        runs[f"unspool {name}"] = _pair(cell, forward)
    module: nn.RNNBase
    try:
        module, note = to_torch(cell), ""
    except CellError:
        kind = nn.LSTM if len(request.state) > 1 else nn.GRU
        module, note = kind(cell.input_size, cell.hidden_size), ", another cell"
    runs[f"torch.nn.{type(module).__name__}{note}"] = _pair(module, lambda: module(inputs)[0])
    began = time.perf_counter()
    rival = _jax_rival(cell, inputs)
    if isinstance(rival, str):
        say(f"jax is left out: {rival}")
    else:
        results = rival.results()
        first["jax"] = time.perf_counter() - began
        _compare("jax", results, expected)
        runs["jax"] = rival.train, rival.infer
    return runs, first


def _jax_rival(cell: Cell[Any], inputs: Tensor) -> JaxRival | str:
    """Return the cell in jax, or the reason for its absence."""
    from unspool.engine.compiler import Refusal

    if importlib.util.find_spec("jax") is None:
        return "it is not installed (pip install jax)"
    from unspool.engine.rivals.jax_scan import JaxRival

    try:
        return JaxRival(cell, inputs)
    except Refusal as refusal:
        return f"it runs what the compiler traced, and {refusal}"


def _compare(name: str, results: list[Tensor], expected: list[Tensor]) -> None:
    from unspool.errors import BackendError

    for actual, right in zip(results, expected, strict=True):
        distance = float((actual.detach() - right.detach()).norm()) / (float(right.detach().norm()) or 1.0)
        if not distance < 1e-3:
            raise BackendError(f"{name} differs from the plain loop by {distance:.1e} of its norm; please report this")


def _pair(module: Any, forward: Callable[[], Tensor]) -> Pair:
    import torch

    def train() -> None:
        module.zero_grad(set_to_none=True)
        torch.autograd.backward(forward().sum())

    def infer() -> None:
        with torch.no_grad():
            forward()

    return train, infer


def _interleaved(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each function, from interleaved runs."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    while time.perf_counter() - began < _SECONDS * len(runs) or min(map(len, times.values())) < 3:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}
