"""What the benchmarks share: interleaved timing in one process, figures with their spread, and Markdown tables."""

from __future__ import annotations

import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

EVEN = 0.03
"""Ratios closer to 1 than this are called even."""
_SHORT = 0.01  # seconds


class Disagreement(SystemExit):
    """A rival computes something else: its time means nothing, and the benchmark fails."""


@dataclass(frozen=True)
class Timing:
    """Repeated times of one thing."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float | None:
        """Half the range between the quartiles, as a share of the median; None for fewer than three repeats."""
        if len(self.seconds) < 3:
            return None
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (third - first) / 2 / self.median

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ±{100 * self.spread:.0f}%"
        return f"{figure(1000 * self.median)} ms{spread}"


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    until: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
    warm: bool = False,
) -> dict[str, Timing]:
    """Time all runs in turn, round by round, so that a busy moment of the machine hits all of them.

    The order of every round is drawn by lot, the same each time, so that nobody always comes after the same neighbour.
    What takes less than 10 ms is called several times in a row, for their mean.

    Args:
        runs: What to time, by name.
        repeats: Most rounds.
        until: Only the first three rounds begin after this moment, on the clock `time.perf_counter`.
        clock: What times are read from; `time.process_time` leaves out what other processes take, but adds up threads.
        warm: Whether each is called once before it is timed, so that nobody pays for caches and threads as another has
            left them.
    """
    names = list(runs)
    times: dict[str, list[float]] = {name: [] for name in names}
    calls, lot = dict.fromkeys(names, 1), random.Random(0)
    for number in range(repeats):
        if number >= 3 and time.perf_counter() >= until:
            break
        for name in lot.sample(names, len(names)):
            if warm:
                runs[name]()
            once = seconds(runs[name], calls[name], clock)
            if number == 0 and once < _SHORT:
                calls[name] = min(200, int(_SHORT / once) + 1)
                once = seconds(runs[name], calls[name], clock)
            times[name].append(once)
    return {name: Timing(tuple(found)) for name, found in times.items()}


def seconds(run: Callable[[], object], calls: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes, the mean of some in a row."""
    began = clock()
    for _ in range(calls):
        run()
    return (clock() - began) / calls


def distance(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference as a share of the expected norm; infinite where shapes differ or values are not finite."""
    if actual.shape != expected.shape or not bool(actual.isfinite().all()):
        return float("inf")
    scale = float(expected.double().norm())
    return float((actual.double() - expected.double()).norm()) / (scale or 1.0)


@dataclass(frozen=True)
class Comparison:
    """How many times as fast ours is as a rival: over 1 is a win, under 1 a loss."""

    ours: Timing
    rival: Timing

    @property
    def ratio(self) -> float:
        """The rival's median over ours."""
        return self.rival.median / self.ours.median

    @property
    def verdict(self) -> str:
        """One of win, even, loss, or unclear, where the quartiles of both overlap by more than the difference."""
        if abs(self.ratio - 1) <= EVEN:
            return "even"
        noise = [timing.spread for timing in (self.ours, self.rival)]
        if any(spread is None for spread in noise) or abs(math.log(self.ratio)) < sum(filter(None, noise)):
            return "unclear"
        return "win" if self.ratio > 1 else "loss"

    def __str__(self) -> str:
        text = f"{self.ratio:.2f} {self.verdict}"
        return f"**{text}**" if self.verdict == "loss" else text


def tally(comparisons: Iterable[Comparison]) -> str:
    """Wins, draws and losses in words, with the mean and the worst."""
    known = list(comparisons)
    verdicts = [comparison.verdict for comparison in known]
    ratios = [comparison.ratio for comparison in known]
    counts = f"{verdicts.count('win')} wins, {verdicts.count('even')} even, {verdicts.count('loss')} losses"
    unclear = f", {verdicts.count('unclear')} unclear" if "unclear" in verdicts else ""
    return f"{counts}{unclear}; geometric mean {statistics.geometric_mean(ratios):.2f}, worst {min(ratios):.2f}"


def figure(number: float) -> str:
    """Three digits: 1234, 123, 12.3, 1.23."""
    return f"{number:.0f}" if number >= 99.95 else f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the others right."""
    lines = [columns, [":--", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conditions(*packages: str) -> dict[str, str]:
    """What a figure was measured on: machine, threads, versions, commit."""
    versions = {}
    for name in ("torch", *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores ({usable} used), {platform.system()} {platform.machine()}",
        "load before": load,
        "threads": str(torch.get_num_threads()),
        "versions": ", ".join([f"Python {platform.python_version()}", *(f"{n} {v}" for n, v in versions.items())]),
        "commit": _commit(),
    }


def told(facts: Mapping[str, str]) -> str:
    """Conditions as a Markdown list."""
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def use_threads(count: int | None) -> None:
    """Give torch, and whatever else will start threads here, that many cores; all of them if None."""
    if count is None:
        return
    torch.set_num_threads(count)
    if hasattr(os, "sched_setaffinity"):  # jax has no other switch that it always follows
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def note(text: str) -> None:
    """Say something on the way, on stderr; the table alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Keep every single time, for those who want to compute something else from them."""
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    note(f"all times are in {path}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def _commit() -> str:
    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src")
        return git("rev-parse", "--short=10", "HEAD") + (" with changes in src" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
