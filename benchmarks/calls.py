"""What a call costs where there is little to compute: one step at a time, and the first use of a cell.

    python benchmarks/calls.py                                      # both, in about two minutes
    python benchmarks/calls.py --only stream --cells lstm,gru --hidden 128 --batch 1

A step of every rival is compared with the plain step before anything is timed. Times are the processor's, of one
thread, unless `--threads` says more. Small problems are a size of engine.py: `--sizes 10,4,32`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from measure import Comparison, Disagreement, Timing, conditions, distance, interleaved, note, table, told, use_threads
from torch import Tensor, nn

from unspool.cells import CELLS, Cell
from unspool.engine import Stepper, unroll

TOLERANCE = 1e-5
"""Largest distance from the plain step, as a share of a tensor's norm."""

TORCH: dict[str, tuple[type[nn.RNNCellBase], bool]] = {
    "lstm": (nn.LSTMCell, True),
    "gru": (nn.GRUCell, True),
    "elman": (nn.RNNCell, True),
    "lstm-peephole": (nn.LSTMCell, False),
    "lstm-layernorm": (nn.LSTMCell, False),
    "gru-reset-before": (nn.GRUCell, False),
}
"""What torch.nn has for one step, and whether it is the same cell or the nearest."""

FIRST = """
import sys, time, torch
from unspool.cells import CELLS
from unspool.engine import unroll
torch.set_num_threads(1)
inputs = torch.randn(8, 4, 40)
torch.nn.LSTM(40, 50)(inputs)[0].sum().backward()  # what torch itself does at first is not counted
for name in sys.argv[1:]:
    began = time.process_time()
    unroll(CELLS[name](40, 50), inputs, backend="cpu")[0].sum().backward()
    print(time.process_time() - began)
"""


def rivals(name: str, hidden: int, batch: int) -> dict[str, Callable[[], Any]]:
    """Everybody who makes one step; the plain step first."""
    torch.manual_seed(0)
    cell: Cell[Any] = CELLS[name](hidden, hidden)
    x = torch.randn(batch, hidden)
    state = type(cell.initial_state(batch))(*(torch.randn_like(part) for part in cell.initial_state(batch)))
    stepper = Stepper(cell)
    inputs = x.unsqueeze(0)

    found: dict[str, Callable[[], Any]] = {
        "plain step": lambda: cell.step(x, state),
        "Stepper": lambda: stepper(x, state),
        "unroll": lambda: unroll(cell, inputs, state),
    }
    if name in TORCH:
        kind, same = TORCH[name]
        module = kind(hidden, hidden)
        if same:
            module.load_state_dict(cell.state_dict())
        given: Any = tuple(state[:2]) if kind is nn.LSTMCell else state[0]
        found[f"nn.{kind.__name__}" if same else f"nn.{kind.__name__}, another cell"] = lambda: module(x, given)
    return found


def parts(made: Any) -> tuple[Tensor, ...]:
    """The state after a step, whoever made it; the output is its first part for all of torch's cells."""
    if isinstance(made, Tensor):
        return (made,)
    return tuple(made) if isinstance(made[1], Tensor) else tuple(made[1])


def stream(cells: Sequence[str], sizes: Sequence[tuple[int, int]], repeats: int) -> str:
    """One step of a batch, in microseconds, and how many times as fast as the others a Stepper is.

    Raises:
        Disagreement: If a rival that computes the same finds something else.
    """
    lines = []
    for name in cells:
        for hidden, batch in sizes:
            runs = rivals(name, hidden, batch)
            expected = parts(runs["plain step"]())
            for who, run in runs.items():
                worst = max(map(distance, parts(run()), expected)) if "another" not in who else 0.0
                if not worst <= TOLERANCE:
                    raise Disagreement(f"{who}: {name}, {hidden} units: {worst:.1e} of its norm from the plain step")
            clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
            times = interleaved(runs, repeats, clock=clock)
            ours = times["Stepper"]
            others = {who: timing for who, timing in times.items() if who != "Stepper"}
            versus = [f"{_micro(timing)}, {Comparison(ours, timing)} ({who})" for who, timing in others.items()]
            lines.append([name, str(hidden), str(batch), _micro(ours), *versus, *["–"] * (3 - len(versus))])
            note(f"{name}, {hidden} units, batch {batch}: {_micro(ours)}")
    columns = ["cell", "hidden", "batch", "Stepper", "plain step", "unroll", "torch.nn"]
    return f"## One step at a time, inference\n\n{table(columns, lines)}"


def _micro(timing: Timing) -> str:
    return f"{1e6 * timing.median:.1f} µs"


def first_use(cells: Sequence[str], repeats: int) -> str:
    """Seconds of the first training call in a new process, compiled or loaded, and of a second cell after it."""
    lines = []
    for name in cells:
        second = next(other for other in ("elman", "lstm-peephole") if other != name)
        cold, warm, next_cold, next_warm = [], [], [], []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, "XDG_CACHE_HOME": folder, "LOCALAPPDATA": folder}
                for firsts, seconds in ((cold, next_cold), (warm, next_warm)):
                    command = [sys.executable, "-c", FIRST, name, second]
                    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                    first, later = map(float, said.split())
                    firsts.append(first)
                    seconds.append(later)
        medians = [f"{1000 * statistics.median(times):.0f} ms" for times in (cold, next_cold, warm, next_warm)]
        lines.append([name, *medians])
        note(f"{name}: {', '.join(medians)}")
    columns = ["cell", "compiled, first in a process", "a second cell", "from the cache, first", "a second cell"]
    return f"## First use\n\n{table(columns, lines)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(TORCH), help="names, with commas")
    parser.add_argument("--hidden", type=_numbers, default=[128, 512], help="units (128,512)")
    parser.add_argument("--batch", type=_numbers, default=[1, 4], help="sequences (1,4)")
    parser.add_argument("--only", choices=["stream", "first-use"], help="leave the other out")
    parser.add_argument(
        "--repeats", type=int, default=9, help="interleaved repeats; a third of them of a first use (9)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of steps; with more than one, wall time (1)")
    options = parser.parse_args(arguments)
    unknown = set(options.cells) - set(CELLS)
    if unknown:
        raise SystemExit(f"there is no cell {', '.join(sorted(unknown))}; choose from {', '.join(CELLS)}")
    use_threads(options.threads)
    clock = "processor time of one thread" if options.threads == 1 else "wall time"
    facts = conditions("llvmlite") | {
        "how": f"{clock}, medians of interleaved repeats; then how many times as fast a Stepper is"
    }
    print(f"# What a call costs\n\n{told(facts)}")
    if options.only != "first-use":
        sizes = [(hidden, batch) for hidden in options.hidden for batch in options.batch]
        with torch.no_grad():
            print(f"\n{stream(options.cells, sizes, options.repeats)}")
    if options.only != "stream":
        print(f"\n{first_use(options.cells, max(1, options.repeats // 3))}")
    return 0


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
