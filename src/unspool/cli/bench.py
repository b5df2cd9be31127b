"""`unspool bench`: how fast a cell runs here, beside torch's nearest module, the plain loop and jax."""

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
"""How long each rival is run in all, in training and in inference."""


@click.group(epilog=example(_EXAMPLE))
@common
def bench() -> None:
    """Measure how fast things run on this machine."""


@bench.command(
    "cell", epilog=example(_EXAMPLE, "unspool bench cell gru-reset-before --time 256 --batch 16 --threads 1")
)
@click.argument("cell")
@click.option("--time", "steps", default=64, show_default=True, help="Steps of a sequence.", type=click.IntRange(1))
@click.option("--batch", default=32, show_default=True, help="Sequences.", type=click.IntRange(1))
@click.option(
    "--hidden", default=256, show_default=True, help="Units, and width of the inputs.", type=click.IntRange(1)
)
@click.option("--threads", help="Threads; torch's own number if omitted.", type=click.IntRange(1, 1024))
@click.option("--explain", "explained", is_flag=True, help="Also print what the compiler made of the cell.")
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
@common
def _cell(cell: str, steps: int, batch: int, hidden: int, threads: int | None, explained: bool, as_json: bool) -> None:
    """Time CELL, a name or my_file.py:MyCell, on every path that takes it, beside torch.nn and jax.

    Outputs and gradients of every path, and of jax, are compared with the plain loop before anything is timed. Times
    are medians of interleaved runs, in milliseconds. In jax the cell is what the compiler traced, in lax.scan, jitted.
    """
    import torch

    from unspool.cells import cell_class
    from unspool.engine import explain

    if threads is not None:
        torch.set_num_threads(threads)
        if hasattr(os, "sched_setaffinity"):  # jax has no other switch that it always follows
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.manual_seed(0)
    made = cell_class(cell)(hidden, hidden)
    inputs = torch.randn(steps, batch, hidden, requires_grad=True)
    report = explain(made, inputs)
    say(str(report) if explained else str(report).partition("\n")[0])
    runs, first = _rivals(made, inputs)
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
        cells = [text for found in times for text in (f"{1000 * found[name]:.2f}", f"{found[name] / found[ours]:.2f}")]
        lines.append([name, *cells, f"{first[name]:.2f}" if name in first else ""])
    head = ["", "training, ms", "times as fast", "inference, ms", "times as fast", "first call, s"]
    result(f"{table(head, lines)}\n\nHow many times as fast as each is {ours}, the path that auto takes.")


Pair = tuple[Callable[[], object], Callable[[], object]]


def _rivals(cell: Cell[Any], inputs: Tensor) -> tuple[dict[str, Pair], dict[str, float]]:
    """Training and inference of each rival, and the seconds of our paths' first calls."""
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
        found = [outputs, *torch.autograd.grad(outputs.sum(), [inputs, *cell.parameters()], materialize_grads=True)]
        first[f"unspool {name}"] = time.perf_counter() - began
        expected = expected or found  # the plain loop comes first
        _compare(f"the path {name}", found, expected)
        runs[f"unspool {name}"] = _pair(cell, forward)
    module: nn.RNNBase
    try:
        module, said = to_torch(cell), ""
    except CellError:
        kind = nn.LSTM if len(request.state) > 1 else nn.GRU
        module, said = kind(cell.input_size, cell.hidden_size), ", another cell"
    runs[f"torch.nn.{type(module).__name__}{said}"] = _pair(module, lambda: module(inputs)[0])
    began = time.perf_counter()
    rival = _jax_rival(cell, inputs)
    if isinstance(rival, str):
        say(f"jax is left out: {rival}")
    else:
        found = rival.results()
        first["jax"] = time.perf_counter() - began
        _compare("jax", found, expected)
        runs["jax"] = rival.train, rival.infer
    return runs, first


def _jax_rival(cell: Cell[Any], inputs: Tensor) -> JaxRival | str:
    """The cell in jax, or why it is left out."""
    from unspool.engine.compiler import Refusal

    if importlib.util.find_spec("jax") is None:
        return "it is not installed (pip install jax)"
    from unspool.engine.rivals.jax_scan import JaxRival

    try:
        return JaxRival(cell, inputs)
    except Refusal as refusal:
        return f"it runs what the compiler traced, and {refusal}"


def _compare(name: str, found: list[Tensor], expected: list[Tensor]) -> None:
    from unspool.errors import BackendError

    for actual, right in zip(found, expected, strict=True):
        distance = float((actual.detach() - right.detach()).norm()) / (float(right.detach().norm()) or 1.0)
        if not distance < 1e-3:
            raise BackendError(f"{name} is {distance:.1e} of a norm away from the plain loop: please report it")


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
    """Medians of runs in turn, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    while time.perf_counter() - began < _SECONDS * len(runs) or min(map(len, times.values())) < 3:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found[1:]) for name, found in times.items()}
