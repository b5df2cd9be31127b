"""Builder: makes the nodes of a graph, each only once, and simplifies them on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unspool.engine.compiler.ir.graph import REDUCTIONS, REPEATS, Graph, Node, block, ordered
from unspool.engine.compiler.ir.operations import POINTWISE

__all__ = ["Builder"]


class Builder:
    """Makes nodes, each only once, and simplifies them on the way.

    Args:
        push_slices: Whether a slice of a sum becomes the sum of slices. Inside the loop that makes slices free; before
            the loop it would split products.
        detached: Whether `detach` is kept. After autodiff it has no meaning.
    """

    def __init__(self, *, push_slices: bool, detached: bool = True) -> None:
        self.push_slices, self.detached = push_slices, detached
        self.where = ""
        self._nodes: dict[Any, Node] = {}

    def _node(self, operation: str, arguments: tuple[Node, ...], width: int, value: tuple[Any, ...] = ()) -> Node:
        key = (operation, arguments, width, value)
        if key not in self._nodes:
            self._nodes[key] = Node(operation, arguments, width, value, self.where)
        return self._nodes[key]

    def source(self, kind: str, number: int, width: int) -> Node:
        """An argument of the step."""
        return self._node("source", (), width, (kind, number))

    def constant(self, number: float, width: int = 1) -> Node:
        """The same number in every column."""
        return self._node("constant", (), width, (float(number),))

    def pointwise(self, operation: str, *arguments: Node | float, width: int | None = None) -> Node:
        """An operation column by column; rows of width 1 count for all columns."""
        nodes = tuple(part if isinstance(part, Node) else self.constant(part) for part in arguments)
        width = max(node.width for node in nodes) if width is None else width
        nodes = tuple(node.arguments[0] if node.operation == "expand" else node for node in nodes)
        if operation != "expand" and width > max(node.width for node in nodes):
            return self.expand(self.pointwise(operation, *nodes), width)
        simpler = self._simpler(operation, nodes, width)
        return self._node(operation, nodes, width) if simpler is None else simpler

    def _simpler(self, operation: str, nodes: tuple[Node, ...], width: int) -> Node | None:
        if (operation == "expand" and nodes[0].width == width) or (operation == "detach" and not self.detached):
            return nodes[0]
        if all(node.operation == "constant" for node in nodes):
            return self.constant(POINTWISE[operation].number(*(node.value[0] for node in nodes)), width)
        if operation in ("add", "mul"):
            for one, other in (nodes, nodes[::-1]):
                if one.operation == "constant" and one.value[0] == (0.0 if operation == "add" else 1.0):
                    return self.expand(other, width)
        if operation == "add" and nodes[0].operation == nodes[1].operation in ("sum", "sum_inner", "sum_outer"):
            (one,), (other,) = nodes[0].arguments, nodes[1].arguments
            if (one.width, nodes[0].width) == (other.width, nodes[1].width):
                # adding up the lanes of a register is dear: once is enough
                return self._node(nodes[0].operation, (self.pointwise("add", one, other),), width)
        repeats = {(node.operation, node.arguments[0].width) for node in nodes if node.width > 1 and node.arguments}
        if len(repeats) == 1 and not any(node.width > 1 and not node.arguments for node in nodes):
            ((repeat, narrow),) = repeats
            if repeat in REPEATS:  # before it is repeated there is less of it
                inside = [node if node.width == 1 else node.arguments[0] for node in nodes]
                return self._repeat(repeat, self.pointwise(operation, *inside, width=narrow), width // narrow)
        nothing = nodes[-1].operation == "constant" and nodes[-1].value[0] == (0.0 if operation == "sub" else 1.0)
        return self.expand(nodes[0], width) if operation in ("sub", "div") and nothing else None

    def expand(self, node: Node, width: int) -> Node:
        """A row of width 1, repeated in every column."""
        return self.pointwise("expand", node, width=width)

    def product(self, node: Node, matrix: int, width: int, transposed: bool = False) -> Node:
        """A row times a matrix."""
        return self._node("product", (node,), width, (matrix, transposed))

    def reduce(self, operation: str, node: Node) -> Node:
        """The sum or the maximum of all columns, 1 wide."""
        if node.operation in (f"{operation}_inner", f"{operation}_outer"):
            return self.reduce(operation, node.arguments[0])
        return node if node.width == 1 else self._node(operation, (node,), 1)

    def over_lines(self, operation: str, node: Node, lines: int) -> Node:
        """The sum or the maximum of each line of a block."""
        if lines in (1, node.width):
            return self.reduce(operation, node) if lines == 1 else node
        return self._node(f"{operation}_inner", (node,), lines)

    def over_columns(self, operation: str, node: Node, columns: int) -> Node:
        """The sum or the maximum of each column of a block."""
        if columns in (1, node.width):
            return self.reduce(operation, node) if columns == 1 else node
        return self._node(f"{operation}_outer", (node,), columns)

    def spread(self, node: Node, times: int) -> Node:
        """Each number of a row `times` times, one behind the other."""
        return self._repeat("spread", node, times)

    def tile(self, node: Node, times: int) -> Node:
        """A row `times` times, one behind the other."""
        return self._repeat("tile", node, times)

    def _repeat(self, operation: str, node: Node, times: int) -> Node:
        if times == 1:
            return node
        if node.width == 1 or node.operation == "expand":
            return self.expand(node.arguments[0] if node.operation == "expand" else node, node.width * times)
        if node.operation == "constant":
            return self.constant(node.value[0], node.width * times)
        return self._node(operation, (node,), node.width * times)

    def roll(self, node: Node, by: int) -> Node:
        """A row rolled by some columns."""
        by %= node.width
        by -= node.width * (2 * by > node.width)  # the shorter way round
        if by == 0 or node.operation in ("constant", "expand"):
            return node
        return self._node("roll", (node,), node.width, (by,))

    def outer(self, left: Node, right: Node) -> Node:
        """A matrix's gradient: the outer product of two rows, summed over all rows after the loop."""
        return self._node("outer", (left, right), 0)

    def slice(self, node: Node, start: int, stop: int) -> Node:
        """A range of columns."""
        if (start, stop) == (0, node.width):
            return node
        if node.operation == "slice":
            return self.slice(node.arguments[0], node.value[0] + start, node.value[0] + stop)
        if node.operation == "constant":
            return self.constant(node.value[0], stop - start)
        if node.operation == "concat":
            return self.concat(self._overlap(node, start, stop))
        if node.operation in POINTWISE and self.push_slices:
            parts = [part if part.width == 1 else self.slice(part, start, stop) for part in node.arguments]
            return self.pointwise(node.operation, *parts, width=stop - start)
        if node.operation in REPEATS:
            return self._slice_repeated(node, start, stop)
        if node.operation in ("sum_inner", "max_inner") and self.push_slices:
            line = node.arguments[0].width // node.width
            part = self.slice(node.arguments[0], start * line, stop * line)
            return self.over_lines(node.operation.removesuffix("_inner"), part, stop - start)
        return self._node("slice", (node,), stop - start, (start, stop))

    def _slice_repeated(self, node: Node, start: int, stop: int) -> Node:
        """Columns of a repeated block: whole lines of it, and the rest of a line at either end."""
        (row,), (_, columns) = node.arguments, block(node)
        first, last = -(-start // columns), stop // columns
        if first > last:  # within a line
            return self._of_line(node, start // columns, start % columns, stop % columns)
        parts = []
        if start < first * columns:
            parts.append(self._of_line(node, first - 1, start % columns, columns))
        if first < last and node.operation == "spread":
            parts.append(self.spread(self.slice(row, first, last), columns))
        elif first < last:
            parts.append(self.tile(row, last - first))
        if last * columns < stop:
            parts.append(self._of_line(node, last, 0, stop % columns))
        return self.concat(parts)

    def _of_line(self, node: Node, line: int, start: int, stop: int) -> Node:
        (row,) = node.arguments
        if node.operation == "tile":
            return self.slice(row, start, stop)
        return self.expand(self.slice(row, line, line + 1), stop - start)

    def _overlap(self, node: Node, start: int, stop: int) -> list[Node]:
        parts, begin = [], 0
        for part in node.arguments:
            first, last = max(start, begin), min(stop, begin + part.width)
            if first < last:
                parts.append(self.slice(part, first - begin, last - begin))
            begin += part.width
        return parts

    def concat(self, nodes: Iterable[Node]) -> Node:
        """Rows side by side; neighbouring slices of one row become one slice again."""
        parts: list[Node] = []
        for node in nodes:
            for part in node.arguments if node.operation == "concat" else (node,):
                if parts and _touch(parts[-1], part):
                    before = parts.pop()
                    part = self.slice(part.arguments[0], before.value[0], part.value[1])
                parts.append(part)
        return parts[0] if len(parts) == 1 else self._node("concat", tuple(parts), sum(part.width for part in parts))

    def rebuild(self, node: Node, arguments: tuple[Node, ...]) -> Node:
        """The same operation on other arguments."""
        self.where = node.where
        if node.operation in POINTWISE:
            return self.pointwise(node.operation, *arguments, width=node.width)
        if node.operation == "slice":
            return self.slice(arguments[0], *node.value)
        if node.operation == "concat":
            return self.concat(arguments)
        if node.operation in REDUCTIONS:
            return self.reduce(node.operation, arguments[0])
        if node.operation in REPEATS:
            return self._repeat(node.operation, arguments[0], node.width // arguments[0].width)
        if node.operation == "roll":
            return self.roll(arguments[0], *node.value)
        return self._node(node.operation, arguments, node.width, node.value)

    def copy(self, graph: Graph, replaced: dict[Node, Node] | None = None) -> Graph:
        """Build a graph again, with some nodes replaced by others."""
        new = dict(replaced or {})
        for node in ordered((end for _, end in graph.results), new.keys()):
            new[node] = self.rebuild(node, tuple(new[argument] for argument in node.arguments))
        return Graph(tuple((name, new[node]) for name, node in graph.results))


def _touch(left: Node, right: Node) -> bool:
    both = left.operation == right.operation == "slice"
    return both and left.arguments == right.arguments and bool(left.value[1] == right.value[0])
