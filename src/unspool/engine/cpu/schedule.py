"""Schedule: from a step's graph to phases of products and fused row loops over named memory.

The level of a value is the number of products that stand one behind the other before it. Each level is a phase: first
its products, for all rows, then one pass over the rows that does everything pointwise. Within a row, what needs a sum
over the row stands one stage later. So each loop has a level, a stage and a width:

    for each step:
        for each phase:
            products
            for each row:
                for each loop: load, compute, store

Slices cost nothing, they are column offsets; the parts of a concat are stored side by side.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from unspool.engine.cpu.graph import REDUCTIONS, Graph, Node, ordered
from unspool.engine.cpu.operations import POINTWISE, SERIES

__all__ = ["Buffer", "Kernel", "Loop", "Outer", "Phase", "Place", "Product", "schedule"]

Rate = Literal["time", "before", "after", "now", "next", "row", "vector", "part"]
"""Which row of a memory belongs to a sequence at a step: `time` one for every step; `before` and `after` the same in
the history of a state; `now` and `next` two that change places; `row` one in all; `vector` the same for all;
`part` one for each part that the batch is cut into, to be summed at the end."""

_LIMIT = SERIES - 1
"""What computing a value again in a later loop may cost, in additions; above that it is put into memory."""


class Buffer(NamedTuple):
    """Memory, and how it is walked."""

    name: str
    rate: Rate
    stride: int
    """Numbers from one row to the next."""


class Place(NamedTuple):
    """Where a value stands."""

    buffer: Buffer
    column: int

    def __str__(self) -> str:
        return f"{self.buffer.name}.{self.buffer.rate}[{self.column}:]"


@dataclass(frozen=True)
class Product:
    """Rows times a packed matrix."""

    operand: Place
    depth: int
    matrix: int
    transposed: bool
    width: int
    result: Place

    @property
    def packed(self) -> str:
        """The memory of the packed matrix."""
        return f"matrix{self.matrix}{'t' if self.transposed else ''}"


@dataclass(frozen=True)
class Loop:
    """One pass over the columns of a row; of width 1, once a row."""

    width: int
    loads: tuple[tuple[Node, Place], ...]
    computes: tuple[Node, ...]
    reductions: tuple[Node, ...]
    stores: tuple[tuple[Node, Place], ...]
    sums: tuple[tuple[Node, Place], ...]
    """What is added up over all rows and steps."""


@dataclass(frozen=True)
class Phase:
    """Products, then what follows from them."""

    products: tuple[Product, ...]
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class Outer:
    """A matrix's gradient, taken after the loop: the product of two memories over all rows."""

    matrix: int
    left: Place
    depth: int
    right: Place
    width: int


@dataclass(frozen=True)
class Kernel:
    """One direction, ready to be emitted."""

    backward: bool
    phases: tuple[Phase, ...]
    outers: tuple[Outer, ...]

    def __str__(self) -> str:
        """Phase by phase: products, then for each row what is loaded, computed and stored."""
        return "\n".join(line for number, phase in enumerate(self.phases) for line in _told(number, phase))

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
        """All memory by name, in order, packed matrices left out."""
        found: dict[str, Buffer] = {}
        for phase in self.phases:
            for product in phase.products:
                found |= {place.buffer.name: place.buffer for place in (product.operand, product.result)}
            for loop in phase.loops:
                places = [place for _, place in (*loop.loads, *loop.stores, *loop.sums)]
                found |= {place.buffer.name: place.buffer for place in places}
        for outer in self.outers:
            found |= {place.buffer.name: place.buffer for place in (outer.left, outer.right)}
        return dict(sorted(found.items()))

    @cached_property
    def memories(self) -> list[str]:
        """Every memory that the kernel is handed, in order."""
        return [*self.buffers, *sorted({product.packed for product in self.products})]


def schedule(graph: Graph, *, lanes: int, backward: bool, history: frozenset[int]) -> Kernel:
    """Lay a step out.

    Args:
        graph: One step, forward or backward.
        lanes: Numbers in a vector register; rows of our own memory are padded to whole vectors.
        backward: Which of the two.
        history: States whose value after every step is kept; of the others there are only two, before and after.
    """
    while True:
        attempt = _Schedule(graph, lanes, backward, history)
        try:
            return attempt.kernel()
        except _Crossing as crossing:
            # a value wanted in a later loop goes into memory, from then on; each attempt finds one more
            graph = Graph((*graph.results, (("scratch", len(graph.results)), crossing.node)))


class _Crossing(Exception):  # noqa: N818 - a discovery
    def __init__(self, node: Node) -> None:
        self.node = node


Time = tuple[int, int]  # level, stage


class _Schedule:
    def __init__(self, graph: Graph, lanes: int, backward: bool, history: frozenset[int]) -> None:
        self._graph, self._lanes, self._backward, self._history = graph, lanes, backward, history
        self._nodes = graph.nodes()
        self._times: dict[Node, Time] = {}
        self._places: dict[Node, list[Place]] = defaultdict(list)
        self._stores: dict[Node, list[Place]] = defaultdict(list)
        self._sums: list[tuple[Node, Place]] = []
        self._products: dict[Node, Place] = {}
        self._scratch = 0
        for node in self._nodes:
            self._times[node] = self._time(node)
        self._place_all()

    # -- when

    def _time(self, node: Node) -> Time:
        if not node.arguments:
            return (0, 0)
        (first, *_) = node.arguments
        if node.operation == "product":
            given = _base(first).operation == "source"
            return (0 if given else self._times[first][0] + 1, 0)
        latest = (0, 0)
        for argument in node.arguments:
            level, stage = self._times[argument]
            waits = argument.operation == "concat" and node.operation != "outer"
            latest = max(latest, (level, stage + waits))
        return (latest[0], latest[1] + 1) if node.operation in REDUCTIONS else latest

    # -- where

    def _place_all(self) -> None:
        ends = self._graph.find("state")
        kept = {ends[number] for number in self._history if number in ends}
        wanted = sorted(self._graph.results, key=lambda result: -result[1].width)
        for (kind, number), node in wanted:
            if kind == "vector":
                self._sum(node, Place(Buffer(f"vector_gradient{number}", "part", node.width), 0))
            elif kind not in ("matrix", "scratch") and not (kind == "output" and node in kept):
                self._store(node, Place(self._result_buffer(kind, number, node.width), 0))
        for (kind, _), node in wanted:
            if kind == "matrix":
                self._find(node.arguments[1], every_step=True)
        rows = [node.arguments[0] for node in self._nodes if node.operation == "product"]
        rows += [node for (kind, _), node in self._graph.results if kind == "scratch"]
        rows += [
            argument
            for node in self._nodes
            for argument in node.arguments
            if argument.operation == "concat" and node.operation not in ("outer", "product", "concat")
        ]
        for node in sorted(rows, key=lambda node: -node.width):
            if _base(node).operation != "source":
                self._find(node, every_step=False)
        for node in self._nodes:
            if node.operation == "product":
                self._products[node] = self._product_place(node)

    def _result_buffer(self, kind: str, number: int, width: int) -> Buffer:
        if kind == "state":
            return Buffer(f"state{number}", "after" if number in self._history else "next", width)
        if kind == "carry":
            return Buffer(f"carry{number}", "next", self._padded(width))
        return Buffer(f"input_gradient{number}" if kind == "input" else f"{kind}{number}", "time", width)

    def _source(self, node: Node) -> Place:
        kind, number = node.value
        rate: Rate = "time"
        stride = node.width
        if kind == "state":
            rate = "before" if number in self._history else "now"
        elif kind == "carry":
            rate, stride = "now", self._padded(node.width)
        elif kind in ("after", "vector"):
            rate = kind
        name = "state" if kind == "after" else kind
        return Place(Buffer(f"{name}{number}", rate, stride), 0)

    def _padded(self, width: int) -> int:
        return -(-width // self._lanes) * self._lanes

    def _sum(self, node: Node, place: Place) -> None:
        for part, column in _parts(node, place.column) if node.operation == "concat" else [(node, place.column)]:
            if part.operation != "constant" or part.value[0] != 0:
                self._sums.append((part, Place(place.buffer, column)))

    def _store(self, node: Node, place: Place) -> None:
        self._places[node].append(place)
        if node.operation != "concat":
            self._stores[node].append(place)
            return
        for part, column in _parts(node, place.column):
            self._store(part, Place(place.buffer, column))

    def _find(self, node: Node, *, every_step: bool) -> Place:
        """Where a value lies in memory; room is made for it if it lies nowhere."""
        suits = [place for place in self._places[node] if place.buffer.rate == "time" or not every_step]
        if not suits and node.operation == "concat":
            suits = [place for place in self._aligned(node) if place.buffer.rate == "time" or not every_step]
            self._places[node] += suits
        if not suits:
            self._scratch += 1
            suits = [
                Place(Buffer(f"scratch{self._scratch}", "time" if every_step else "row", self._padded(node.width)), 0)
            ]
            self._store(node, suits[0])
        return suits[0]

    def _aligned(self, node: Node) -> Iterator[Place]:
        """Places where all parts of a concat already stand side by side."""
        for start in self._places[node.arguments[0]]:
            if all(Place(start.buffer, column) in self._places[part] for part, column in _parts(node, start.column)):
                yield start

    def _product_place(self, node: Node) -> Place:
        for place in self._stores[node]:
            if place.buffer.stride >= place.column + self._padded(node.width) and place.column % self._lanes == 0:
                self._stores[node].remove(place)  # written straight to where it is wanted
                return place
        self._scratch += 1
        return Place(Buffer(f"scratch{self._scratch}", "row", self._padded(node.width)), 0)

    def _load(self, node: Node, time: Time) -> Place | None:
        """Where a value can be read in a loop; None if it is not in memory by then."""
        base, column = (node.arguments[0], node.value[0]) if node.operation == "slice" else (node, 0)
        if base.operation == "source":
            place = self._source(base)
        elif base.operation == "product":
            place = self._products[base]
        elif self._times[node] < time and self._places[node]:
            place = self._places[node][0]
        else:
            return None
        return Place(place.buffer, place.column + column)

    # -- what

    def kernel(self) -> Kernel:
        roots: dict[tuple[Time, int], list[Node]] = defaultdict(list)
        for node, places in list(self._stores.items()):
            if places:
                roots[self._times[node], node.width].append(node)
        for node, _ in self._sums:
            roots[self._times[node], node.width].append(node)
        for node in self._nodes:
            if node.operation in REDUCTIONS:
                argument = node.arguments[0]
                level, stage = self._times[node]
                roots[(level, stage - 1), argument.width].append(node)
        levels = {time[0] for time, _ in roots} | {self._times[node][0] for node in self._products}
        phases = []
        for level in sorted(levels):
            products = [self._product(node) for node in self._products if self._times[node][0] == level]
            phases.append(Phase(tuple(products), tuple(self._loops(level, roots))))
        outers = [
            Outer(number, self._left(node.arguments[0]), node.arguments[0].width, right, node.arguments[1].width)
            for (kind, number), node in self._graph.results
            if kind == "matrix"
            for right in [self._find(node.arguments[1], every_step=True)]
        ]
        return Kernel(self._backward, tuple(phases), tuple(outers))

    def _left(self, node: Node) -> Place:
        place = self._source(_base(node))
        return Place(place.buffer, node.value[0] if node.operation == "slice" else 0)

    def _product(self, node: Node) -> Product:
        (row,) = node.arguments
        number, transposed = node.value
        operand = self._left(row) if _base(row).operation == "source" else self._find(row, every_step=False)
        return Product(operand, row.width, number, transposed, node.width, self._products[node])

    def _loops(self, level: int, roots: dict[tuple[Time, int], list[Node]]) -> Iterator[Loop]:
        known: set[Node] = set()  # of width 1, in registers for the rest of the row
        stages = sorted({time[1] for time, _ in roots if time[0] == level})
        for stage in stages:
            time = (level, stage)
            wide = sorted(width for at, width in roots if at == time and width > 1)
            scalars = list(roots.get((time, 1), []))
            scalars += [node for width in wide for node in self._narrow(roots[time, width], time)]
            first = self._loop(scalars, time, 1, known)
            if first.computes or first.loads or first.stores or first.sums:
                yield first
            known |= {node for node, _ in first.loads} | set(first.computes)
            for width in wide:
                loop = self._loop(roots[time, width], time, width, known)
                known |= set(loop.reductions)
                yield loop

    def _narrow(self, ends: list[Node], time: Time) -> Iterator[Node]:
        """The values of width 1 that a wide loop looks at."""
        for node in self._inside(ends, time, set()):
            for argument in node.arguments if node.operation in POINTWISE or node in ends else ():
                if argument.width == 1 and node.width > 1 and argument.operation != "constant":
                    yield argument

    def _loop(self, roots: list[Node], time: Time, width: int, known: set[Node]) -> Loop:
        reductions = [node for node in roots if node.operation in REDUCTIONS and width > 1]
        ends = [node.arguments[0] if node in reductions else node for node in roots]
        loads, computes = [], []
        for node in self._inside(ends, time, known):
            if (node.width == 1) != (width == 1) and node.operation != "constant":
                assert node in known or node.width == 1, f"{node!r} is out of place"
                continue
            place = self._load(node, time)
            if place is not None:
                loads.append((node, place))
            else:
                computes.append(node)
        here = [node for node in dict.fromkeys(ends) if node.width == width]
        stores = [(node, place) for node in here if self._times[node] == time for place in self._stores[node]]
        sums = [(node, place) for node, place in self._sums if node in here and self._times[node] == time]
        return Loop(width, tuple(loads), tuple(computes), tuple(reductions), tuple(stores), tuple(sums))

    def _inside(self, ends: list[Node], time: Time, known: set[Node]) -> list[Node]:
        """What a loop has to load or compute, in order; a dear value of an earlier loop is put into memory first."""
        later = {node for node in ends if node.operation in REDUCTIONS and self._times[node] > time}
        ends = [node.arguments[0] if node in later else node for node in ends]
        seen: set[Node] = set(known)
        found: list[Node] = []

        def visit(node: Node) -> None:
            if node in seen:
                return
            seen.add(node)
            if self._load(node, time) is None:
                if node.operation in REDUCTIONS:
                    if self._times[node][0] < time[0]:
                        raise _Crossing(node)
                    return  # in a register
                if self._times[node] < time and node.operation in POINTWISE and self._dear(node, time):
                    raise _Crossing(node)
                for argument in node.arguments:
                    visit(argument)
            found.append(node)

        for end in ends:
            visit(end)
        return found

    def _dear(self, node: Node, time: Time) -> bool:
        there = {part for part in ordered([node]) if part is not node and self._load(part, time) is not None}
        steps = (part for part in ordered([node], there) if part.operation in POINTWISE)
        return node.width > 1 and sum(POINTWISE[part.operation].cost for part in steps) > _LIMIT


def _told(number: int, phase: Phase) -> Iterator[str]:
    yield f"phase {number}"
    for product in phase.products:
        yield f"  {product.result} = {product.operand} @ {product.packed}, {product.depth} x {product.width}"
    for loop in phase.loops:
        yield f"  for {loop.width} columns" if loop.width > 1 else "  once a row"
        steps = [*(f"load {place}" for _, place in loop.loads)]
        steps += [node.operation for node in loop.computes if node.operation != "constant"]
        steps += [f"{node.operation} over the row" for node in loop.reductions]
        steps += [f"store {place}" for _, place in loop.stores]
        steps += [f"add to {place}" for _, place in loop.sums]
        yield from textwrap.wrap(", ".join(steps), 110, initial_indent="    ", subsequent_indent="    ")


def _parts(node: Node, column: int) -> Iterator[tuple[Node, int]]:
    """The parts of a concat and their first columns."""
    for part in node.arguments:
        yield part, column
        column += part.width


def _base(node: Node) -> Node:
    return node.arguments[0] if node.operation == "slice" else node
