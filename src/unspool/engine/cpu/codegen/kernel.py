"""Kernels in LLVM's language: loops over steps, phases, rows and columns.

A kernel reads one array of whole numbers and addresses: `SLOTS`, its memories in order, and the size of one vector of
columns of each packed matrix.

Each thread goes through all steps with some of the sequences, makes their products by itself, and never waits. Or
threads share the columns of each step's products, and each reads its share of the weights only.
"""

from __future__ import annotations

import torch

from unspool.engine.compiler.loops.loop_ir import Buffer, LoopNest, Phase, Product
from unspool.engine.cpu.codegen.barrier import Together, meeting
from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.loop_body import emit_loops
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.policy import DEFAULT_CODEGEN, CodegenPolicy

__all__ = ["RATES", "SLOTS", "emit_kernel"]

SLOTS = (
    "steps",
    "parts",
    "cuts",
    "active",
    "starts",
    "product",
    "number",
    "count",
    "together",
    "gate",
    "rest",
    "clock",
)
"""Number of steps; number of parts of the batch, first row of each and end of the last; active rows at each step; first
row of each step, by row index; the product; the functions that return the thread's number and the team's size; how many
threads share columns, or 0; the barrier's counters; and the functions that yield the core and return the time."""
RATES = ("time", "before", "after", "now", "next")
"""Row indices whose rows start elsewhere at each step, in the order of `starts`."""


def emit_kernel(kernel: LoopNest, target: Target, dtype: torch.dtype, policy: CodegenPolicy = DEFAULT_CODEGEN) -> str:
    """Return a module with two functions: `run(arguments, part)`, and `join(arguments)` for each thread of a team.

    A team may be smaller than requested; its threads then take turns with the parts, and share no columns.
    """
    some = _Emitter(kernel, target, dtype).text()
    run = Function("void @run(ptr %arguments, i64 %part)", dtype, 1)
    run.do("call void @some(ptr %arguments, i64 %part, i64 0)")
    functions = [run, _join(dtype)]
    return "\n\n".join([some, *([meeting(target, policy)] if kernel.products else []), *map(str, functions)])


def _join(dtype: torch.dtype) -> Function:
    f = Function("void @join(ptr %arguments)", dtype, 1)
    slots = {name: number for number, name in enumerate(SLOTS)}
    number, count = (f.ask(f.load("ptr", "%arguments", slots[name])) for name in ("number", "count"))
    parts, together = (f.load("i64", "%arguments", slots[name]) for name in ("parts", "together"))
    enough = f.value(f"icmp sge i64 {count}, {parts}")
    team = f.value(f"select i1 {enough}, i64 {together}, i64 0")  # which is 0 or the number of parts
    with f.loop(number, parts, count, what="part") as part:
        f.do(f"call void @some(ptr %arguments, i64 {part}, i64 {team})")
    return f


class _Emitter:
    def __init__(self, kernel: LoopNest, target: Target, dtype: torch.dtype) -> None:
        self.kernel = kernel
        head = "internal void @some(ptr noalias %arguments, i64 %part, i64 %team)"
        self.f = f = Function(head, dtype, target.lanes(dtype))
        f.attributes.add("noinline")
        self.slots = {
            name: f.load("i64" if name == "steps" else "ptr", "%arguments", number) for number, name in enumerate(SLOTS)
        }
        begin = len(SLOTS)
        self.memory = {
            name: f.load("ptr", "%arguments", number) for number, name in enumerate(kernel.memories, start=begin)
        }
        begin += len(kernel.memories)
        self.sizes = {
            name: f.load("i64", "%arguments", number) for number, name in enumerate(kernel.packed, start=begin)
        }
        self.team = Together(f, *(self.slots[name] for name in ("gate", "rest", "clock")))
        self.offsets: dict[str, str] = {}
        self.columns: dict[int, tuple[str, str]] = {}
        """Of products so many vectors wide: the first that this thread makes, and the one after its last."""

    def text(self) -> str:
        f, kernel = self.f, self.kernel
        steps, cuts = self.slots["steps"], self.slots["cuts"]
        first, last = (f.load("i64", cuts, at) for at in ("%part", f.whole("add", "%part", 1)))
        for vectors in sorted({self._vectors(product) for product in kernel.products}):
            self.columns[vectors] = self.team.share(vectors)
        with f.loop(0, steps, what="step") as count:
            step = f.whole("sub", f.whole("sub", steps, 1), count) if kernel.backward else count
            active = f.load("i64", self.slots["active"], step)
            end = f.smaller(last, active)
            some = f.value(f"icmp slt i64 {first}, {end}")
            with f.when(f.value(f"or i1 {some}, {self.team.here}"), what="busy"):
                for number, rate in enumerate(RATES):
                    at = f.whole("add", f.whole("mul", steps, number), step)
                    self.offsets[rate] = f.load("i64", self.slots["starts"], at)
                for phase in kernel.phases:
                    if phase.products:
                        self._products(phase, first, end, active, step)
                    if phase.loops:
                        self._loops(phase, first, end)
        return "\n".join([*sorted(f.declared), "", str(f)])

    def _vectors(self, product: Product) -> int:
        return -(-product.width // self.f.lanes)

    def _row(self, buffer: Buffer, row: str) -> str:
        """Return the address of a sequence's row in a memory."""
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

    def _products(self, phase: Phase, first: str, end: str, active: str, step: str) -> None:
        f = self.f
        top, bottom = self.team.choose(0, first), self.team.choose(active, end)
        self.team.meet()
        for product in phase.products:
            left, right = self.columns[self._vectors(product)]
            operand = f.address(self._row(product.operand.buffer, top), product.operand.column)
            result = f.address(self._row(product.result.buffer, top), product.result.column)
            result = f.address(result, f.whole("mul", left, f.lanes))
            packed = f.address(self.memory[product.packed], f.whole("mul", left, self.sizes[product.packed]))
            f.do(
                f"call void {self.slots['product']}(ptr {operand}, i64 {product.operand.buffer.stride}, "
                f"i64 {f.whole('sub', bottom, top)}, ptr {packed}, i64 {product.depth}, "
                f"i64 {f.whole('sub', right, left)}, ptr {result}, i64 {product.result.buffer.stride}, i64 {step})"
            )
        self.team.meet()

    def _loops(self, phase: Phase, first: str, end: str) -> None:
        f = self.f
        with f.loop(first, end, what="row") as row:
            buffers = dict.fromkeys(place.buffer for loop in phase.loops for place in loop.places)
            rows = {buffer: self._row(buffer, row) for buffer in buffers}
            emit_loops(f, phase.loops, rows)
