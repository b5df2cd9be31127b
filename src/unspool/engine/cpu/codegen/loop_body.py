"""Loop bodies: one pass over a row, or over the lines and columns of a block: load, compute, store, fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.loops.loop_ir import Buffer, Halo, Load, Loop, Slice
from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import CACHE_LINE
from unspool.engine.cpu.codegen.vector_math import pointwise

__all__ = ["emit_loops"]

_LINE = 8 * CACHE_LINE
"""Bits of a cache line; narrower vectors would prefetch each line twice."""


def emit_loops(f: Function, loops: Sequence[Loop], rows: dict[Buffer, str]) -> None:
    """Emit the loops of one phase for one row.

    Args:
        f: The function.
        loops: The loops, in order.
        rows: The address of this row in each memory.
    """
    scalars: dict[Node, str] = {}
    for loop in loops:
        if loop.width == 1:
            _once(f, loop, rows, scalars)
        else:
            _LoopBody(f, loop, rows, scalars).emit()


def _compute(f: Function, loop: Loop, values: dict[Node, str]) -> None:
    """Emit what a loop computes of its loads."""
    for node in loop.computes:
        if node.operation == "constant":
            values[node] = f.constant(node.value[0])
        else:
            values[node] = pointwise(f, node.operation, *(values[part] for part in node.arguments))


def _once(f: Function, loop: Loop, rows: dict[Buffer, str], scalars: dict[Node, str]) -> None:
    """Emit values of width 1, in all lanes of a register."""
    for wrap in loop.wraps:
        _wrap(f, wrap, rows[wrap.place.buffer])
    for node, place, _ in loop.loads:
        scalars[node] = f.spread(f.value(f"load {f.number}, ptr {f.address(rows[place.buffer], place.column)}"))
    _compute(f, loop, scalars)
    for node, place in loop.stores:
        f.do(f"store {f.number} {f.lane(scalars[node], 0)}, ptr {f.address(rows[place.buffer], place.column)}")
    for node, place in loop.sums:
        at = f.address(rows[place.buffer], place.column)
        total = f.value(f"fadd {f.number} {f.value(f'load {f.number}, ptr {at}')}, {f.lane(scalars[node], 0)}")
        f.do(f"store {f.number} {total}, ptr {at}")


def _wrap(f: Function, wrap: Halo, row: str) -> None:
    """Copy the numbers of each end beyond the other."""
    start = f.address(row, wrap.place.column)
    with f.loop(0, wrap.margin, what="wrap") as index:
        first = f.value(f"load {f.number}, ptr {f.address(start, index)}")
        f.do(f"store {f.number} {first}, ptr {f.address(start, f.whole('add', index, wrap.width))}")
        last = f.value(f"load {f.number}, ptr {f.address(start, f.whole('add', index, wrap.width - wrap.margin))}")
        f.do(f"store {f.number} {last}, ptr {f.address(start, f.whole('sub', index, wrap.margin))}")


class _LoopBody:
    """Emits one wide loop.

    Args:
        f: The function.
        loop: The loop.
        rows: The address of this row in each memory.
        scalars: Values of width 1, in all lanes; the loop adds its own.
    """

    def __init__(self, f: Function, loop: Loop, rows: dict[Buffer, str], scalars: dict[Node, str]) -> None:
        self.f, self.loop, self.rows, self.scalars = f, loop, rows, scalars
        self.lines, self.columns = loop.grid
        self.vectors = -(-self.columns // f.lanes)
        self.totals = {node: self._room(node) for node in loop.reductions}
        folds = [node for node, _ in loop.folds]
        self.across = {node: self._room(node, self.vectors) for node in folds if node.operation.endswith("outer")}
        self.along = {node: self._room(node) for node in folds if node.operation.endswith("inner")}

    def emit(self) -> None:
        """Line by line, vector by vector."""
        f = self.f
        for node, total in (*self.totals.items(), *self.across.items()):
            self._clear(node, total, self.vectors if node in self.across else 1)
        with self._each_line() as (line, start):
            for node, total in self.along.items():
                self._clear(node, total)
            with f.loop(0, self.columns, f.lanes, what="column") as column:
                self._vector(line, start, column)
            for node, place in self.loop.folds:
                if node in self.along:
                    number = _over_lanes(f, node, f.value(f"load {f.vector}, ptr {self.along[node]}"))
                    f.do(f"store {f.number} {number}, ptr {self._at(place, line)}")
        for node, place in self.loop.folds:
            if node in self.across:
                self._keep(self.across[node], place)
        for node, total in self.totals.items():
            self.scalars[node] = f.spread(_over_lanes(f, node, f.value(f"load {f.vector}, ptr {total}")))

    @contextmanager
    def _each_line(self) -> Iterator[tuple[str, str]]:
        """Yield the number of a line, and its offset in a row."""
        if self.lines == 1:
            yield "0", "0"
            return
        with self.f.loop(0, self.lines, what="line") as line:
            yield line, self.f.whole("mul", line, self.columns)

    def _vector(self, line: str, start: str, column: str) -> None:
        f = self.f
        within = self._within(column)
        index = column if self.lines == 1 else f.whole("add", start, column)
        values = dict(self.scalars)
        for load in self.loop.loads:
            values[load.node] = self._load(load, line, column, index, within)
            if load.along == "grid":
                self._fetch(load.place, index)
        _compute(f, self.loop, values)
        for node, place in self.loop.stores:
            f.write(values[node], self._at(place, index), within)
            self._fetch(place, index, write=True)
        for node, place in self.loop.sums:
            total = f.two("fadd", f.read(self._at(place, index), within), values[node])
            f.write(total, self._at(place, index), within)
        for node, total in (*self.totals.items(), *self.along.items(), *self.across.items()):
            room = f.address(total, column) if node in self.across else total
            part = values[node.arguments[0]]
            part = part if within is None else f.choose(within, part, _start(f, node))
            so_far = f.value(f"load {f.vector}, ptr {room}")
            f.do(f"store {f.vector} {_more(f, node, so_far, part)}, ptr {room}")

    def _load(self, load: Load, line: str, column: str, index: str, within: str | None) -> str:
        f = self.f
        if load.along == "lines":
            return f.spread(f.value(f"load {f.number}, ptr {self._at(load.place, line)}"))
        return f.read(self._at(load.place, column if load.along == "columns" else index), within)

    def _fetch(self, place: Slice, index: str, *, write: bool = False) -> None:
        """Prefetch the same of the next sequence, where every step of each sequence has a row of its own."""
        if place.buffer.rate in ("time", "before", "after") and self.f.lanes * self.f.bits == _LINE:
            self.f.prefetch(self.f.address(self._at(place, index), place.buffer.stride), write=write)

    def _keep(self, totals: str, place: Slice) -> None:
        """Store the totals of all columns."""
        f = self.f
        with f.loop(0, self.columns, f.lanes, what="column") as column:
            vector = f.value(f"load {f.vector}, ptr {f.address(totals, column)}")
            f.write(vector, self._at(place, column), self._within(column))

    def _at(self, place: Slice, index: str) -> str:
        return self.f.address(self.rows[place.buffer], self.f.whole("add", index, place.column))

    def _within(self, column: str) -> str | None:
        return self.f.first(column, self.columns) if self.columns % self.f.lanes else None

    def _room(self, node: Node, vectors: int = 1) -> str:
        return self.f.allocate(self.f.vector if vectors == 1 else f"[{vectors} x {self.f.vector}]")

    def _clear(self, node: Node, total: str, vectors: int = 1) -> None:
        f = self.f
        for number in range(vectors):
            f.do(f"store {f.vector} {_start(f, node)}, ptr {f.address(total, number, f.vector)}")


def _start(f: Function, node: Node) -> str:
    return f.constant(0.0 if node.operation.startswith("sum") else float("-inf"))


def _more(f: Function, node: Node, so_far: str, part: str) -> str:
    return f.two("fadd", so_far, part) if node.operation.startswith("sum") else f.intrinsic("maximum", so_far, part)


def _over_lanes(f: Function, node: Node, lanes: str) -> str:
    """Reduce all lanes to one number."""
    suffix = f"v{f.lanes}f{f.bits}"
    if node.operation.startswith("sum"):
        name, zero = f"llvm.vector.reduce.fadd.{suffix}", f"{f.number} {f.literal(-0.0)}"
        f.declared.add(f"declare {f.number} @{name}({f.number}, {f.vector})")
        return f.value(f"call reassoc {f.number} @{name}({zero}, {f.vector} {lanes})")
    return f.call(f.number, f"llvm.vector.reduce.fmaximum.{suffix}", f"{f.vector} {lanes}")
