"""Compare our training loop with bare torch loops on the same networks and batches, and our tagger with Flair's.

    python benchmarks/training.py                                   # everything that is here, in about five minutes
    python benchmarks/training.py --tasks tagger --updates 40 --repeats 7 --threads 2 --json training.json
    python benchmarks/training.py --profile                         # also where the time of our loop goes

Data are looked for in the folder that UNSPOOL_DATA names, or in ../shared/data beside the checkout (UD English EWT,
SST-2, Tiny Shakespeare); without them, text of like size is generated. All loops end in the same weights before
anything is timed.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import io
import itertools
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from measure import (
    Comparison,
    Disagreement,
    Timing,
    conditions,
    distance,
    interleaved,
    note,
    seconds,
    table,
    told,
    use_threads,
    write_json,
)
from rivals.bare import bare_loop, plain_network
from rivals.peer import compare_with_flair
from torch import nn
from workloads.corpora import corpora

from unspool import Classifier, LanguageModel, Tagger
from unspool.settings import to_record
from unspool.training import LineReporter, TrainingSettings, fit

TARGET = 0.95
"""What our loop's speed must at least be, as a share of the bare loop's."""
UPDATES = {"tagger": 40, "classifier": 200, "language model": 12}
"""Updates of one repeat, two or three seconds on two cores."""
TOLERANCE = 1e-5
"""Largest distance between the weights that two loops end with after some updates, as a share of a tensor's norm; the
arithmetic is the same, so that most are equal to the bit."""
MADE: dict[str, Callable[..., Any]] = {"tagger": Tagger, "classifier": Classifier, "language model": LanguageModel}


class Clocked:
    """The first batches of a source, with the time between asking for the first and for the one after the last.

    The loop under test makes one update more than is timed, so that everything it does between two batches counts, and
    what it does once a run (opening the folder, the last checkpoint) does not.
    """

    def __init__(self, source: Any, updates: int) -> None:
        self._source, self._updates = source, updates
        self.seconds = 0.0

    def __len__(self) -> int:
        return self._updates + 1

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """The batches, in the order of the epoch."""
        batches = self._source.epoch(number, start=start)
        began = time.perf_counter()
        yield from itertools.islice(batches, self._updates)
        self.seconds = time.perf_counter() - began
        yield next(batches)


@dataclass
class Problem:
    """A task with its network and its batches, as its own `fit` would have them."""

    name: str
    data: str
    model: Any
    source: Any
    settings: TrainingSettings
    updates: int
    summary: str

    @classmethod
    def of(cls, name: str, path: Path, data: str, updates: int, values: dict[str, Any]) -> Problem:
        """Read the data, learn vocabularies, build the network, make the source."""
        task = MADE[name](epochs=1, **values)
        examples = task._read(path)
        task._learn(examples)
        torch.manual_seed(task.settings.training.seed)
        task.model = task._make_network()
        source = task._source(examples)
        updates = min(updates, len(source) - 1)
        if updates < 1:
            raise SystemExit(f"{path}: the data gives {len(source)} batches; at least 2 are needed")
        plain = {"schedule": "constant", "warmup": 0, "average": "none", "patience": None, "accumulate": 1}
        settings = msgspec.structs.replace(task.settings.training, **plain)
        return cls(name, data, task.model, source, settings, updates, task.describe()["summary"])

    @property
    def batches(self) -> list[Any]:
        """The batches that are timed, made beforehand."""
        return list(itertools.islice(self.source.epoch(0), self.updates))


def ours(problem: Problem, model: nn.Module) -> tuple[float, float]:
    """Train with our loop, one run in a new folder: seconds of the updates, and of everything else."""
    source = Clocked(problem.source, problem.updates)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        fit(model, source, problem.settings, folder=Path(folder), reporter=LineReporter(io.StringIO()))
        whole = time.perf_counter() - began
    return source.seconds, whole - source.seconds


def bare(problem: Problem, model: nn.Module, batches: Sequence[Any]) -> float:
    """Train with the bare loop on batches that are there already: seconds."""
    return seconds(lambda: bare_loop(model, batches, problem.settings))


def check(problem: Problem, plain: Any) -> float:
    """Refuse to time loops that do not do the same; return how far apart they are.

    Raises:
        Disagreement: If our loop and the bare one end in other weights, or the plain network has another loss.
    """
    few = copy.copy(problem)
    few.updates = min(3, problem.updates)
    one, other = copy.deepcopy(problem.model), copy.deepcopy(problem.model)
    ours(few, one)
    batches = list(itertools.islice(problem.source.epoch(0), few.updates + 1))  # the one more, too
    bare_loop(other, batches, problem.settings)
    pairs = zip(one.named_parameters(), other.parameters(), strict=True)
    worst, name = max((distance(a.detach(), b.detach()), name) for (name, a), b in pairs)
    if not worst <= TOLERANCE:
        raise Disagreement(f"{problem.name}: our loop and the bare one end {worst:.1e} apart in {name}")
    networks = (copy.deepcopy(problem.model).eval(), plain.eval())
    with torch.no_grad():
        for batch in batches[:2]:
            expected, actual = (network.loss(batch, None).total for network in networks)
            if not distance(actual, expected) <= TOLERANCE:
                raise Disagreement(f"{problem.name}: torch.nn's network has loss {actual}, ours {expected}")
    plain.train()
    return worst


@dataclass
class Row:
    """What was found for one task."""

    problem: Problem
    tokens: int
    agreement: float
    once: float
    """Seconds that our loop spends once a run."""
    making: float
    """Seconds that making the batches takes, which the bare loops do not pay."""
    times: dict[str, Timing]

    def against(self, rival: str) -> Comparison:
        """How much faster our loop is."""
        return Comparison(self.times["ours"], self.times[rival])


def measure(problem: Problem, repeats: int) -> Row:
    """Check, then time all loops in turn, each on its own copy of the network, which goes on learning."""
    batches = problem.batches
    plain = plain_network(problem.model)
    agreement = check(problem, plain)
    models = {"ours": copy.deepcopy(problem.model), "bare": copy.deepcopy(problem.model), "torch.nn": plain}
    found: list[tuple[float, float]] = []
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: found.append(ours(problem, models["ours"])),
        "bare": lambda: bare(problem, models["bare"], batches),
        "torch.nn": lambda: bare(problem, models["torch.nn"], batches),
    }
    for run in runs.values():
        run()
    found.clear()
    times = interleaved(runs, repeats)
    times["ours"] = Timing(tuple(updates for updates, _ in found))  # the once-a-run part left out
    making = min(seconds(lambda: problem.batches) for _ in range(3))
    once = sorted(once for _, once in found)[len(found) // 2]
    return Row(problem, sum(batch.size for batch in batches), agreement, once, making, times)


def report(rows: Sequence[Row]) -> str:
    """One line for each task: tokens per second, and ours as a share of each rival's."""
    columns = ["task", "data", "network", "ours, tokens/s", "bare, tokens/s", "ours / bare"]
    columns += ["torch.nn, tokens/s", "ours / torch.nn", "making batches", "once a run, s", "repeats"]
    lines = []
    for row in rows:
        speeds = {name: _speed(row.tokens, timing) for name, timing in row.times.items()}
        ratio = row.against("bare").ratio
        goal = "reached" if ratio >= TARGET else f"**below {TARGET}**"
        making = f"{100 * row.making / row.times['bare'].median:.1f}% of bare"
        line = [row.problem.name, row.problem.data, row.problem.summary, speeds["ours"], speeds["bare"]]
        line += [f"{ratio:.3f} {goal}", speeds["torch.nn"], str(row.against("torch.nn")), making]
        lines.append([*line, f"{row.once:.2f}", str(len(row.times["ours"].seconds))])
    return table(columns, lines)


def _speed(tokens: int, timing: Timing) -> str:
    spread = "" if timing.spread is None else f" ±{100 * timing.spread:.0f}%"
    return f"{tokens / timing.median:,.0f}{spread}"


def profiled(problem: Problem, lines: int = 25) -> str:
    """Where our loop spends its own time: functions of the package, by time in them and not below."""
    profile = cProfile.Profile()
    model = copy.deepcopy(problem.model)
    ours(problem, model)
    profile.enable()
    ours(problem, model)
    profile.disable()
    text = io.StringIO()
    stats = pstats.Stats(profile, stream=text)
    stats.sort_stats("tottime").print_stats(lines)
    stats.sort_stats("cumulative").print_stats(r"unspool.(training|data)", lines)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = _parser().parse_args(arguments)
    unknown = set(options.tasks) - set(MADE)
    if unknown:
        raise SystemExit(f"there is no task {', '.join(sorted(unknown))}; choose from {', '.join(MADE)}")
    use_threads(options.threads)
    facts = conditions("tokenizers", "flair")
    rows, peers = [], ""
    with tempfile.TemporaryDirectory() as folder:
        found = corpora(Path(folder), options.generated)
        for name in options.tasks:
            path, data = found[name]
            problem = Problem.of(name, path, data, options.updates or UPDATES[name], dict(options.set))
            rows.append(measure(problem, options.repeats))
            note(f"{name}: ours / bare {rows[-1].against('bare').ratio:.3f}")
            if options.profile:
                note(profiled(problem))
        if options.peer_sentences and "tagger" in options.tasks:
            peers = compare_with_flair(found["tagger"][0], found["tagger"][1], options.peer_sentences)
    facts["agreement"] = "checked before timing: after some updates our loop and the bare one have the same weights" + (
        f" (within {max(row.agreement for row in rows):.0e} of their norms), and torch.nn's network has the same loss"
    )
    facts["how"] = (
        "medians of interleaved repeats in one process, ± half the range between quartiles, of "
        + ", ".join(f"{row.problem.updates} ({row.problem.name})" for row in rows)
        + " updates each, in real tokens (no padding). bare: zero_grad, loss, backward, clip, step, with fused AdamW,"
        " on our network and on batches made beforehand. torch.nn: the same loop on nn.Embedding, nn.LSTM with packed"
        " sequences and nn.Linear. ours: training.fit, which makes its batches on the way, logs, and reports"
    )
    facts["settings"] = "the tasks' defaults, but a constant learning rate and no averages" + "".join(
        f", {k} = {v}" for k, v in options.set
    )
    print(f"# The training loop on cpu\n\n{told(facts)}\n\n{report(rows)}{peers}")
    if options.json:
        write_json(options.json, {"conditions": facts, "rows": [_record(row) for row in rows]})
    return 0


def _record(row: Row) -> dict[str, Any]:
    return {
        "task": row.problem.name,
        "data": row.problem.data,
        "updates": row.problem.updates,
        "tokens": row.tokens,
        "settings": to_record(row.problem.settings),
        "once_a_run_seconds": row.once,
        "making_batches_seconds": row.making,
        "seconds": {name: list(timing.seconds) for name, timing in row.times.items()},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(MADE), help=", ".join(MADE))
    parser.add_argument("--updates", type=int, help="updates of one repeat; two or three seconds' worth if omitted")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats (5)")
    parser.add_argument("--threads", type=int, help="cores to use; all if omitted")
    parser.add_argument("--generated", action="store_true", help="generate text even where data sets are found")
    parser.add_argument("--set", type=_setting, action="append", default=[], help="a task setting, as hidden=64")
    parser.add_argument("--profile", action="store_true", help="say where our loop's time goes, on stderr")
    parser.add_argument(
        "--peer-sentences", type=int, default=2500, help="sentences for the epoch beside Flair's tagger; 0: none (2500)"
    )
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    return parser


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: expected name=value")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
