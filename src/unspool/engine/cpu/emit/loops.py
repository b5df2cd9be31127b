"""A kernel in LLVM's language: over steps, phases, rows and columns.

A kernel is handed one array of whole numbers and addresses, `SLOTS` first and then its memories in order.
"""

from __future__ import annotations

import torch

from unspool.engine.cpu.emit.grid import Pass, compute
from unspool.engine.cpu.emit.target import Target
from unspool.engine.cpu.emit.text import Function
from unspool.engine.cpu.graph import Node
from unspool.engine.cpu.kernel import Buffer, Kernel, Loop, Phase, Wrap

__all__ = ["RATES", "SLOTS", "emit_kernel"]

SLOTS = ("steps", "parts", "cuts", "active", "starts", "product", "number", "count")
"""How many steps; how many parts the batch is cut into, the first row of each, and where the last ends; how many rows
are active at each step; where each step's rows start, by rate; the function that multiplies; those that say which
thread is asking and of how many."""
RATES = ("time", "before", "after", "now", "next")
"""Rates whose rows start elsewhere at each step, in the order of `starts`."""


def emit_kernel(kernel: Kernel, target: Target, dtype: torch.dtype) -> str:
    """A module with two functions: `run(arguments, part)`, and `join(arguments)` for each of a team of threads.

    A team may be smaller than asked for; its threads take turns with the parts.
    """
    join = Function("void @join(ptr %arguments)", dtype, target.lanes(dtype))
    slots = {name: number for number, name in enumerate(SLOTS)}
    number, count = (join.ask(join.load("ptr", "%arguments", slots[name])) for name in ("number", "count"))
    with join.loop(number, join.load("i64", "%arguments", slots["parts"]), count, what="part") as part:
        join.do(f"call void @run(ptr %arguments, i64 {part})")
    return f"{_Emitter(kernel, target, dtype).text()}\n\n{join}"


class _Emitter:
    def __init__(self, kernel: Kernel, target: Target, dtype: torch.dtype) -> None:
        self.kernel = kernel
        self.f = f = Function("void @run(ptr noalias %arguments, i64 %part)", dtype, target.lanes(dtype))
        slots = {
            name: f.load("i64" if name in ("steps", "parts") else "ptr", "%arguments", number)
            for number, name in enumerate(SLOTS)
        }
        self.product, self.starts = slots["product"], slots["starts"]
        self.steps, self.active = slots["steps"], slots["active"]
        self.memory = {
            name: f.load("ptr", "%arguments", len(SLOTS) + number) for number, name in enumerate(kernel.memories)
        }
        self.first = f.load("i64", slots["cuts"], "%part")
        self.last = f.load("i64", slots["cuts"], f.whole("add", "%part", 1))
        self.offsets: dict[str, str] = {}

    def text(self) -> str:
        f = self.f
        with f.loop(0, self.steps, what="step") as count:
            step = f.whole("sub", f.whole("sub", self.steps, 1), count) if self.kernel.backward else count
            end = f.smaller(self.last, f.load("i64", self.active, step))
            with f.when(f.value(f"icmp slt i64 {self.first}, {end}"), what="busy"):
                for number, rate in enumerate(RATES):
                    at = f.whole("add", f.whole("mul", self.steps, number), step)
                    self.offsets[rate] = f.load("i64", self.starts, at)
                for phase in self.kernel.phases:
                    self._phase(phase, end)
        return "\n".join([*sorted(f.declared), "", str(f)])

    def _row(self, buffer: Buffer, row: str) -> str:
        """Where the row of a sequence starts in a memory."""
        f, memory = self.f, self.memory[buffer.name]
        if buffer.rate == "vector":
            return memory
        if buffer.rate == "part":
            index = "%part"
        elif buffer.rate == "row":
            index = row
        else:
            index = f.whole("add", self.offsets[buffer.rate], row)
        return f.address(memory, f.whole("mul", index, buffer.stride))

    def _phase(self, phase: Phase, end: str) -> None:
        f = self.f
        for product in phase.products:
            operand = f.address(self._row(product.operand.buffer, self.first), product.operand.column)
            result = f.address(self._row(product.result.buffer, self.first), product.result.column)
            f.do(
                f"call void {self.product}(ptr {operand}, i64 {product.operand.buffer.stride}, "
                f"i64 {f.whole('sub', end, self.first)}, ptr {self.memory[product.packed]}, i64 {product.depth}, "
                f"i64 {-(-product.width // f.lanes)}, ptr {result}, i64 {product.result.buffer.stride})"
            )
        if not phase.loops:
            return
        with f.loop(self.first, end, what="row") as row:
            buffers = dict.fromkeys(place.buffer for loop in phase.loops for place in loop.places)
            rows = {buffer: self._row(buffer, row) for buffer in buffers}
            scalars: dict[Node, str] = {}
            for loop in phase.loops:
                if loop.width == 1:
                    self._once(loop, rows, scalars)
                else:
                    Pass(f, loop, rows, scalars).emit()

    def _once(self, loop: Loop, rows: dict[Buffer, str], scalars: dict[Node, str]) -> None:
        """Values of width 1, in all lanes of a register."""
        f = self.f
        for wrap in loop.wraps:
            self._wrap(wrap, rows[wrap.place.buffer])
        for node, place, _ in loop.loads:
            scalars[node] = f.spread(f.value(f"load {f.number}, ptr {f.address(rows[place.buffer], place.column)}"))
        compute(f, loop, scalars)
        for node, place in loop.stores:
            f.do(f"store {f.number} {f.lane(scalars[node], 0)}, ptr {f.address(rows[place.buffer], place.column)}")
        for node, place in loop.sums:
            at = f.address(rows[place.buffer], place.column)
            total = f.value(f"fadd {f.number} {f.value(f'load {f.number}, ptr {at}')}, {f.lane(scalars[node], 0)}")
            f.do(f"store {f.number} {total}, ptr {at}")

    def _wrap(self, wrap: Wrap, row: str) -> None:
        """Put the numbers of each end beyond the other."""
        f = self.f
        start = f.address(row, wrap.place.column)
        with f.loop(0, wrap.margin, what="wrap") as index:
            first = f.value(f"load {f.number}, ptr {f.address(start, index)}")
            f.do(f"store {f.number} {first}, ptr {f.address(start, f.whole('add', index, wrap.width))}")
            last = f.value(f"load {f.number}, ptr {f.address(start, f.whole('add', index, wrap.width - wrap.margin))}")
            f.do(f"store {f.number} {last}, ptr {f.address(start, f.whole('sub', index, wrap.margin))}")
