"""Compare the engine's paths with torch.nn and jax, for every cell, at kind, awkward and ragged sizes.

    python benchmarks/engine.py                                     # everything, in about five minutes
    python benchmarks/engine.py --cells lstm,gru --only training --threads 2 --minutes 20 --json engine.json
    python benchmarks/engine.py --sizes 35,20,650 --sizes 60,32,200,ragged
    python benchmarks/engine.py --cells lstm --only training --threads 1 --clock processor  # while others work here

Every rival's outputs, last state and gradients are compared with the plain loop before anything is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from measure import (
    Comparison,
    Disagreement,
    Timing,
    conditions,
    distance,
    figure,
    interleaved,
    note,
    seconds,
    table,
    tally,
    told,
    use_threads,
    write_json,
)
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from workloads.mgu import MGUCell

from unspool.cells import CELLS, Cell, LayerNormLSTMCell, to_torch
from unspool.engine import PATHS, Request, check_request, explain, unroll
from unspool.engine.dispatch import choose
from unspool.errors import CellError

Clock = Callable[[], float]
TOLERANCE = 1e-3
"""Largest distance from the plain loop, as a share of a tensor's norm. Sums of thousands of float32 terms differ by
1e-6 to 1e-5; a rectified unit within rounding of its kink may add 5e-4 once; a wrong gate adds 0.1 and more."""

_QUIET = 0.3
"""Gain of a normalised recurrent product, small enough for two float32 runs of a thousand steps to be compared."""

KNOWN: dict[str, type[Cell[Any]]] = {**CELLS, "mgu": MGUCell}
"""The cells by name: Unspool's, and one of one's own."""

NEAREST: dict[str, type[nn.LSTM | nn.GRU]] = {
    "lstm-peephole": nn.LSTM,
    "lstm-layernorm": nn.LSTM,
    "gru-reset-before": nn.GRU,
    "mgu": nn.GRU,
    "mingru": nn.GRU,
    "minlstm": nn.LSTM,
}
"""What a user of torch.nn would take where it has no module for the cell."""


class Size(NamedTuple):
    """How large a problem is; inputs are as wide as the cell."""

    time: int
    batch: int
    hidden: int
    ragged: bool = False

    @classmethod
    def read(cls, text: str) -> Size:
        """A size from `35,20,650` or `60,32,200,ragged`."""
        parts = text.split(",")
        ragged = parts[-1] == "ragged"
        numbers = [int(part) for part in (parts[:-1] if ragged else parts)]
        if len(numbers) != 3 or min(numbers) < 1:
            raise argparse.ArgumentTypeError(f"{text}: expected time,batch,hidden or time,batch,hidden,ragged")
        return cls(numbers[0], numbers[1], numbers[2], ragged)

    def __str__(self) -> str:
        return f"{self.time}, {self.batch}, {self.hidden}" + (", ragged" if self.ragged else "")


JAX_CELLS = ("lstm", "gru", "gru-reset-before", "mingru")
"""Cells that are also run in jax unless more are asked for: each takes it seconds to compile, at each size."""

SIZES = (
    Size(35, 20, 200),
    Size(35, 20, 650),
    Size(64, 64, 256),
    Size(128, 32, 512),
    Size(64, 64, 1024),
    Size(256, 16, 128),
    Size(1000, 8, 128),
    Size(10, 4, 32),  # little to do: what the call itself costs
    Size(200, 1, 256),  # one sequence
    Size(63, 7, 129),  # nothing divides
    Size(60, 32, 200, ragged=True),
    Size(300, 16, 256, ragged=True),
)


@dataclass(frozen=True)
class Case:
    """One cell at one size, for training or for inference."""

    cell: str
    size: Size
    training: bool
    device: str = "cpu"
    half: bool = False
    """Whether the compiled path also runs in bfloat16."""

    @property
    def mode(self) -> str:
        """What is run."""
        return "training" if self.training else "inference"

    def __str__(self) -> str:
        return f"{self.cell}, {self.size}, {self.mode}"

    @property
    def gigaflop(self) -> float:
        """Useful products: inputs and state by the weights at every valid step, three times that in training."""
        weights = sum(weight.numel() for weight in self.problem.cell.parameters() if weight.dim() == 2)
        lengths = self.problem.lengths
        steps = self.size.time * self.size.batch if lengths is None else int(lengths.sum())
        return 2e-9 * weights * steps * (3 if self.training else 1)

    @property
    def cost(self) -> float:
        """Roughly how many seconds the first calls and a round take."""
        time, batch, hidden, _ = self.size
        return 1 + (5e-10 * time * batch * hidden**2 + 1e-3 * time) * (3 if self.training else 1)

    @cached_property
    def problem(self) -> Problem:
        """Random weights, inputs, lengths and cotangents, the same for all rivals."""
        return Problem.of(self)


@dataclass(frozen=True)
class Problem:
    """What all rivals are given."""

    cell: Cell[Any]
    inputs: Tensor
    lengths: Tensor | None
    cotangents: tuple[Tensor, ...]
    """What outputs and each part of the last state are multiplied with, to make a loss."""

    @classmethod
    def of(cls, case: Case) -> Problem:
        """Draw one, the same every time."""
        time, batch, hidden, ragged = case.size
        torch.manual_seed(0)
        cell = KNOWN[case.cell](hidden, hidden).to(case.device)
        if isinstance(cell, LayerNormLSTMCell):  # gains of 1 enlarge rounding a thousandfold in a hundred steps
            nn.init.constant_(cell.gain_hh, _QUIET)
        shapes = [(time, batch, hidden), *(part.shape for part in cell.initial_state(batch))]
        lengths = None
        if ragged:  # the mean is near 0.53 of the longest, as in sorted sentences of a treebank cut into batches
            lengths = (time * torch.linspace(0.06, 1.0, batch)).round().long().clamp(1, time)[torch.randperm(batch)]
        inputs = torch.randn(time, batch, hidden, device=case.device)
        return cls(cell, inputs, lengths, tuple(torch.randn(shape, device=case.device) for shape in shapes))


class Run(Protocol):
    """A rival, ready: call it to run, ask for `results` to compare."""

    def __call__(self) -> None: ...

    def results(self) -> dict[str, Tensor]:
        """Outputs, state and, in training, all gradients of the last call; the same names for all rivals."""


class TorchRun:
    """A rival made of torch: `forward` gives outputs and the parts of the last state.

    What of the state of another cell is shaped otherwise has no part in its loss.
    """

    def __init__(
        self,
        case: Case,
        module: nn.Module,
        forward: Callable[[Tensor], tuple[Tensor, Sequence[Tensor]]],
        same: bool = True,
    ) -> None:
        self._case, self._module, self._forward, self._same = case, module, forward, same
        self._inputs = case.problem.inputs.clone().requires_grad_(case.training)
        self._found: tuple[Tensor, Sequence[Tensor]]

    def __call__(self) -> None:
        """Run; in training, forwards and backwards."""
        if not self._case.training:
            with torch.no_grad():
                self._found = self._forward(self._inputs)
        else:
            self._module.zero_grad(set_to_none=True)
            self._inputs.grad = None
            outputs, state = self._found = self._forward(self._inputs)
            pairs = list(zip((outputs, *state), self._case.problem.cotangents, strict=self._same))
            products = [pair for pair in pairs if self._same or pair[0].shape == pair[1].shape]
            torch.autograd.backward([value for value, _ in products], [factor for _, factor in products])
        if self._case.device != "cpu":
            torch.cuda.synchronize()

    def results(self) -> dict[str, Tensor]:
        """Outputs, state and, in training, all gradients."""
        outputs, state = self._found
        found = {"outputs": outputs, **{f"state {index}": part for index, part in enumerate(state)}}
        if self._case.training:
            weights = {name.removesuffix("_l0"): weight.grad for name, weight in self._module.named_parameters()}
            gradients = {"inputs": self._inputs.grad, **weights}
            found |= {f"gradient of {name}": grad for name, grad in gradients.items() if grad is not None}
        return {name: value.detach().cpu() for name, value in found.items()}


@dataclass
class Rival:
    """Someone to compare with."""

    name: str
    make: Callable[[], Run]
    same: bool = True
    """Whether it computes the same function, so that its results must agree."""


def rivals(case: Case, *, with_jax: bool) -> Iterator[Rival]:
    """The plain loop first, then whoever can run this case."""
    cell, inputs, lengths = case.problem.cell, case.problem.inputs, case.problem.lengths

    def path(backend: str) -> Callable[[], Run]:
        return lambda: TorchRun(case, cell, lambda x: unroll(cell, x, lengths=lengths, backend=backend))

    yield Rival("unspool reference", path("reference"))
    with torch.set_grad_enabled(case.training):
        chosen = explain(cell, inputs, lengths=lengths).backend
    if chosen != "reference":
        yield Rival("unspool auto", path("auto"))
    request = Request(cell, inputs, cell.initial_state(case.size.batch), lengths, False, ())
    for name, other in PATHS.items():
        if name not in (chosen, "reference") and other.why_unsupported(request) is None:
            yield Rival(f"unspool {name}", path(name))
    if case.half:

        def in_half(x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return unroll(cell, x, lengths=lengths, backend="cpu")

        yield Rival("unspool cpu, bfloat16", lambda: TorchRun(case, cell, in_half), same=False)
    if case.cell == "lstm" and case.training and "cpu" in PATHS and PATHS["cpu"].why_unsupported(request) is None:
        from rivals.hand import HandPath

        by_hand = HandPath(cell)

        def hand(x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
            request = check_request(cell, x, None, lengths, False, ())
            choose(request, "auto")  # so that both go through the same door
            return by_hand.run(request)

        yield Rival("hand", lambda: TorchRun(case, cell, hand))
    yield _torch_rival(case)
    if with_jax:
        from rivals.jax_cells import CELLS as IN_JAX
        from rivals.jax_cells import JaxRun

        if case.cell not in IN_JAX:
            return
        weights, cotangents = dict(cell.named_parameters()), case.problem.cotangents
        yield Rival("jax scan", lambda: JaxRun(case.cell, weights, inputs, lengths, cotangents, case.training))


def _torch_rival(case: Case) -> Rival:
    problem = case.problem
    module: nn.RNNBase
    try:
        module, same = to_torch(problem.cell), True
    except CellError:
        module, same = NEAREST.get(case.cell, nn.LSTM)(case.size.hidden, case.size.hidden).to(case.device), False
    parts = len(problem.cotangents) - 1

    def forward(x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        if problem.lengths is None:
            outputs, final = module(x)
        else:
            packed, final = module(pack_padded_sequence(x, problem.lengths, enforce_sorted=False))
            outputs, _ = pad_packed_sequence(packed, total_length=len(x))
        state = [part[0] for part in (final if isinstance(final, tuple) else (final,))]
        return outputs, (state + state)[:parts]  # the nearest module may have more parts, or fewer

    return Rival("torch.nn", lambda: TorchRun(case, module, forward, same), same)


@dataclass
class Row:
    """What was found for one case."""

    case: Case
    path: str
    gigaflop: float
    agreement: float
    """The largest distance from the plain loop, over rivals and tensors."""
    nearest: str | None
    """The module that torch.nn was represented by, where it is another cell."""
    first: dict[str, float] = field(default_factory=dict)
    times: dict[str, Timing] = field(default_factory=dict)

    @property
    def ours(self) -> str:
        """The rival that `backend="auto"` is."""
        return "unspool auto" if "unspool auto" in self.times else "unspool reference"

    def against(self, rival: str) -> Comparison | None:
        """How much faster ours is, if the rival is another and has run."""
        if rival == self.ours or rival not in self.times:
            return None
        return Comparison(self.times[self.ours], self.times[rival])


def measure(case: Case, *, repeats: int, limit: float, with_jax: bool, clock: Clock = time.perf_counter) -> Row:
    """Run every rival once, compare what it found with the plain loop, then time them in turn.

    Raises:
        Disagreement: If a rival that computes the same finds something else.
    """
    problem, deadline = case.problem, time.perf_counter() + limit
    found, first, runs = list(rivals(case, with_jax=with_jax)), {}, {}
    expected: dict[str, Tensor] = {}
    worst = 0.0
    for rival in found:
        runs[rival.name] = run = rival.make()
        first[rival.name] = seconds(run)
        results = run.results()
        expected = expected or results
        if rival.same:
            worst = max(worst, _compare(f"{rival.name}: {case}", results, expected))
    with torch.set_grad_enabled(case.training):
        path = explain(problem.cell, problem.inputs, lengths=problem.lengths).backend
    nearest = next((_class_name(case) for rival in found if rival.name == "torch.nn" and not rival.same), None)
    row = Row(case, path, case.gigaflop, worst, nearest, first)
    row.times = interleaved(runs, repeats, until=deadline, clock=clock, warm=True)
    return row


def _class_name(case: Case) -> str:
    return f"nn.{NEAREST.get(case.cell, nn.LSTM).__name__}"


def _compare(who: str, actual: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    missing = expected.keys() ^ actual.keys()
    if missing:
        raise Disagreement(f"{who}: {', '.join(sorted(missing))} found by one and not by the other")
    distances = {name: distance(actual[name], expected[name]) for name in expected}
    name, worst = max(distances.items(), key=lambda item: item[1])
    if not worst <= TOLERANCE:
        raise Disagreement(f"{who}: {name} is {worst:.1e} of its norm from the plain loop, at most {TOLERANCE:.0e}")
    return worst


def measure_all(
    cases: Sequence[Case],
    *,
    minutes: float,
    repeats: int,
    jax_cells: Collection[str],
    clock: Clock = time.perf_counter,
) -> list[Row]:
    """Measure cheap cases first; each gets a share of the time, and what no time is left for is left out aloud."""
    rows: dict[Case, Row] = {}
    deadline = time.perf_counter() + 60 * minutes
    waiting = sorted(cases, key=lambda case: case.cost)
    while waiting:
        left, cost = deadline - time.perf_counter(), sum(case.cost for case in waiting)
        if left <= 0:
            names = "; ".join(str(case) for case in waiting)
            note(f"{minutes:g} minutes are over, {len(waiting)} cases are left out (--minutes gives more): {names}")
            break
        case = waiting.pop(0)
        limit, with_jax = left * case.cost / cost, case.cell in jax_cells
        rows[case] = measure(case, repeats=repeats, limit=limit, with_jax=with_jax, clock=clock)
        case.__dict__.pop("problem", None)  # the memory
        ours = rows[case].times[rows[case].ours]
        note(f"{len(rows)}/{len(cases)} {case}: {ours} on {rows[case].path}")
    return [rows[case] for case in cases if case in rows]


def report(rows: Sequence[Row], mode: str) -> str:
    """Ours with its speed, then each rival with its time and how many times as fast ours is."""
    rows = [row for row in rows if row.case.mode == mode]
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    others = [name for name in names if name != "unspool auto"]
    columns = ["cell", "time, batch, hidden", "path", "unspool auto", "GFLOP/s", *others, "first call, s", "repeats"]
    text = [f"## {mode.capitalize()}", "", table(columns, [_line(row, others) for row in rows]), ""]
    for name in others:
        groups: dict[str, list[Comparison]] = {}
        for row in rows:
            compared = row.against(name)
            if compared is not None:
                nearest = name == "torch.nn" and row.nearest is not None
                groups.setdefault(f"{name}'s nearest cell" if nearest else name, []).append(compared)
        text += [f"- against {who}: {tally(found)}" for who, found in groups.items()]
    return "\n".join(text)


def _line(row: Row, others: Sequence[str]) -> list[str]:
    ours = row.times[row.ours]
    cells = []
    for name in others:
        compared = row.against(name)
        if compared is None:
            cells.append("is auto" if name == row.ours else "–")
        else:
            nearest = f" ({row.nearest})" if name == "torch.nn" and row.nearest else ""
            cells.append(f"{row.times[name]}, {compared}{nearest}")
    first = ", ".join(f"{name.split()[-1]} {figure(value)}" for name, value in row.first.items() if value >= 0.005)
    speed = figure(row.gigaflop / ours.median)
    return [row.case.cell, str(row.case.size), row.path, str(ours), speed, *cells, first or "under 0.005", _n(row)]


def _n(row: Row) -> str:
    return str(len(row.times[row.ours].seconds))


def as_record(row: Row) -> dict[str, Any]:
    """Everything that was found for a case, with every single time, in plain values."""
    return {
        "cell": row.case.cell,
        "size": list(row.case.size),
        "mode": row.case.mode,
        "path": row.path,
        "gigaflop": row.gigaflop,
        "agreement": row.agreement,
        "nearest": row.nearest,
        "first_call_seconds": row.first,
        "seconds": {name: list(timing.seconds) for name, timing in row.times.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = _parser().parse_args(arguments)
    unknown = set(options.cells) - set(KNOWN)
    if unknown:
        raise SystemExit(f"there is no cell {', '.join(sorted(unknown))}; choose from {', '.join(KNOWN)}")
    use_threads(options.threads)
    jax_cells = _jax_cells(options)
    modes = [options.only == "training"] if options.only else [True, False]
    sizes = options.sizes or SIZES
    cases = [
        Case(cell, size, mode, options.device, options.bfloat16)
        for mode in modes
        for cell in options.cells
        for size in sizes
    ]
    facts = conditions("jax", "jaxlib")
    clock = time.process_time if options.clock == "processor" else time.perf_counter
    rows = measure_all(cases, minutes=options.minutes, repeats=options.repeats, jax_cells=jax_cells, clock=clock)
    if not rows:
        note("nothing was measured")
        return 1
    worst = max(row.agreement for row in rows)
    facts["agreement"] = (
        f"checked in all {len(rows)} cases before timing: outputs, last states"
        f" and gradients within {worst:.0e} of the plain loop's norms (at most {TOLERANCE:.0e})"
    )
    facts["how"] = (
        f"{options.clock} time; medians of interleaved repeats in one process, each after an untimed one, ± half the"
        " range between quartiles; then how many times as fast unspool auto is, from these medians. Ragged: lengths"
        " 0.53 of the longest on average, torch.nn packed. hand: the same kernels from graphs written by hand."
        " GFLOP/s of useful products, padding not counted. A module in brackets is another cell, the nearest torch.nn"
        " has. jax scan: lax.scan, jitted, with value_and_grad in training"
        + (f", for {', '.join(jax_cells)}" if jax_cells else "; it was left out here")
        + (f". Left out for want of time: {len(cases) - len(rows)} cases" if len(rows) < len(cases) else "")
    )
    print(f"# The engine on {options.device}\n\n{told(facts)}")
    for mode in dict.fromkeys(case.mode for case in cases):
        if any(row.case.mode == mode for row in rows):
            print(f"\n{report(rows, mode)}")
    if options.json:
        write_json(options.json, {"conditions": facts, "rows": [as_record(row) for row in rows]})
    return 0


def _jax_cells(options: argparse.Namespace) -> list[str]:
    """The cells to run in jax too; none, aloud, where it can't run."""
    wanted = {"all": list(CELLS), "none": []}.get(options.jax, options.jax.split(","))
    wanted = [name for name in options.cells if name in wanted]
    if wanted and options.device != "cpu":
        note(f"jax is left out: it is a rival on the cpu only, this is {options.device}")
        return []
    if wanted and importlib.util.find_spec("jax") is None:
        note("jax is left out: it is not installed (pip install jax)")
        return []
    return wanted


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(KNOWN), help="names, with commas")
    parser.add_argument("--sizes", type=Size.read, action="append", help="time,batch,hidden[,ragged]; may be repeated")
    parser.add_argument("--only", choices=["training", "inference"], help="leave the other out")
    parser.add_argument("--repeats", type=int, default=9, help="most repeats of a case (9)")
    parser.add_argument("--minutes", type=float, default=4.5, help="time in all (4.5); slow cases get fewer repeats")
    parser.add_argument("--threads", type=int, help="cores to use, also for jax; all if omitted")
    parser.add_argument("--bfloat16", action="store_true", help="run the compiled path in bfloat16 too")
    parser.add_argument(
        "--clock",
        choices=["wall", "processor"],
        default="wall",
        help="processor time, of all threads, on a busy machine",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--jax", default=",".join(JAX_CELLS), help="cells to run in jax too, all or none")
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
