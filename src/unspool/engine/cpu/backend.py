"""The path `cpu`: any cell whose step the compiler takes. Caches graphs by fingerprint, and programs by policy."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import CellFingerprint, weights
from unspool.engine.compiler.pipeline import StepGraphs, lower_cell
from unspool.engine.compiler.refusal import Refusal
from unspool.engine.cpu.heuristics import why_full_precision, why_slower
from unspool.engine.cpu.jit.compile import missing, uncollected
from unspool.engine.cpu.launch.call import call
from unspool.engine.cpu.launch.packed_weights import packed_weights
from unspool.engine.cpu.launch.record import record_affine, record_unhoisted
from unspool.engine.cpu.launch.single_step import CompiledStep
from unspool.engine.cpu.launch.stack import StackCell
from unspool.engine.cpu.policy import current_policy, current_target
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.interception import is_intercepted
from unspool.engine.request import Path, Request, State

__all__ = ["CpuPath", "compile_stack_cell", "compile_step", "graphs_of"]

_graphs: OrderedDict[Any, tuple[StepGraphs | Refusal, list[object]]] = OrderedDict()
"""By key of the cell's fingerprint and widths of the context, with the objects whose ids stand in the key."""
_programs: OrderedDict[Any, Program] = OrderedDict()


class _Entry(NamedTuple):
    """The last state of a cell that a call came with."""

    fingerprint: CellFingerprint
    graphs: dict[tuple[int, ...], StepGraphs | Refusal]
    """By the widths of the context."""


_entries: weakref.WeakKeyDictionary[Cell[Any], _Entry] = weakref.WeakKeyDictionary()


class CpuPath(Path):
    """Compile the cell's step to loops over time, forward and backward."""

    name = "cpu"

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Request], StepGraphs] | None = None  # the request that was checked last runs next

    def why_slower(self, request: Request) -> str | None:
        return why_slower(request)

    def describe(self, request: Request) -> str:
        program = _program(self._graphs(request), _dtype(request, weights(request.cell)))
        time, batch, _ = request.inputs.shape
        lengths = request.lengths
        steps, rows = (time, time * batch) if lengths is None else (int(lengths.max()), int(lengths.sum()))
        products = program.describe(steps, rows, batch)
        return f"{program}\n{products}" if products else str(program)

    def why_unsupported(self, request: Request) -> str | None:
        cell, inputs = request.cell, request.inputs
        reason = _why_intercepted(inputs)
        if reason is not None:
            return reason
        entry = _entries.get(cell)
        if entry is None or not entry.fingerprint.matches(cell):
            entry = _entries[cell] = _Entry(CellFingerprint(cell), {})
        reason = _why_unfit(cell, entry.fingerprint.weights(), inputs) or missing()
        if request.lengths is not None and not request.lengths.is_cpu:
            reason = f"it takes lengths on the CPU, and these are on {request.lengths.device.type}"
        if reason is not None:
            return reason
        if request.context and any(part.dim() != 2 or part.shape[0] != inputs.shape[1] for part in request.context):
            shapes = [tuple(part.shape) for part in request.context]
            return f"it takes context of (batch, width), not {', '.join(map(str, shapes))}"
        widths = _widths(request)
        if widths not in entry.graphs:
            entry.graphs[widths] = _lower(cell, entry.fingerprint, widths)
        graphs = entry.graphs[widths]
        if isinstance(graphs, Refusal):
            return str(graphs)
        self._last = weakref.ref(request), graphs
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        graphs = self._graphs(request)
        entry = _entries.get(request.cell) if self._last is not None and self._last[0]() is request else None
        tensors = weights(request.cell) if entry is None else entry.fingerprint.weights()
        program = _program(graphs, _dtype(request, tensors))
        with _full_precision():
            return call(program, request, tensors)

    def _graphs(self, request: Request) -> StepGraphs:
        last = self._last
        if last is not None and last[0]() is request:
            return last[1]
        return graphs_of(request.cell, _widths(request))


def compile_step(
    cell: Cell[Any], fingerprint: CellFingerprint, x: Tensor, context_widths: tuple[int, ...]
) -> CompiledStep | str:
    """Compile a cell's step and pack its weights.

    Args:
        cell: The cell.
        fingerprint: Of the cell, as it is now.
        x: An input of a step, (batch, input).
        context_widths: Of what the step takes beside its input.

    Returns:
        The compiled step; or why there is none, in words.
    """
    tensors = fingerprint.weights()
    reason = _why_unfit(cell, tensors, x) or missing()
    if reason is not None:
        return reason
    if any(tensor.is_inference() for tensor in tensors.values()):
        return "its weights were made in inference mode, where torch does not count what is written to them"
    graphs = _lower(cell, fingerprint, context_widths)
    if isinstance(graphs, Refusal):
        return str(graphs)
    with _full_precision():
        program = _program(graphs, next(iter(tensors.values()), x).dtype, half=False)
        shapes = [(cell.input_size,), *((width,) for width in context_widths), *graphs.shapes]
        return CompiledStep(cell, program, packed_weights(cell, program, tensors), fingerprint.places, shapes)


def compile_stack_cell(cell: Cell[Any], inputs: Tensor) -> StackCell | str:
    """Compile a cell as a part of a stack, for inference.

    Args:
        cell: The cell.
        inputs: Of the stack; their memory and number type count.

    Returns:
        The compiled cell; or why there is none, in words.
    """
    fingerprint = CellFingerprint(cell)
    tensors = fingerprint.weights()
    reason = _why_unfit(cell, tensors, inputs) or missing()
    if reason is not None:
        return reason
    if any(tensor.is_inference() for tensor in tensors.values()):
        return "its weights were made in inference mode, where torch does not count what is written to them"
    graphs = _lower(cell, fingerprint, ())
    if isinstance(graphs, Refusal):
        return str(graphs)
    dtype = next(iter(tensors.values()), inputs).dtype
    if graphs.plain is not None:
        program = _program(graphs, dtype, half=False)
        recorder = record_affine(program, graphs.plain, 1, tuple(tensors.values()))
    else:
        program = _program(graphs.unhoisted, dtype, half=False)
        packed = packed_weights(cell, program, tensors)
        recorder = record_unhoisted(program, packed.vectors(program.graphs.before), packed.matrices)
    return StackCell(cell, fingerprint, program, recorder)


def graphs_of(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> StepGraphs:
    """Return the graphs of a cell's step, from the cache if they are there.

    Raises:
        Refusal: If the compiler can't take the step.
    """
    graphs = _lower(cell, CellFingerprint(cell), context_widths)
    if isinstance(graphs, Refusal):
        raise graphs
    return graphs


def _why_intercepted(inputs: Tensor) -> str | None:
    """Say why native code can't have the inputs: someone would see no torch call."""
    if type(inputs) not in (Tensor, nn.Parameter) or is_intercepted():
        return "it needs plain tensors, and something else looks on"
    return None


def _why_unfit(cell: Cell[Any], tensors: dict[str, Tensor], inputs: Tensor) -> str | None:
    """Say which device, number type or watcher the compiler can't take; None if it takes all."""
    if False in [inputs.is_cpu, *[tensor.is_cpu for tensor in tensors.values()]]:
        devices = {tensor.device.type for tensor in (inputs, *tensors.values())}
        return f"it compiles for the CPU, and this is on {' and '.join(sorted(devices - {'cpu'}))}"
    if inputs.shape[-1] == 0:
        return "its inputs have no numbers"
    types = {tensor.dtype for tensor in tensors.values()} or {inputs.dtype}
    if len(types) > 1 or not types <= {torch.float32, torch.float64}:
        names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        return f"it takes weights of float32 or of float64, these are {names}"
    if cell.watched:
        return "compiled loops do not show their gates, and someone is watching"
    return None


def _dtype(request: Request, tensors: dict[str, Tensor]) -> torch.dtype:
    return next(iter(tensors.values()), request.inputs).dtype


def _full_precision() -> AbstractContextManager[Any]:
    """No automatic half precision around the loop: the program rounds its own products."""
    return torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else nullcontext()


def _widths(request: Request) -> tuple[int, ...]:
    return tuple([part.shape[1] for part in request.context])


def _lower(cell: Cell[Any], fingerprint: CellFingerprint, context_widths: tuple[int, ...]) -> StepGraphs | Refusal:
    """Return the graphs of a cell, traced on the first call; or why there are none."""
    key = (fingerprint.key, context_widths)
    entry = _graphs.pop(key, None)  # the last used stands last; another thread may do the same meanwhile
    if entry is None:
        entry = _trace(cell, fingerprint, context_widths), fingerprint.objects
    _graphs[key] = entry
    _evict(_graphs, current_policy().cached_programs)
    return entry[0]


def _trace(cell: Cell[Any], fingerprint: CellFingerprint, context_widths: tuple[int, ...]) -> StepGraphs | Refusal:
    try:
        with _full_precision(), uncollected():
            graphs = lower_cell(cell, context_widths)
    except Refusal as refusal:
        return refusal.with_traceback(None)
    change = fingerprint.difference(CellFingerprint(cell))
    if change is not None:
        return Refusal(f"the step changes {change} while it runs, and a compiled step would not")
    return graphs


def _program(graphs: StepGraphs, dtype: torch.dtype, half: bool | None = None) -> Program:
    """Return the program of some graphs, from the cache if it is there.

    Args:
        graphs: Of the cell.
        dtype: Of the weights.
        half: Whether factors are rounded to bfloat16; by default, as automatic half precision says.
    """
    if half is None:
        half = why_full_precision(dtype) is None
    policy = current_policy()
    key = (id(graphs), dtype, half, current_target(), policy)
    program = _programs.pop(key, None)
    if program is None or program.graphs is not graphs:
        program = Program.of(graphs, dtype, half)
    _programs[key] = program
    _evict(_programs, policy.cached_programs)
    return program


def _evict(cache: OrderedDict[Any, Any], most: int) -> None:
    while len(cache) > most:
        with suppress(KeyError):  # another thread evicted it first
            cache.popitem(last=False)
