"""Fusion: from a step's graph to phases of products and fused row loops over memory buffers.

The level of a value is the number of products in a chain before it. Each level is a phase: first its products, for all
rows, then one pass over the rows that does everything pointwise. Within a row, a value that needs a sum over the row,
or a value that is repeated or rolled, stands one stage later. So each loop has a level, a stage and a grid.

Slices cost nothing, they are column offsets; the parts of a concat are stored side by side. A row that is repeated to a
block lies in memory, and the loop over the block reads it by line or by column; a row that is rolled is stored with
both its ends wrapped round, and read from another column on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, REPEATS, Graph, Node, block
from unspool.engine.compiler.ir.operations import POINTWISE, SERIES
from unspool.engine.compiler.loops.loop_ir import (
    Buffer,
    Grid,
    Halo,
    Load,
    Loop,
    LoopNest,
    Outer,
    Phase,
    Product,
    RowIndex,
    Slice,
)

__all__ = ["fuse"]

_LIMIT = SERIES - 1
"""Cost of computing a value again in a later loop at most, in additions; dearer values are stored."""
_APART = 544
"""Numbers between two threads' memories that are written all the time: a processor that prefetches lines would take the
other thread's away."""
_RESIDENT = ("source", "product", "roll", *OVER_BLOCKS)
"""Operations whose results lie in memory anyway."""


def fuse(graph: Graph, *, lanes: int, backward: bool, history: frozenset[int]) -> LoopNest:
    """Fuse a step's graph into loops.

    Args:
        graph: One step, forward or backward.
        lanes: Numbers in a vector register; rows of scratch memory are padded to whole vectors.
        backward: Whether the step is a backward one.
        history: States whose value after every step is kept; of the others only two blocks are, before and after.
    """
    while True:
        attempt = _Schedule(graph, lanes, backward, history)
        kernel = attempt.kernel()
        if not attempt.crossing:
            return kernel
        # what is wanted in later loops goes into memory, from then on
        first = len(graph.results)
        more = tuple((("scratch", number), node) for number, node in enumerate(attempt.crossing, first))
        graph = Graph(graph.results + more)


Time = tuple[int, int]  # level, stage
Roots = dict[tuple[Time, Grid], list[Node]]
_ONCE = Grid(1, 1)
_SOON = Slice(Buffer("soon", "row", 0), 0)
"""The place of a value in the next attempt."""


class _Schedule:
    def __init__(self, graph: Graph, lanes: int, backward: bool, history: frozenset[int]) -> None:
        self._graph, self._lanes, self._backward, self._history = graph, lanes, backward, history
        self._nodes = graph.nodes()
        self._times: dict[Node, Time] = {}
        self._places: dict[Node, list[Slice]] = defaultdict(list)
        self._stores: dict[Node, list[Slice]] = defaultdict(list)
        self._sums: list[tuple[Node, Slice]] = []
        self._same: dict[str, str] = {}
        self._written: dict[Node, Slice] = {}  # where products and sums over blocks leave what they find
        self._wraps: dict[Node, Halo] = {}  # of what is rolled
        self._grids: dict[Node, Grid] = {}
        self._scratch = 0
        self.crossing: list[Node] = []
        """Values of earlier loops that must lie in memory; if there are any, this attempt fails."""
        for node in self._nodes:
            self._grids[node] = self._grid(node)
            self._times[node] = self._time(node)
        self._place_all()

    # -- when

    def _time(self, node: Node) -> Time:
        if not node.arguments:
            return (0, 0)
        (first, *_) = node.arguments
        if node.operation == "product":
            from_source = _base(first).operation == "source"
            return (0 if from_source else self._times[first][0] + 1, 0)
        latest = (0, 0)
        for argument in node.arguments:
            level, stage = self._times[argument]
            latest = max(latest, (level, stage + self._waits(node, argument)))
        return (latest[0], latest[1] + 1) if node.operation in (*REDUCTIONS, *OVER_BLOCKS) else latest

    def _waits(self, node: Node, argument: Node) -> bool:
        """Return whether a value must lie in memory, all of it, before a loop can read it."""
        if argument.operation == "concat":
            return node.operation != "outer"
        if node.operation in REPEATS:
            return _base(argument).operation not in _RESIDENT
        other = self._grids[argument].lines > 1 and self._grids[argument] != self._goes_over(node)
        return node.operation == "roll" or (other and (node.operation in POINTWISE or node.operation in OVER_BLOCKS))

    def _grid(self, node: Node) -> Grid:
        """Return the grid of the loop that computes a value."""
        if node.operation in REPEATS:
            return Grid(*block(node))
        grids = (self._grids[part] for part in node.arguments if part.width == node.width)
        blocks = [grid for grid in grids if grid.lines > 1 and node.operation in POINTWISE]
        return blocks[0] if blocks else Grid(1, node.width)

    def _goes_over(self, node: Node) -> Grid:
        """Return the grid of the loop that ends in a value."""
        if node.operation in OVER_BLOCKS:
            return Grid(*block(node))
        return self._grids[node.arguments[0] if node.operation in REDUCTIONS else node]

    # -- where

    def _place_all(self) -> None:
        ends = self._graph.find("state")
        histories = {ends[number] for number in self._history if number in ends}
        results = sorted(self._graph.results, key=lambda result: -result[1].width)
        sums: dict[Node, str] = {}
        for (kind, number), node in results:
            if kind == "vector":
                name = f"vector_gradient{number}"
                if sums.setdefault(node, name) == name:
                    self._sum(node, Slice(Buffer(name, "part", self._padded(node.width) + _APART), 0))
                else:
                    self._same[name] = sums[node]
            elif kind not in ("matrix", "scratch") and not (kind == "output" and node in histories):
                self._store(node, Slice(self._result_buffer(kind, number, node.width), 0))
        for (kind, _), node in results:
            if kind == "matrix":
                self._find(node.arguments[1], every_step=True)
        margins: dict[Node, int] = {}
        for node in self._nodes:
            if node.operation == "roll":
                margins[node.arguments[0]] = max(abs(node.value[0]), margins.get(node.arguments[0], 0))
        for node, margin in margins.items():
            self._wrap(node, margin)
        rows = [node.arguments[0] for node in self._nodes if node.operation == "product"]
        rows += [node for (kind, _), node in self._graph.results if kind == "scratch"]
        rows += [
            argument
            for node in self._nodes
            for argument in node.arguments
            if node.operation not in ("outer", "product", "concat", "roll") and self._waits(node, argument)
            if argument.operation == "concat" or node.operation in REPEATS
        ]
        for node in sorted(rows, key=lambda node: -node.width):
            if _base(node).operation != "source":
                self._find(node, every_step=False)
        for node in self._nodes:
            if node.operation == "product" or node.operation in OVER_BLOCKS:
                self._written[node] = self._direct_place(node, whole_vectors=node.operation == "product")

    def _result_buffer(self, kind: str, number: int, width: int) -> Buffer:
        if kind == "state":
            return Buffer(f"state{number}", "after" if number in self._history else "next", width)
        if kind == "carry":
            return Buffer(f"carry{number}", "next", self._padded(width))
        return Buffer(f"input_gradient{number}" if kind == "input" else f"{kind}{number}", "time", width)

    def _source(self, node: Node) -> Slice:
        kind, number = node.value
        rate: RowIndex = "time"
        stride = node.width
        if kind == "state":
            rate = "before" if number in self._history else "now"
        elif kind == "carry":
            rate, stride = "now", self._padded(node.width)
        elif kind in ("after", "vector"):
            rate = kind
        name = "state" if kind == "after" else kind
        return Slice(Buffer(f"{name}{number}", rate, stride), 0)

    def _padded(self, width: int) -> int:
        return -(-width // self._lanes) * self._lanes

    def _sum(self, node: Node, place: Slice) -> None:
        for part, column in _parts(node, place.column) if node.operation == "concat" else [(node, place.column)]:
            if part.operation != "constant" or part.value[0] != 0:
                self._sums.append((part, Slice(place.buffer, column)))

    def _store(self, node: Node, place: Slice) -> None:
        self._places[node].append(place)
        if node.operation != "concat":
            self._stores[node].append(place)
            return
        for part, column in _parts(node, place.column):
            self._store(part, Slice(place.buffer, column))

    def _find(self, node: Node, *, every_step: bool) -> Slice:
        """Return the place of a value in memory; a new one if it has none."""
        suits = [place for place in self._places[node] if place.buffer.rate == "time" or not every_step]
        if not suits and node.operation == "concat":
            suits = [place for place in self._aligned(node) if place.buffer.rate == "time" or not every_step]
            self._places[node] += suits
        if not suits:
            suits = [self._new_scratch(node.width, rate="time" if every_step else "row")]
            self._store(node, suits[0])
        return suits[0]

    def _aligned(self, node: Node) -> Iterator[Slice]:
        """Yield places where all parts of a concat stand side by side already."""
        for start in self._places[node.arguments[0]]:
            if all(Slice(start.buffer, column) in self._places[part] for part, column in _parts(node, start.column)):
                yield start

    def _wrap(self, node: Node, margin: int) -> None:
        """Reserve memory for a row and a margin on both sides."""
        place = self._new_scratch(node.width + 2 * margin, margin)
        self._store(node, place)
        self._wraps[node] = Halo(place, node.width, margin)

    def _new_scratch(self, width: int, column: int = 0, rate: RowIndex = "row") -> Slice:
        self._scratch += 1
        return Slice(Buffer(f"scratch{self._scratch}", rate, self._padded(width)), column)

    def _direct_place(self, node: Node, *, whole_vectors: bool) -> Slice:
        """Return the place that a product or a sum over a block is written to: its final place, if possible."""
        for place in self._stores[node]:
            room = place.buffer.stride >= place.column + self._padded(node.width) and place.column % self._lanes == 0
            if not whole_vectors or (room and not self._spoils(node, place)):
                self._stores[node].remove(place)
                return place
        return self._new_scratch(node.width)

    def _spoils(self, node: Node, place: Slice) -> bool:
        """Return whether whole vectors of a product would overwrite what an earlier level stored behind it."""
        start, stop = place.column + node.width, place.column + self._padded(node.width)
        return any(
            self._times[other][0] < self._times[node][0]
            and other.operation != "concat"
            and there.buffer == place.buffer
            and there.column < stop
            and there.column + other.width > start
            for other, places in self._places.items()
            for there in places
        )

    def _load(self, node: Node, time: Time) -> Slice | None:
        """Return the place where a loop can read a value; None if the value is not in memory by then."""
        base, column = (node.arguments[0], node.value[0]) if node.operation == "slice" else (node, 0)
        if base.operation == "constant":  # it may stand in memory as part of a row, and counts for all columns here
            return None
        if base.operation == "source":
            place = self._source(base)
        elif base in self._written:
            place = self._written[base]
        elif base.operation == "roll":
            place = self._wraps[base.arguments[0]].place
            column -= base.value[0]
        elif self._times[node] < time and self._places[node]:
            place = self._places[node][0]
        else:
            return None
        return Slice(place.buffer, place.column + column)

    def _read(self, node: Node, time: Time, grid: Grid) -> Load | None:
        """Return how a loop over a grid reads a value; it reads a repeated row as it is."""
        if node.operation in REPEATS and self._grids[node] == grid:
            place = self._load(node.arguments[0], time)
            assert place is not None, f"{node!r} is repeated before it is there"
            return Load(node, place, "lines" if node.operation == "spread" else "columns")
        place = self._load(node, time)
        return None if place is None else Load(node, place)

    # -- what

    def kernel(self) -> LoopNest:
        roots = self._roots()
        levels = {time[0] for time, _ in roots} | {self._times[node][0] for node in self._written}
        phases = []
        products = [node for node in self._written if node.operation == "product"]
        for level in sorted(levels):
            here = tuple(self._product(node) for node in products if self._times[node][0] == level)
            phases.append(Phase(here, tuple(self._loops(level, roots))))
        outers = [
            Outer(number, self._left(node.arguments[0]), node.arguments[0].width, right, node.arguments[1].width)
            for (kind, number), node in self._graph.results
            if kind == "matrix"
            for right in [self._find(node.arguments[1], every_step=True)]
        ]
        return LoopNest(self._backward, _near(phases), tuple(outers), self._same)

    def _roots(self) -> Roots:
        """Return the values that loops end in, by time and grid."""
        roots: Roots = defaultdict(list)
        for node in (*(node for node, places in self._stores.items() if places), *(node for node, _ in self._sums)):
            roots[self._times[node], self._grids[node]].append(node)
        for node in self._nodes:
            if node.operation in REDUCTIONS or node.operation in OVER_BLOCKS:
                level, stage = self._times[node]
                roots[(level, stage - 1), self._goes_over(node)].append(node)
        for time, grid in sorted(roots, key=lambda key: key[1].lines):  # rows that are as wide as a block go with it
            blocks = [at for at in roots if at[0] == time and at[1].lines * at[1].columns == grid.columns != 1]
            if grid.lines == 1 and len(blocks) > 1:
                roots[next(at for at in blocks if at[1].lines > 1)] += roots.pop((time, grid))
        return roots

    def _left(self, node: Node) -> Slice:
        place = self._source(_base(node))
        return Slice(place.buffer, node.value[0] if node.operation == "slice" else 0)

    def _product(self, node: Node) -> Product:
        (row,) = node.arguments
        number, transposed = node.value
        operand = self._left(row) if _base(row).operation == "source" else self._find(row, every_step=False)
        return Product(operand, row.width, number, transposed, node.width, self._written[node])

    def _loops(self, level: int, roots: Roots) -> Iterator[Loop]:
        registers: set[Node] = set()  # of width 1, in registers for the rest of the row
        wraps: dict[int, list[Halo]] = defaultdict(list)
        for node, wrap in self._wraps.items():
            if self._times[node][0] == level:
                wraps[self._times[node][1] + 1].append(wrap)
        stages = sorted({time[1] for time, _ in roots if time[0] == level} | wraps.keys())
        for stage in stages:
            time = (level, stage)
            wide = sorted((grid for at, grid in roots if at == time and grid != _ONCE), key=lambda g: (g[0] * g[1], g))
            scalars = list(roots.get((time, _ONCE), []))
            scalars += [node for grid in wide for node in self._narrow(roots[time, grid], time, grid)]
            first = self._loop(scalars, time, _ONCE, registers, wraps[stage])
            if first.computes or first.loads or first.stores or first.sums or first.wraps:
                yield first
            registers |= {load.node for load in first.loads} | set(first.computes)
            for grid in wide:
                loop = self._loop(roots[time, grid], time, grid, registers)
                registers |= set(loop.reductions)
                yield loop

    def _narrow(self, roots: list[Node], time: Time, grid: Grid) -> Iterator[Node]:
        """Yield the values of width 1 that a wide loop reads."""
        for node in self._inside(self._ends(roots, time), time, set(), grid):
            for argument in node.arguments if node.operation in POINTWISE or node in roots else ():
                if argument.width == 1 and node.width > 1 and argument.operation != "constant":
                    yield argument

    def _ends(self, roots: list[Node], time: Time) -> list[Node]:
        """Return what a loop computes for its roots: for a reduction, its argument."""
        return [node.arguments[0] if self._times[node] > time else node for node in roots]

    def _loop(
        self, roots: list[Node], time: Time, grid: Grid, registers: set[Node], wraps: Iterable[Halo] = ()
    ) -> Loop:
        reduced = [node for node in roots if self._times[node] > time]
        ends = self._ends(roots, time)
        loads, computes = [], []
        for node in self._inside(ends, time, registers, grid):
            if (node.width == 1) != (grid == _ONCE) and node.operation != "constant":
                assert node in registers or node.width == 1, f"{node!r} is out of place"
                continue
            load = self._read(node, time, grid)
            if load is not None:
                loads.append(load)
            else:
                computes.append(node)
        here = [node for node in dict.fromkeys(ends) if (node.width == 1) == (grid == _ONCE)]
        stores = [(node, place) for node in here if self._times[node] == time for place in self._stores[node]]
        return Loop(
            grid,
            tuple(loads),
            tuple(computes),
            tuple(node for node in reduced if node.operation in REDUCTIONS),
            tuple((node, self._written[node]) for node in reduced if node.operation in OVER_BLOCKS),
            tuple(stores),
            tuple((node, place) for node, place in self._sums if node in here and self._times[node] == time),
            tuple(wraps),
        )

    def _inside(self, ends: list[Node], time: Time, registers: set[Node], grid: Grid) -> list[Node]:
        """Return what a loop loads or computes, in order; values that cross from an earlier loop are recorded apart."""
        visited: set[Node] = set(registers)
        nodes: list[Node] = []

        def visit(node: Node) -> None:
            if node in visited:
                return
            visited.add(node)
            if self._read(node, time, grid) is None:
                if self._crosses(node, time, grid):
                    self.crossing.append(node)
                    self._places[node].append(_SOON)
                    return
                if node.operation in REDUCTIONS:
                    return  # in a register
                for argument in node.arguments:
                    visit(argument)
            nodes.append(node)

        for end in ends:
            visit(end)
        return nodes

    def _crosses(self, node: Node, time: Time, grid: Grid) -> bool:
        """Return whether a value must come from memory: it has an earlier level or another block, or costs too much."""
        if node.operation in REDUCTIONS:
            return self._times[node][0] < time[0]
        if self._grids[node].lines > 1 and self._grids[node] != grid:
            return True
        return self._times[node] < time and node.operation in POINTWISE and self._dear(node, time, grid)

    def _dear(self, node: Node, time: Time, grid: Grid) -> bool:
        """Return whether more than a little arithmetic leads from what a loop can read to a value."""
        cost, visited, stack = 0, {node}, [node]
        while stack and cost <= _LIMIT:
            part = stack.pop()
            cost += POINTWISE[part.operation].cost if part.operation in POINTWISE else 0
            unread = [argument for argument in part.arguments if self._read(argument, time, grid) is None]
            new = [argument for argument in unread if argument not in visited]
            visited.update(new)
            stack += new
        return node.width > 1 and cost > _LIMIT


def _near(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Let rows share the scratch memory that is used within one phase only, so that it stays in near caches."""
    used = [{place.buffer for loop in phase.loops for place in loop.places} for phase in phases]
    products = [product for phase in phases for product in phase.products]
    multiplied = {place.buffer for product in products for place in (product.operand, product.result)}
    near = {
        buffer: buffer._replace(rate="part", stride=buffer.stride + _APART)
        for buffer in set().union(*used) - multiplied
        if buffer.rate == "row" and sum(buffer in some for some in used) == 1
    }
    return tuple(replace(phase, loops=tuple(loop.moved(near) for loop in phase.loops)) for phase in phases)


def _parts(node: Node, column: int) -> Iterator[tuple[Node, int]]:
    """Yield the parts of a concat and their first columns."""
    for part in node.arguments:
        yield part, column
        column += part.width


def _base(node: Node) -> Node:
    return node.arguments[0] if node.operation == "slice" else node
