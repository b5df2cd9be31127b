"""Score against processor time: Unspool with default settings beside the methods that a person would choose.

    python benchmarks/frontier.py --json frontier.json --minutes 1     # a minute for each data set, and all peers
    python benchmarks/frontier.py --json frontier.json --resume        # all that is missing, up to 30 minutes
    python benchmarks/frontier.py --json frontier.json --resume --data sst2,ewt --seeds 0,1,2
    python benchmarks/frontier.py --json frontier.json --report docs/frontier.md --plots docs/assets   # runs nothing
    python benchmarks/frontier.py --small --check benchmarks/frontier-small.json                       # two minutes

Each run is a process of its own with one thread. The limits are those of `unspool train --minutes`, in processor time.
Beside each score stands the processor time of the process, reading and scoring included. Peers that train by epochs
get the same limits; the others end by themselves and run once. Data are looked for in the folder that UNSPOOL_DATA
names, or in ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from frontier_report import UNSPOOL, compare, fill, pictures, report
from measure import conditions, note, told
from rivals.frontier_peers import PEERS
from workloads.frontier_sets import SETS, SMALL, DataSet, Description, MissingDataError, data_folder

MINUTES = (1.0, 3.0, 10.0, 30.0)
_CLOCK = Path(__file__).parent / "rivals" / "processor_clock.py"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True)
class Run:
    """One training: which method, on which data, for how long."""

    data: str
    method: str
    minutes: float | None
    """Time limit; None: the method ends by itself."""
    seed: int

    def __str__(self) -> str:
        limit = "" if self.minutes is None else f", {self.minutes:g} min"
        return f"{self.data}, {self.method}{limit}, seed {self.seed}"


class Process(NamedTuple):
    """What a process wrote and used."""

    output: str
    errors: str
    status: int | None
    """Exit status; None: stopped because it took too long."""
    processor: float
    """Processor time of the process and its children, in seconds."""
    wall: float
    """Seconds by the clock."""


def plan_runs(
    sets: Mapping[str, Description],
    methods: Sequence[str],
    minutes: Sequence[float | None],
    seeds: Sequence[int],
) -> list[Run]:
    """List all runs, the short ones first, so that a part of the list has whole columns."""
    runs = []
    for name, description in sets.items():
        for method in methods:
            limits, tries = minutes, seeds
            if method != UNSPOOL:
                peer = PEERS[method]
                if peer.task != description.task or description.score not in peer.scores:
                    continue
                if not peer.limited:
                    limits, tries = (None,), seeds[:1]
                elif None in minutes:
                    continue  # the small version has no limits
            runs += [Run(name, method, limit, seed) for limit in limits for seed in tries]
    return sorted(runs, key=lambda run: (run.minutes or 0.0, run.seed))


def execute(run: Run, data: DataSet, commit: str) -> dict[str, Any]:
    """Run one method in its own process; return its record, with `error` if it failed."""
    record = {**asdict(run), "task": data.task, "load": round(os.getloadavg()[0], 1), "commit": commit}
    process = _unspool(run, data) if run.method == UNSPOOL else _peer(run, data)
    record |= {"processor_seconds": round(process.processor, 2), "wall_seconds": round(process.wall, 2)}
    if process.status != 0:
        last = process.errors.strip().splitlines()[-1:] or ["no message"]
        reason = "took too long" if process.status is None else f"exit status {process.status}: {last[0]}"
        return record | {"error": reason}
    result = json.loads(process.output.strip().splitlines()[-1])
    if run.method == UNSPOOL:
        result = {"scores": result["test"], "detail": _plan_in(process.errors)}
    return record | result | {"score": result["scores"][data.score]}


def _unspool(run: Run, data: DataSet) -> Process:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(_CLOCK), *data.command(), "--out", str(Path(folder) / "model")]
        words += ["--no-baselines", "--json", "--threads", "1", "--seed", str(run.seed)]
        words += [] if run.minutes is None else ["--minutes", f"{run.minutes:g}"]
        return _launch(words, run.minutes)


def _peer(run: Run, data: DataSet) -> Process:
    description = {"data": asdict(data), "minutes": run.minutes, "seed": run.seed}
    words = [sys.executable, "-m", "rivals", run.method]
    return _launch(words, run.minutes, input=json.dumps(description), cwd=Path(__file__).parent)


def _launch(words: Sequence[str], minutes: float | None, **options: Any) -> Process:
    """Run a process with one thread; loading, validation and scoring may take ten minutes more than the limit."""
    environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    before, began = _processor_time(), time.perf_counter()
    seconds = 3600.0 if minutes is None else 60 * (4 * minutes + 10)
    try:
        process = subprocess.run(
            words, text=True, capture_output=True, env=environment, timeout=seconds, check=False, **options
        )
        output, errors, status = process.stdout, process.stderr, process.returncode
    except subprocess.TimeoutExpired:
        output, errors, status = "", "", None
    return Process(output, errors, status, _processor_time() - before, time.perf_counter() - began)


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _plan_in(messages: str) -> str:
    """Return what `unspool train` said of its plan, or else of its network."""
    lines = messages.splitlines()
    for begin in ("plan: ", "network: "):
        for line in lines:
            if line.startswith(begin):
                return line.removeprefix(begin)
    return ""


class Store:
    """The records of all runs, in a JSON file that is whole at any moment.

    Args:
        path: The file; None keeps the records in memory alone.
        resume: Whether to go on with the runs of the file.
    """

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        self.path, self.conditions = path, {}
        self.runs: list[dict[str, Any]] = []
        if path is not None and path.exists():
            if not resume:
                raise SystemExit(f"{path} holds figures: pass --resume to add what is missing, or name another file")
            self.runs = read(path)["runs"]

    def has(self, run: Run) -> bool:
        """Whether a run has ended well before."""
        return any(_key(record) == run and "error" not in record for record in self.runs)

    def add(self, run: Run, record: dict[str, Any]) -> None:
        """Add the record of a run, in place of an earlier one that failed."""
        self.runs = [other for other in self.runs if _key(other) != run] + [record]
        if self.path is not None:
            new = self.path.with_name(self.path.name + ".new")
            new.write_text(json.dumps(self.record(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            new.replace(self.path)

    def record(self) -> dict[str, Any]:
        """Return all that the file holds."""
        return {"conditions": self.conditions, "runs": self.runs}


def _key(record: Mapping[str, Any]) -> Run:
    return Run(record["data"], record["method"], record["minutes"], record["seed"])


def read(path: Path) -> dict[str, Any]:
    """Read the figures of an earlier benchmark."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for run in record["runs"]:
            _key(run)
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"{path} is no file of this benchmark: expected JSON with a list of runs") from None
    return record  # type: ignore[no-any-return]


def prepare_sets(sets: Mapping[str, Description], scratch: Path) -> Iterator[tuple[str, DataSet]]:
    """Find the files of all sets; name those that are not there."""
    for name, description in sets.items():
        try:
            yield name, description.prepare(data_folder(), scratch)
        except MissingDataError as error:
            note(f"{description.title} is left out: {error}")


def available_peers(options: argparse.Namespace) -> list[str]:
    """Return the peers that can take part; name those that are missing in one line."""
    reasons = {name: PEERS[name].missing() for name in options.peers}
    if missing := [f"{PEERS[name].title} ({reason})" for name, reason in reasons.items() if reason]:
        note(f"peers left out: {', '.join(missing)}; pip install '.[bench]'")
    return [name for name, reason in reasons.items() if not reason]


def measure(options: argparse.Namespace, sets: Mapping[str, Description], store: Store) -> None:
    """Run what is missing."""
    methods = [UNSPOOL, *available_peers(options)]
    minutes: Sequence[float | None] = (None,) if options.small else options.minutes
    with tempfile.TemporaryDirectory() as scratch:
        sets_by_name = dict(prepare_sets(sets, Path(scratch)))
        runs = plan_runs({name: sets[name] for name in sets_by_name}, methods, minutes, options.seeds)
        missing = [run for run in runs if not store.has(run)]
        if len(missing) < len(runs):
            note(f"{len(runs) - len(missing)} of {len(runs)} runs are there already")
        for number, run in enumerate(missing, 1):
            record = execute(run, sets_by_name[run.data], store.conditions["commit"])
            store.add(run, record)
            result = record.get("error") or f"{sets_by_name[run.data].score} {record['score']:.4g}"
            note(f"{number}/{len(missing)} {run}: {result}, {record['processor_seconds']:.0f} s of processor time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, or write its report."""
    options = _parser().parse_args(arguments)
    sets = _select_sets(options)
    if options.report or options.plots:
        if options.json is None:
            raise SystemExit("--report and --plots need the figures: pass --json FILE")
        return _publish(read(options.json), options)
    store = Store(options.json, resume=options.resume)
    store.conditions = conditions("scikit-learn", "python-crfsuite")
    store.conditions["threads"] = "1"
    measure(options, sets, store)
    record = store.record()
    print(f"# Score against processor time\n\n{told(store.conditions)}\n\n{report(record, {**SETS, **SMALL})}")
    if options.check:
        for line in compare(record, read(options.check), {**SETS, **SMALL}):
            print(line)
    return 0


def _select_sets(options: argparse.Namespace) -> dict[str, Description]:
    sets = SMALL if options.small else SETS
    for name in options.data or ():
        if name not in sets:
            raise SystemExit(f"--data {name}: expected some of {', '.join(sets)}")
    return {
        name: description
        for name, description in sets.items()
        if name in (options.data or sets) and description.task in options.tasks
    }


def _publish(record: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Write tables and pictures from the figures, without running anything."""
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures(record, SETS).items():
            (options.plots / name).write_text(picture, encoding="utf-8")
            note(f"wrote {options.plots / name}")
    if options.report:
        page = options.report.read_text(encoding="utf-8")
        images = [path.name for path in sorted((options.report.parent / "assets").glob("frontier-*.svg"))]
        options.report.write_text(fill(page, record, SETS, images), encoding="utf-8")
        note(f"filled the table of {options.report}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = list(dict.fromkeys(description.task for description in SETS.values()))
    parser.add_argument("--tasks", type=_names(tasks), default=tasks, help=f"{', '.join(tasks)} (all)")
    parser.add_argument("--data", type=lambda text: text.split(","), help=f"{', '.join(SETS)} (all)")
    parser.add_argument("--minutes", type=_numbers(float), default=list(MINUTES), help="limits (1,3,10,30)")
    parser.add_argument("--seeds", type=_numbers(int), default=[0], help="seeds of methods with a limit (0)")
    peers = _names([*PEERS, "none"])
    parser.add_argument("--peers", type=peers, default=list(PEERS), help=f"{', '.join(PEERS)}, or none (all)")
    parser.add_argument("--json", type=Path, help="file of the figures, written after each run")
    parser.add_argument("--resume", action="store_true", help="run only what the file lacks, or what failed there")
    parser.add_argument("--small", action="store_true", help="small generated data and few epochs, in two minutes")
    parser.add_argument("--check", type=Path, metavar="FIGURES", help="warn where scores differ from these figures")
    parser.add_argument("--report", type=Path, metavar="PAGE", help="fill the page's table from --json; runs nothing")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write pictures from --json; runs nothing")
    return parser


def _names(choices: Sequence[str]) -> Any:
    def names(text: str) -> list[str]:
        for name in text.split(","):
            if name not in choices:
                raise argparse.ArgumentTypeError(f"{name!r}: expected some of {', '.join(choices)}")
        return [name for name in text.split(",") if name != "none"]

    return names


def _numbers(kind: Any) -> Any:
    def numbers(text: str) -> list[Any]:
        try:
            return [kind(part) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected numbers with commas between") from None

    return numbers


if __name__ == "__main__":
    sys.exit(main())
