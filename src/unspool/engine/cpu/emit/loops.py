"""A kernel in LLVM's language: over steps, phases, rows and columns.

A kernel is handed one array of whole numbers and addresses, `SLOTS` first and then its memories in order.
"""

from __future__ import annotations

import torch

from unspool.engine.cpu.emit.maths import pointwise
from unspool.engine.cpu.emit.target import Target
from unspool.engine.cpu.emit.text import Function
from unspool.engine.cpu.graph import Node
from unspool.engine.cpu.schedule import Buffer, Kernel, Loop, Phase, Place

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
    number, count = (
        join.value(f"sext i32 {join.value(f'call i32 {function}()')} to i64")
        for function in [join.load("ptr", "%arguments", slots[name]) for name in ("number", "count")]
    )
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
            places = [place for loop in phase.loops for _, place in (*loop.loads, *loop.stores, *loop.sums)]
            rows = {buffer: self._row(buffer, row) for buffer in dict.fromkeys(place.buffer for place in places)}
            scalars: dict[Node, str] = {}
            for loop in phase.loops:
                if loop.width == 1:
                    self._once(loop, rows, scalars)
                else:
                    self._columns(loop, rows, scalars)

    def _once(self, loop: Loop, rows: dict[Buffer, str], scalars: dict[Node, str]) -> None:
        """Values of width 1, in all lanes of a register."""
        f = self.f
        for node, place in loop.loads:
            scalars[node] = f.spread(f.value(f"load {f.number}, ptr {f.address(rows[place.buffer], place.column)}"))
        self._compute(loop, scalars)
        for node, place in loop.stores:
            f.do(f"store {f.number} {f.lane(scalars[node], 0)}, ptr {f.address(rows[place.buffer], place.column)}")
        for node, place in loop.sums:
            at = f.address(rows[place.buffer], place.column)
            total = f.value(f"fadd {f.number} {f.value(f'load {f.number}, ptr {at}')}, {f.lane(scalars[node], 0)}")
            f.do(f"store {f.number} {total}, ptr {at}")

    def _columns(self, loop: Loop, rows: dict[Buffer, str], scalars: dict[Node, str]) -> None:
        f = self.f
        totals = {node: f.allocate(f.vector) for node in loop.reductions}
        for node, total in totals.items():
            f.do(f"store {f.vector} {_start(f, node)}, ptr {total}")
        with f.loop(0, loop.width, f.lanes, what="column") as column:
            within = f.first(column, loop.width) if loop.width % f.lanes else None

            def at(place: Place) -> str:
                return f.address(rows[place.buffer], f.whole("add", column, place.column))

            values = dict(scalars)
            for node, place in loop.loads:
                values[node] = f.read(at(place), within)
            self._compute(loop, values)
            for node, place in loop.stores:
                f.write(values[node], at(place), within)
            for node, place in loop.sums:
                f.write(f.two("fadd", f.read(at(place), within), values[node]), at(place), within)
            for node, total in totals.items():
                part = values[node.arguments[0]]
                part = part if within is None else f.choose(within, part, _start(f, node))
                so_far = f.value(f"load {f.vector}, ptr {total}")
                more = f.two("fadd", so_far, part) if node.operation == "sum" else f.intrinsic("maximum", so_far, part)
                f.do(f"store {f.vector} {more}, ptr {total}")
        for node, total in totals.items():
            scalars[node] = f.spread(self._across(node, f.value(f"load {f.vector}, ptr {total}")))

    def _across(self, node: Node, lanes: str) -> str:
        """One number from all lanes."""
        f = self.f
        suffix = f"v{f.lanes}f{f.bits}"
        if node.operation == "sum":
            name, zero = f"llvm.vector.reduce.fadd.{suffix}", f"{f.number} {f.literal(-0.0)}"
            f.declared.add(f"declare {f.number} @{name}({f.number}, {f.vector})")
            return f.value(f"call reassoc {f.number} @{name}({zero}, {f.vector} {lanes})")
        return f.call(f.number, f"llvm.vector.reduce.fmaximum.{suffix}", f"{f.vector} {lanes}")

    def _compute(self, loop: Loop, values: dict[Node, str]) -> None:
        for node in loop.computes:
            if node.operation == "constant":
                values[node] = self.f.constant(node.value[0])
            else:
                values[node] = pointwise(self.f, node.operation, *(values[part] for part in node.arguments))


def _start(f: Function, node: Node) -> str:
    return f.constant(0.0 if node.operation == "sum" else float("-inf"))
