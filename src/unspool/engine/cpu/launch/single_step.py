"""A single step as one kernel: nothing is hoisted, states are inputs, and weights are packed before.

To unroll a batch may cost fifty microseconds of Python; a whole step takes ten. So everything that stays from step to
step is prepared: the kernel's array of addresses is written once, and a step writes those of its inputs and outputs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from threading import Lock
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, empty_like, is_autocast_enabled, is_grad_enabled

from unspool.cells import Cell, attachments
from unspool.engine.cpu.codegen.barrier import GATE
from unspool.engine.cpu.codegen.kernel import RATES, SLOTS
from unspool.engine.cpu.launch.packed_weights import PackedWeights
from unspool.engine.cpu.program import Program
from unspool.engine.cpu.runtime.interception import is_intercepted
from unspool.engine.cpu.runtime.thread_team import run_parts, threads

__all__ = ["CompiledStep"]

new = tuple.__new__  # a named tuple's own is written in Python
_attachments = attachments.get  # of this thread; most often there are none


class CompiledStep:
    """A compiled step with its weights. One call at a time: each writes its addresses into the same array.

    Args:
        cell: The cell.
        program: Of the cell.
        weights: Of the cell, packed.
        places: Where the cell's weights are kept: path, dict, and the name in it.
        shapes: Of the arguments of a step, without the batch: input, context, and the parts of the state.
    """

    def __init__(
        self,
        cell: Cell[Any],
        program: Program,
        weights: PackedWeights,
        places: Sequence[tuple[str, dict[str, Any], str]],
        shapes: Sequence[tuple[int, ...]],
    ) -> None:
        single, self._native, self._program = program.graphs.single, program.step, program
        self._run = self._native.run
        self._kernel, self._dtype, self._expected_shapes = self._native.kernel, program.dtype, tuple(shapes)
        self._kind = type(cell.initial_state(1))
        self._cell, self._weights = cell, weights  # they hold the memory that the probes read
        self._weight_states = [
            (owner, name, snapshot.version, snapshot.address, first, first.value, last, last.value)
            for (_, owner, name), snapshot in zip(places, weights.snapshots, strict=True)
            for first, last in [snapshot.ends()]
        ]
        self._lock = Lock()
        memories = self._kernel.memories
        self._arguments = (ctypes.c_int64 * (len(SLOTS) + len(memories) + len(self._kernel.packed)))()
        self._address = ctypes.addressof(self._arguments)
        self._place = {name: number for number, name in enumerate([*SLOTS, *memories])}
        self._held: dict[str, Tensor] = {}  # the kernel has nothing but addresses
        for product in self._kernel.products:
            self._hold(product.packed, weights.packed(product.matrix, product.transposed))
        for number, vector in enumerate(weights.vectors(single.before)):
            self._hold(f"vector{number}", vector)
        self._hold("active", torch.zeros(1, dtype=torch.long, device="cpu"))
        self._hold("starts", torch.zeros(len(RATES), dtype=torch.long, device="cpu"))
        for place, size in enumerate(program.column_sizes(self._kernel, 0), start=len(self._place)):
            self._arguments[place] = size
        gate = torch.zeros(GATE // 8, dtype=torch.long, device="cpu")
        self._hold("gate", gate)
        self._gate = gate.numpy()
        for name, value in {
            "steps": 1,
            "rest": program.team.rest,
            "clock": program.team.clock,
            "product": program.products(0).product,
            "number": program.team.which,
            "count": program.team.size,
        }.items():
            self._arguments[self._place[name]] = value
        states = range(len(shapes) - len(program.graphs.shapes), len(shapes))
        sources = [*(node.value[1] for node in single.before.inputs), *states]  # the step may read only some
        inputs = [(self._place.get(f"input{number}"), source) for number, source in enumerate(sources)]
        self._inputs = [(place, source) for place, source in inputs if place is not None]
        outputs = sorted(single.graph.find("output").items())
        self._output, *self._states = single.results
        shapes_of = dict(zip(single.results, [(cell.hidden_size,), *program.graphs.shapes], strict=True))
        self._outputs = [(self._place[f"output{number}"], shapes_of[number]) for number, _ in outputs]
        self._batch = self._threads = 0
        self._divisible = False
        self._shapes: list[tuple[int, ...]] = []

    def _hold(self, name: str, tensor: Tensor) -> None:
        self._held[name] = tensor
        if name in self._place:
            self._arguments[self._place[name]] = tensor.data_ptr()

    def __call__(self, x: Tensor, state: Any, context: tuple[Tensor, ...]) -> tuple[Tensor, Any] | None:
        """Make a step; None if an argument or the cell is not as expected, and `hindrance` says why.

        Every line here runs in every step, and costs a percent of it or more.

        Args:
            x: Input, (batch, input).
            state: The cell's state, a named tuple.
            context: What the step takes beside them, each (batch, width).

        Returns:
            The output and the new state, in new memory.
        """
        try:
            for owner, name, version, address, first, was_first, last, was_last in self._weight_states:
                part = owner[name]
                if part._version != version or part.data_ptr() != address:
                    return None
                if first.value != was_first or last.value != was_last:
                    return None
        except KeyError:
            return None
        if (
            is_grad_enabled()
            or (_attachments() and self._cell.watched)
            or type(x) is not Tensor
            or is_autocast_enabled("cpu")
            or is_intercepted()
        ):
            return None
        tensors = (x, *context, *state)
        with self._lock:
            if len(x) != self._batch or (self._divisible and threads() != self._threads):
                self._prepare(len(x))
            kind, slots = self._dtype, self._arguments
            if len(tensors) != len(self._shapes):
                return None
            for part, shape in zip(tensors, self._shapes):  # noqa: B905 - dearer if strict
                if part.shape != shape or part.dtype is not kind or not part.is_contiguous() or not part.is_cpu:
                    return None
            for place, source in self._inputs:
                slots[place] = tensors[source].data_ptr()
            results = list(map(empty_like, self._rooms))
            for (place, _), part in zip(self._outputs, results):  # noqa: B905
                slots[place] = part.data_ptr()
            if self._parts == 1:
                self._run(self._address, 0)
            else:
                self._run_parts()
        return results[self._output], new(self._kind, map(results.__getitem__, self._states))

    def _run_parts(self) -> None:
        together = self._together and not self._program.crowd.crowded()
        self._arguments[self._place["together"]] = together * self._parts
        self._gate[:2] = 0
        start = perf_counter()
        run_parts(self._native, self._address, self._parts, self._program.team)
        if together:
            self._program.crowd.record(1e-6 * int(self._gate[1]) / self._parts, perf_counter() - start)

    def hindrance(self, x: Tensor, state: Any, context: tuple[Tensor, ...]) -> str:
        """Say which argument is not as expected."""
        if torch.is_autocast_enabled("cpu"):
            return "it computes in full precision, and automatic half precision is on"
        if type(x) is not Tensor or is_intercepted():
            return "it needs plain tensors, and something else looks on"
        for part, shape in zip((x, *context, *state), self._expected_shapes, strict=False):
            if part.dtype is not self._dtype or not part.is_cpu or part.shape != (len(x), *shape):
                actual, expected = (str(kind).removeprefix("torch.") for kind in (part.dtype, self._dtype))
                return (
                    f"it takes {expected} {(len(x), *shape)} on the cpu, and was given {actual} {tuple(part.shape)} "
                    f"on {part.device}"
                )
        return "the cell changes while it runs"

    def _prepare(self, batch: int) -> None:
        """Write the batch size for the kernel, and allocate memory for it."""
        self._parts, self._together = self._program.split(self._kernel, 1, batch, batch)
        for name, buffer in self._kernel.buffers.items():
            rows = self._parts if buffer.rate == "part" else batch
            if name.startswith("scratch") and rows > len(self._held.get(name, ())):
                self._hold(name, torch.empty(rows, buffer.stride, dtype=self._dtype, device="cpu"))
        cuts = [batch * part // self._parts for part in range(self._parts + 1)]
        self._hold("cuts", torch.tensor(cuts, device="cpu"))
        self._held["active"].fill_(batch)
        self._arguments[self._place["parts"]] = self._parts
        self._shapes = (
            [(batch, *shape) for shape in self._expected_shapes] if batch else []
        )  # no sequence: nothing fits
        self._rooms = [torch.empty(batch, *shape, dtype=self._dtype, device="cpu") for _, shape in self._outputs]
        self._batch, self._threads = batch, threads()
        self._divisible = self._program.divisible(self._kernel, batch)  # else threads change nothing
