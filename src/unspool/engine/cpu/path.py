"""The path `cpu`: any cell whose step the compiler can take."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.cpu.compile import missing
from unspool.engine.cpu.identity import identity, weights
from unspool.engine.cpu.layout import Layout, blocks, packed
from unspool.engine.cpu.plan import Plan, plan
from unspool.engine.cpu.rules import faster_elsewhere, in_half
from unspool.engine.cpu.run import Program
from unspool.engine.cpu.trace import Refusal
from unspool.engine.request import Path, Request, State

__all__ = ["CpuPath", "plan_of"]

_plans: OrderedDict[Any, tuple[Plan | Refusal, list[object]]] = OrderedDict()
_programs: OrderedDict[Any, Program] = OrderedDict()
_KEPT = 256


class CpuPath(Path):
    """Compile the cell's step to loops over time, forward and backward."""

    name = "cpu"

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Request], Plan] | None = None  # what was not refused last is run next

    def yields(self, request: Request) -> str | None:
        return faster_elsewhere(request)

    def describe(self, request: Request) -> str:
        return str(_program(self._plan(request), _dtype(request, weights(request.cell)), _half(request)))

    def refuses(self, request: Request) -> str | None:
        if (
            type(request.inputs) not in (Tensor, nn.Parameter)
            or torch._C._functorch.peek_interpreter_stack() is not None
        ):
            return "it needs plain tensors, and something else looks on"
        if torch.compiler.is_compiling() or torch._C._is_tracing():
            return "torch is tracing, and can't see into compiled loops"
        owned = weights(request.cell)
        refusal = _unfit(request, owned) or missing()
        if refusal is not None:
            return refusal
        found = _find(request.cell, _widths(request), owned)
        if isinstance(found, Refusal):
            return str(found)
        self._last = weakref.ref(request), found
        return None

    def run(self, request: Request) -> tuple[Tensor, State]:
        plan, owned = self._plan(request), weights(request.cell)
        dtype = _dtype(request, owned)
        half = _half(request)
        with _in_full():
            return _run(owned, plan, _program(plan, dtype, half), request, dtype)

    def _plan(self, request: Request) -> Plan:
        last = self._last
        if last is not None and last[0]() is request:
            return last[1]
        return plan_of(request.cell, _widths(request))


def _unfit(request: Request, owned: dict[str, Tensor]) -> str | None:
    """What of devices, number types, watchers and context the compiler can't take."""
    kinds = {tensor.device.type for tensor in (request.inputs, *owned.values())}
    if kinds != {"cpu"}:
        return f"it compiles for the CPU, and this is on {' and '.join(sorted(kinds - {'cpu'}))}"
    types = {tensor.dtype for tensor in owned.values()} or {request.inputs.dtype}
    if len(types) > 1 or not types <= {torch.float32, torch.float64}:
        said = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        return f"it takes weights of float32 or of float64, these are {said}"
    if request.cell.watched:
        return "compiled loops do not show their gates, and someone is watching"
    if any(part.dim() != 2 or part.shape[0] != request.inputs.shape[1] for part in request.context):
        shapes = [tuple(part.shape) for part in request.context]
        return f"it takes context of (batch, width), not {', '.join(map(str, shapes))}"
    return None


def _dtype(request: Request, owned: dict[str, Tensor]) -> torch.dtype:
    return next(iter(owned.values()), request.inputs).dtype


def plan_of(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> Plan:
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


def _half(request: Request) -> bool:
    """Whether the call wants its products in bfloat16, and this processor makes them."""
    return in_half(_dtype(request, weights(request.cell))) is None


def _widths(request: Request) -> tuple[int, ...]:
    return tuple(part.shape[1] for part in request.context)


def _find(cell: Cell[Any], context_widths: tuple[int, ...], owned: dict[str, Tensor]) -> Plan | Refusal:
    """The plan of a cell, or why there is none, traced when it is asked for first."""
    name, held = identity(cell, owned)
    key = (name, context_widths)
    if key not in _plans:
        try:
            with _in_full():
                _plans[key] = plan(cell, context_widths), held
        except Refusal as refusal:
            _plans[key] = refusal.with_traceback(None), held
        _forget(_plans)
    _plans.move_to_end(key)
    return _plans[key][0]


def _program(plan: Plan, dtype: torch.dtype, half: bool = False) -> Program:
    key = (id(plan), dtype, half)
    if key not in _programs or _programs[key].plan is not plan:
        _programs[key] = Program.of(plan, dtype, half)
        _forget(_programs)
    _programs.move_to_end(key)
    return _programs[key]


def _forget(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _run(
    owned: dict[str, Tensor], plan: Plan, program: Program, request: Request, dtype: torch.dtype
) -> tuple[Tensor, State]:
    time, batch, _ = request.inputs.shape
    lengths = request.lengths
    layout = blocks(time, batch, request.reverse) if lengths is None else packed(lengths, request.reverse)
    sequences = [request.inputs, *(part.expand(time, -1, -1) for part in request.context)]
    rows = [_rows(part.to(dtype), layout) for part in sequences]
    states = [_sorted(part.to(dtype), layout) for part in request.state]
    matrices, vectors = plan.tape.replay(owned)
    inputs, loop_vectors = plan.before.run(rows, vectors, matrices, half=program.half)
    outputs, final = program(layout, inputs, loop_vectors, matrices, states)
    if layout.back is None:
        outputs = outputs.view(time, batch, -1)
    else:
        outputs = _Scatter.apply(outputs, layout.places, time * batch).view(time, batch, -1)  # type: ignore[no-untyped-call]
        final = [part.index_select(0, layout.back) for part in final]
    kinds = [part.dtype for part in request.state]
    return outputs, type(request.state)(*(part.to(kind) for part, kind in zip(final, kinds, strict=True)))


def _rows(sequences: Tensor, layout: Layout) -> Tensor:
    flat = sequences.reshape(-1, sequences.shape[-1])
    if layout.places is None:
        return flat
    found: Tensor = _Gather.apply(flat, layout.places)  # type: ignore[no-untyped-call]
    return found


def _sorted(state: Tensor, layout: Layout) -> Tensor:
    return state if layout.order is None else state.index_select(0, layout.order)


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
