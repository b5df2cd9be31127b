"""The path `cpu`: any cell whose step the compiler can take."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import CellSnapshot, changed_part, fingerprint, places, weights
from unspool.engine.compiler.pipeline import StepGraphs, lower_cell
from unspool.engine.compiler.refusal import Refusal
from unspool.engine.cpu.heuristics import why_full_precision, why_slower
from unspool.engine.cpu.jit.compile import missing, uncollected
from unspool.engine.cpu.launch.autograd import infer, train
from unspool.engine.cpu.launch.packed_weights import packed_weights
from unspool.engine.cpu.launch.record import record_affine, record_bare
from unspool.engine.cpu.launch.single_step import CompiledStep
from unspool.engine.cpu.policy import current_policy, current_target
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.batch_layout import blocks, packed
from unspool.engine.cpu.runtime.interception import is_intercepted
from unspool.engine.cpu.runtime.prologue import run_inputs, run_weights
from unspool.engine.request import Path, Request, State

__all__ = ["CpuPath", "compile_step", "graphs_of"]

_graphs: OrderedDict[Any, tuple[StepGraphs | Refusal, list[object]]] = OrderedDict()
_programs: OrderedDict[Any, Program] = OrderedDict()


class _Known(NamedTuple):
    """What was found out about a cell."""

    look: CellSnapshot
    places: list[tuple[str, dict[str, Any], str]]
    plans: dict[tuple[int, ...], StepGraphs | Refusal]
    """By the widths of the context."""

    def owned(self) -> dict[str, Tensor]:
        """Its weights by name."""
        return {path: owner[name] for path, owner, name in self.places}


_known: weakref.WeakKeyDictionary[Cell[Any], _Known] = weakref.WeakKeyDictionary()


class CpuPath(Path):
    """Compile the cell's step to loops over time, forward and backward."""

    name = "cpu"

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Request], StepGraphs] | None = None  # what was not refused last is run next

    def why_slower(self, request: Request) -> str | None:
        return why_slower(request)

    def describe(self, request: Request) -> str:
        dtype = _dtype(request, weights(request.cell))
        program = _program(self._plan(request), dtype, why_full_precision(dtype) is None)
        time, batch, _ = request.inputs.shape
        lengths = request.lengths
        steps, rows = (time, time * batch) if lengths is None else (int(lengths.max()), int(lengths.sum()))
        told = program.describe(steps, rows, batch)
        return f"{program}\n{told}" if told else str(program)

    def why_unsupported(self, request: Request) -> str | None:
        known = _known.get(request.cell)
        if known is not None and not known.look.same(request.cell):
            known = None
        owned = weights(request.cell) if known is None else known.owned()
        refusal = _hidden(request.inputs) or _unfit(request.cell, owned, request.inputs) or missing()
        if request.lengths is not None and not request.lengths.is_cpu:
            refusal = f"it takes lengths on the CPU, and these are on {request.lengths.device.type}"
        if refusal is not None:
            return refusal
        if request.context and any(
            part.dim() != 2 or part.shape[0] != request.inputs.shape[1] for part in request.context
        ):
            shapes = [tuple(part.shape) for part in request.context]
            return f"it takes context of (batch, width), not {', '.join(map(str, shapes))}"
        widths = _widths(request)
        if known is None:
            known = _known[request.cell] = _Known(CellSnapshot(request.cell), places(request.cell), {})
        if widths not in known.plans:
            known.plans[widths] = _find(request.cell, widths, owned)
        found = known.plans[widths]
        if isinstance(found, Refusal):
            return str(found)
        self._last = weakref.ref(request), found
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        graphs = self._plan(request)
        known = _known.get(request.cell) if self._last is not None and self._last[0]() is request else None
        owned = weights(request.cell) if known is None else known.owned()
        dtype = _dtype(request, owned)
        program = _program(graphs, dtype, why_full_precision(dtype) is None)
        with _in_full():
            return _run(owned, graphs, program, request, dtype)

    def _plan(self, request: Request) -> StepGraphs:
        last = self._last
        if last is not None and last[0]() is request:
            return last[1]
        return graphs_of(request.cell, _widths(request))


def compile_step(cell: Cell[Any], x: Tensor, context_widths: tuple[int, ...]) -> CompiledStep | str:
    """A cell's step, compiled and with its weights packed, for inputs such as `x`; or why there is none."""
    owned = weights(cell)
    refusal = _unfit(cell, owned, x) or missing()
    if refusal is not None:
        return refusal
    if any(weight.is_inference() for weight in owned.values()):
        return "its weights were made in inference mode, where torch does not count what is written to them"
    found = _find(cell, context_widths, owned)
    if isinstance(found, Refusal):
        return str(found)
    dtype = next(iter(owned.values()), x).dtype
    with _in_full():
        program = _program(found, dtype)
        weights_now = packed_weights(cell, program, owned)
        return CompiledStep(
            cell, program, weights_now, [(cell.input_size,), *((width,) for width in context_widths), *found.shapes]
        )


def _hidden(inputs: Tensor) -> str | None:
    """Why the inputs can't be handed to a compiled loop unseen; None if they can."""
    if type(inputs) not in (Tensor, nn.Parameter) or is_intercepted():
        return "it needs plain tensors, and something else looks on"
    return None


def _unfit(cell: Cell[Any], owned: dict[str, Tensor], inputs: Tensor) -> str | None:
    """What of devices, number types and watchers the compiler can't take."""
    if False in [inputs.is_cpu, *[tensor.is_cpu for tensor in owned.values()]]:
        kinds = {tensor.device.type for tensor in (inputs, *owned.values())}
        return f"it compiles for the CPU, and this is on {' and '.join(sorted(kinds - {'cpu'}))}"
    if inputs.shape[-1] == 0:
        return "its inputs have no numbers"
    types = {tensor.dtype for tensor in owned.values()} or {inputs.dtype}
    if len(types) > 1 or not types <= {torch.float32, torch.float64}:
        said = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        return f"it takes weights of float32 or of float64, these are {said}"
    if cell.watched:
        return "compiled loops do not show their gates, and someone is watching"
    return None


def _dtype(request: Request, owned: dict[str, Tensor]) -> torch.dtype:
    return next(iter(owned.values()), request.inputs).dtype


def graphs_of(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> StepGraphs:
    """The graphs of a cell's step.

    Raises:
        Refusal: If the compiler can't take it.
    """
    found = _find(cell, context_widths, weights(cell))
    if isinstance(found, Refusal):
        raise found
    return found


def _in_full() -> AbstractContextManager[Any]:
    """No automatic half precision while the loop is made ready: it takes care of its own products."""
    return torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else nullcontext()


def _widths(request: Request) -> tuple[int, ...]:
    return tuple([part.shape[1] for part in request.context])


def _find(cell: Cell[Any], context_widths: tuple[int, ...], owned: dict[str, Tensor]) -> StepGraphs | Refusal:
    """The plan of a cell, or why there is none, traced when it is asked for first."""
    name, objects = fingerprint(cell, owned)
    key = (name, context_widths)
    entry = _graphs.pop(key, None)  # what was used last stands last; another thread may do the same meanwhile
    if entry is None:
        entry = _make(cell, context_widths, name), objects
    _graphs[key] = entry
    _forget(_graphs)
    return entry[0]


def _make(cell: Cell[Any], context_widths: tuple[int, ...], name: Any) -> StepGraphs | Refusal:
    try:
        with _in_full(), uncollected():
            made = lower_cell(cell, context_widths)
    except Refusal as refusal:
        return refusal.with_traceback(None)
    change = changed_part(name, fingerprint(cell, weights(cell))[0])
    if change is not None:
        return Refusal(f"the step changes {change} while it runs, and a compiled step would not")
    return made


def _program(graphs: StepGraphs, dtype: torch.dtype, half: bool = False) -> Program:
    key = (id(graphs), dtype, half, current_target(), current_policy())
    program = _programs.pop(key, None)
    if program is None or program.graphs is not graphs:
        program = Program.of(graphs, dtype, half)
    _programs[key] = program
    _forget(_programs)
    return program


def _forget(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > current_policy().cached_programs:
        with suppress(KeyError):  # another thread forgot it first
            kept.popitem(last=False)


def _run(
    owned: dict[str, Tensor], graphs: StepGraphs, program: Program, request: Request, dtype: torch.dtype
) -> tuple[Tensor, State]:
    time, batch, _ = request.inputs.shape
    lengths = request.lengths
    layout = blocks(time, batch, request.reverse) if lengths is None else packed(lengths, time, request.reverse)
    sequences = [request.inputs, *[part.expand(time, -1, -1) for part in request.context]]
    rows, states = [_as(dtype, part) for part in sequences], [_as(dtype, _row(part)) for part in request.state]
    given = (*sequences, *request.state, *owned.values())
    wanted = torch.is_grad_enabled() and True in [tensor.requires_grad for tensor in given]
    tensors = tuple(owned.values())
    recorder = None if graphs.plain is None else record_affine(program, graphs.plain, len(rows), tensors)
    packs = layout.ragged if recorder is None else recorder.given(layout) == "packed"
    if packs:
        places, order = layout.index("places"), layout.index("order")
        rows = [_Gather.apply(_flat(part), places) for part in rows]  # type: ignore[no-untyped-call]
        states = [part.index_select(0, order) for part in states]
    before = graphs.before
    weights_now = None if wanted else packed_weights(request.cell, program, owned)
    if recorder is not None:
        if weights_now is None:
            outputs, final = train(recorder, layout, (*rows, *states, *tensors))
        else:
            outputs, final = infer(recorder, layout, rows, states, tensors, weights_now)
    elif weights_now is not None:
        shared, matrices = weights_now.shared(before), weights_now.matrices
        inputs = run_inputs(before, [_flat(part) for part in rows], shared, matrices, half=program.half)
        recorder = record_bare(program, len(inputs), weights_now.vectors(before), matrices)
        outputs, final = infer(recorder, layout, inputs, states, (), weights_now)
    else:
        matrices, made = graphs.tape.replay(owned)
        shared = run_weights(before, made, matrices, dtype)
        inputs = run_inputs(before, [_flat(part) for part in rows], shared, matrices, half=program.half)
        vectors = [shared[node] for node in before.vectors]
        recorder = record_bare(program, len(inputs), vectors, matrices)
        lying = [matrix if matrix.is_contiguous() else matrix.t() for matrix in matrices]
        outputs, final = train(recorder, layout, (*inputs, *states, *vectors, *lying))
    if packs:
        outputs = _Scatter.apply(outputs, places, time * batch)  # type: ignore[no-untyped-call]
        final = [part.index_select(0, layout.index("back")) for part in final]
    if outputs.dim() == 2:
        outputs = outputs.view(time, batch, -1)
    ends = [_as(like.dtype, part) for part, like in zip(final, request.state, strict=True)]
    ends = [part if like.dim() == 2 else part.view_as(like) for part, like in zip(ends, request.state, strict=True)]
    return outputs, type(request.state)(*ends)


def _as(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype is dtype else tensor.to(dtype)  # which costs something even for nothing


def _flat(sequences: Tensor) -> Tensor:
    return sequences.reshape(-1, sequences.shape[-1])


def _row(state: Tensor) -> Tensor:
    """A part of the state with all its numbers in one dimension."""
    return state if state.dim() == 2 else state.reshape(len(state), -1)


class _Gather(torch.autograd.Function):
    """Pick rows, each at most once: unlike torch's own, its gradient is a copy and not a sum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = rows.shape[0]
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return _Scatter.apply(gradient, places, ctx.count), None  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    """Put rows where they belong, among rows of zeros."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, rows.shape[1]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _Gather.apply(gradient, places), None, None  # type: ignore[no-untyped-call]
