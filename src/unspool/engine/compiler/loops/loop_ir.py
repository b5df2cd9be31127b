"""Loop IR: phases of products and fused loops over memory buffers, ready for code generation.

for each step:
    for each phase:
        products
        for each row:
            for each loop: load, compute, store
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

from unspool.engine.compiler.ir.graph import Node

__all__ = ["Buffer", "Grid", "Halo", "Load", "Loop", "LoopNest", "Outer", "Phase", "Product", "RowIndex", "Slice"]

RowIndex = Literal["time", "before", "after", "now", "next", "row", "vector", "part"]
"""The row of a memory that belongs to a sequence at a step. `time`: one for every step. `before` and `after`: the same
in the history of a state. `now` and `next`: two that change places. `row`: one in all. `vector`: the same for all.
`part`: one for each part of the batch, for sums, or for values that live no longer than a row."""


class Buffer(NamedTuple):
    """Memory, and how it is walked."""

    name: str
    rate: RowIndex
    stride: int
    """Numbers from one row to the next."""


class Slice(NamedTuple):
    """A place in memory: a buffer and a first column."""

    buffer: Buffer
    column: int

    def __str__(self) -> str:
        return f"{self.buffer.name}.{self.buffer.rate}[{self.column}:]"


class Grid(NamedTuple):
    """What a loop goes over: the lines of a block and the columns of each; a row that is no block is one line."""

    lines: int
    columns: int


class Load(NamedTuple):
    """A value that a loop reads."""

    node: Node
    place: Slice
    along: Literal["grid", "lines", "columns"] = "grid"
    """Whether the value has a number for every place of the grid, one for each line, or one for each column."""

    def __str__(self) -> str:
        suffixes = {"grid": "", "lines": " by line", "columns": " by column"}
        return f"load {self.place}{suffixes[self.along]}"


class Halo(NamedTuple):
    """Numbers of either end of a stored row, copied beyond its other end, so that the row can be read rolled."""

    place: Slice
    width: int
    margin: int


@dataclass(frozen=True)
class Product:
    """Rows times a packed matrix."""

    operand: Slice
    depth: int
    matrix: int
    transposed: bool
    width: int
    result: Slice

    @property
    def packed(self) -> str:
        """The name of the packed matrix's memory."""
        return f"matrix{self.matrix}{'t' if self.transposed else ''}"


@dataclass(frozen=True)
class Loop:
    """One pass over a row; of width 1, once a row."""

    grid: Grid
    loads: tuple[Load, ...]
    computes: tuple[Node, ...]
    reductions: tuple[Node, ...]
    """Over the whole row, into a register."""
    folds: tuple[tuple[Node, Slice], ...]
    """Along the lines of a block or across them, into memory."""
    stores: tuple[tuple[Node, Slice], ...]
    sums: tuple[tuple[Node, Slice], ...]
    """Values that are summed over all rows and steps."""
    wraps: tuple[Halo, ...]

    @property
    def width(self) -> int:
        """Numbers in all."""
        return self.grid.lines * self.grid.columns

    @property
    def places(self) -> list[Slice]:
        """All memory that the loop reads or writes."""
        written = [place for _, place in (*self.folds, *self.stores, *self.sums)]
        return [*(load.place for load in self.loads), *written, *(wrap.place for wrap in self.wraps)]

    def moved(self, to: Mapping[Buffer, Buffer]) -> Loop:
        """Return the same loop with some buffers replaced."""

        def place(at: Slice) -> Slice:
            return at._replace(buffer=to.get(at.buffer, at.buffer))

        return replace(
            self,
            loads=tuple(load._replace(place=place(load.place)) for load in self.loads),
            folds=tuple((node, place(at)) for node, at in self.folds),
            stores=tuple((node, place(at)) for node, at in self.stores),
            sums=tuple((node, place(at)) for node, at in self.sums),
            wraps=tuple(wrap._replace(place=place(wrap.place)) for wrap in self.wraps),
        )


@dataclass(frozen=True)
class Phase:
    """Products, then the loops that read them."""

    products: tuple[Product, ...]
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class Outer:
    """A matrix's gradient, taken after the loop: the product of two memories over all rows."""

    matrix: int
    left: Slice
    depth: int
    right: Slice
    width: int


@dataclass(frozen=True)
class LoopNest:
    """One direction, ready for code generation."""

    backward: bool
    phases: tuple[Phase, ...]
    outers: tuple[Outer, ...]
    same: Mapping[str, str] = field(default_factory=dict)
    """Names of memories that hold the same as another memory, by name; they need no memory of their own."""

    def __str__(self) -> str:
        """Phase by phase: products, then for each row what is loaded, computed and stored."""
        lines = [line for number, phase in enumerate(self.phases) for line in _describe(number, phase)]
        return "\n".join([*lines, *(f"{name} is {other}" for name, other in self.same.items())])

    @cached_property
    def products(self) -> list[Product]:
        """All products of a step."""
        return [product for phase in self.phases for product in phase.products]

    @cached_property
    def work(self) -> int:
        """Multiplications a row."""
        return sum(product.depth * product.width for product in self.products)

    @cached_property
    def buffers(self) -> dict[str, Buffer]:
        """All memory by name, in order, without packed matrices."""
        buffers: dict[str, Buffer] = {}
        for phase in self.phases:
            for product in phase.products:
                buffers |= {place.buffer.name: place.buffer for place in (product.operand, product.result)}
            for loop in phase.loops:
                buffers |= {place.buffer.name: place.buffer for place in loop.places}
        for outer in self.outers:
            buffers |= {place.buffer.name: place.buffer for place in (outer.left, outer.right)}
        return dict(sorted(buffers.items()))

    @cached_property
    def summed(self) -> list[Buffer]:
        """The memory of sums, which must be zero before a call."""
        sums = (place.buffer for phase in self.phases for loop in phase.loops for _, place in loop.sums)
        return list(dict.fromkeys(sums))

    @cached_property
    def memories(self) -> list[str]:
        """Every memory that the kernel reads or writes, in order."""
        return [*self.buffers, *self.packed]

    @cached_property
    def packed(self) -> list[str]:
        """The memories of the packed matrices."""
        return sorted({product.packed for product in self.products})


def _describe(number: int, phase: Phase) -> Iterator[str]:
    yield f"phase {number}"
    for product in phase.products:
        yield f"  {product.result} = {product.operand} @ {product.packed}, {product.depth} x {product.width}"
    for loop in phase.loops:
        lines, columns = loop.grid
        if lines > 1:
            yield f"  for {lines} lines of {columns} columns"
        else:
            yield f"  for {columns} columns" if columns > 1 else "  once a row"
        steps = [str(load) for load in loop.loads]
        steps += [node.operation for node in loop.computes if node.operation != "constant"]
        steps += [f"{node.operation} over the row" for node in loop.reductions]
        steps += [f"store {place}" for _, place in loop.stores]
        steps += [f"store {node.operation} {place}" for node, place in loop.folds]
        steps += [f"add to {place}" for _, place in loop.sums]
        steps += [f"wrap {wrap.margin} of {wrap.place}" for wrap in loop.wraps]
        yield from textwrap.wrap(", ".join(steps), 110, initial_indent="    ", subsequent_indent="    ")
