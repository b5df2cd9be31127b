"""Steps of cells in ONNX: few nodes, since every node costs half a microsecond a step in ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from unspool.engine.compiler.ir.graph import OVER_BLOCKS, Node, block, ordered
from unspool.ship.onnx.writer import GraphWriter
from unspool.ship.step_graph import StepGraph

__all__ = ["StepEmitter", "results_of"]

_ONE = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "minimum": "Min",
    "maximum": "Max",
    "at_least": "Max",
    "at_most": "Min",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "exp": "Exp",
    "log": "Log",
    "sin": "Sin",
    "cos": "Cos",
    "erf": "Erf",
    "sqrt": "Sqrt",
    "softplus": "Softplus",
    "pow": "Pow",
}
_TRUTH = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


def results_of(step: StepGraph) -> list[Node]:
    """Return the nodes of the output and of each part of the new state."""
    states = step.wide.find("state")
    return [step.wide.find("output")[0], *(states[number] for number in range(len(step.shapes)))]


class StepEmitter:
    """Writes nodes of a step's graph, each value (rows, width), or (1, width) if it is the same for all rows.

    Args:
        writer: Where the nodes go.
        step: The step.
        values: Names of nodes that exist already, such as sources.
        like: Name of a value with all rows, (rows, any width).
    """

    def __init__(self, writer: GraphWriter, step: StepGraph, values: Mapping[Node, str], like: str) -> None:
        self.writer, self.step, self.like = writer, step, like
        self.values = dict(values)
        self._rows = dict.fromkeys(self.values, True)
        """Whether a value has all rows."""

    def emit(self, ends: Sequence[Node]) -> list[str]:
        """Write some nodes and all that they need; return their names, with all rows each."""
        nodes = ordered(ends, self.values.keys())
        uses = Counter(argument for node in nodes for argument in node.arguments)
        uses.update(ends)
        self._fused = _fused_products(nodes, uses)
        self._splits = _splits(nodes)
        hidden = set(self._fused.values())
        for node in nodes:
            if node not in hidden and node not in self.values:
                self.values[node] = self._node(node)
                self._rows[node] = node.operation not in ("constant", "source") and any(
                    self._rows[argument] for argument in node.arguments
                )
        return [self._with_rows(node) for node in ends]

    def _with_rows(self, node: Node) -> str:
        if self._rows[node]:
            return self.values[node]
        write = self.writer
        rows = write.op("Shape", self.like, start=0, end=1)
        shape = write.op("Concat", rows, write.ints(node.width), axis=0)
        return write.op("Expand", self.values[node], shape)

    def _node(self, node: Node) -> str:
        write, arguments = self.writer, [self.values.get(argument, "") for argument in node.arguments]
        operation = node.operation
        if node in self._fused:
            product = self._fused[node]
            (other,) = [argument for argument in node.arguments if argument is not product]
            self._rows[product] = self._rows[product.arguments[0]]
            return write.op("Gemm", self.values[product.arguments[0]], self._matrix(product), self.values[other])
        if operation == "source":
            assert node.value[0] == "vector"
            return write.constant(self.step.vectors[node.value[1]][None], "vector")
        if operation == "constant":
            return write.constant(np.full((1, 1), node.value[0], np.float32))
        if operation == "product":
            return write.op("MatMul", arguments[0], self._matrix(node))
        if operation == "slice" and node in self._splits:
            return self._split(self._splits[node])[node]
        if operation == "slice":
            start, stop = node.value
            return write.op("Slice", arguments[0], write.ints(start), write.ints(stop), write.ints(1))
        if operation == "concat":
            parts = [self._with_rows(argument) for argument in node.arguments]
            return write.op("Concat", *self._widened(node.arguments, parts), axis=1)
        if operation in ("sum", "max"):
            return self._reduced(operation, arguments[0], 1, keepdims=1)
        if operation in OVER_BLOCKS:
            kind, _, over = operation.partition("_")
            blocks = write.op("Reshape", self._full(node.arguments[0]), write.ints(-1, *block(node)))
            return self._reduced(kind, blocks, 2 if over == "inner" else 1, keepdims=0)
        if operation == "spread":
            lines, times = block(node)
            turned = write.op("Reshape", arguments[0], write.ints(-1, lines, 1))
            return write.op("Reshape", write.op("Tile", turned, write.ints(1, 1, times)), write.ints(-1, node.width))
        if operation == "tile":
            return write.op("Tile", arguments[0], write.ints(1, node.width // node.arguments[0].width))
        if operation == "roll":
            cut = node.width - node.value[0] % node.width
            parts = write.several("Split", 2, arguments[0], write.ints(cut, node.width - cut), axis=1)
            return write.op("Concat", *parts[::-1], axis=1)
        if operation == "expand":
            return write.op("Expand", arguments[0], write.ints(1, node.width))
        if operation == "detach":
            return arguments[0]
        return self._pointwise(operation, arguments)

    def _split(self, slices: Sequence[Node]) -> dict[Node, str]:
        """Write one node for slices of one value that do not overlap; return the name of each."""
        sizes, places, column = [], {}, 0
        for node in slices:
            start, stop = node.value
            if start > column:
                sizes.append(start - column)
            places[node] = len(sizes)
            sizes.append(stop - start)
            column = stop
        (base,) = slices[0].arguments
        if column < base.width:
            sizes.append(base.width - column)
        parts = self.writer.several("Split", len(sizes), self._full(base), self.writer.ints(*sizes), axis=1)
        names = {node: parts[place] for node, place in places.items()}
        self.values |= names
        self._rows |= dict.fromkeys(names, self._rows[base])
        return names

    def _widened(self, nodes: Iterable[Node], names: Sequence[str]) -> list[str]:
        """Return names of values that are as wide as their nodes; a constant is stored one wide."""
        write = self.writer
        return [
            write.op("Expand", name, write.ints(1, node.width)) if node.operation == "constant" else name
            for node, name in zip(nodes, names, strict=True)
        ]

    def _full(self, node: Node) -> str:
        (name,) = self._widened([node], [self.values[node]])
        return name

    def _pointwise(self, operation: str, arguments: Sequence[str]) -> str:
        write = self.writer
        if operation in _ONE:
            return write.op(_ONE[operation], *arguments)
        if operation in _TRUTH:
            return write.op("Cast", write.op(_TRUTH[operation], *arguments), to=1)
        if operation == "ne":
            return write.op("Cast", write.op("Not", write.op("Equal", *arguments)), to=1)
        if operation == "log1p":
            return write.op("Log", write.op("Add", arguments[0], write.number(1.0)))
        assert operation == "where", operation
        return write.op("Where", write.op("Cast", arguments[0], to=9), *arguments[1:])

    def _reduced(self, kind: str, value: str, axis: int, keepdims: int) -> str:
        name = "ReduceSum" if kind == "sum" else "ReduceMax"
        return self.writer.op(name, value, self.writer.ints(axis), keepdims=keepdims)

    def _matrix(self, product: Node) -> str:
        number, transposed = product.value
        matrix = self.step.matrices[number]
        return self.writer.constant(np.ascontiguousarray(matrix.T if transposed else matrix), "matrix")


def _fused_products(nodes: Sequence[Node], uses: Mapping[Node, int]) -> dict[Node, Node]:
    """Return the sums that add to a product which nothing else reads, with that product: one node for both."""
    fused: dict[Node, Node] = {}
    for node in nodes:
        if node.operation != "add":
            continue
        for argument in reversed(node.arguments):
            once = argument in nodes and uses[argument] == 1 and argument.width == node.width
            if argument.operation == "product" and once and node.arguments[0] is not node.arguments[1]:
                fused[node] = argument
                break
    return fused


def _splits(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return the slices that share a value, where those of one value do not overlap, in the order of columns."""
    groups: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.operation == "slice":
            groups.setdefault(node.arguments[0], []).append(node)
    splits: dict[Node, list[Node]] = {}
    for group in groups.values():
        group.sort(key=lambda node: node.value)
        apart = all(one.value[1] <= other.value[0] for one, other in pairwise(group))
        if len(group) > 1 and apart:
            splits |= dict.fromkeys(group, group)
    return splits
