"""Graph of a cell: one step as nodes and edges, from the graph that the compiler traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

from unspool.cells import Cell, watch
from unspool.engine import explain
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.frontend.trace import Refusal, trace_names
from unspool.engine.compiler.ir.graph import Node
from unspool.inspection.equation import equation_of, source_of
from unspool.inspection.recorder import Recording
from unspool.inspection.weight_labels import NAMES, SIGNS, WeightLabel, in_brackets, weight_labels
from unspool.randomness import keep_global_state

__all__ = ["CellGraph", "GraphEdge", "GraphNode", "cell_graph"]

_LONGEST = 30  # letters of an expression before a part of it becomes a node of its own
_COMPARISONS = {"eq": " = ", "ne": " ≠ ", "lt": " < ", "le": " ≤ ", "gt": " > ", "ge": " ≥ "}
_SILENT = ("expand", "detach")


@dataclass(frozen=True)
class GraphNode:
    """A node of a cell's step."""

    id: str
    kind: str
    """`input`, `state` (before the step), `operation`, `step` (of a cell that can't be traced), or `output`."""
    label: str
    """Name of the value: that under which the cell records it, of the input, or of a part of the state."""
    expression: str
    """How the value follows from its arguments."""
    shape: tuple[int, ...]
    """Shape of the value, without the batch."""
    weights: tuple[str, ...] = ()
    """Names of the weights that the node uses."""
    operations: int = 0
    """Number of operations of the compiler's graph in the node."""
    where: str = ""
    """`file:line` of the cell."""

    def record(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return {**vars(self), "shape": list(self.shape), "weights": list(self.weights)}


@dataclass(frozen=True)
class GraphEdge:
    """An edge from one node to another."""

    source: str
    target: str
    loop: bool = False
    """Whether the edge leads to the state before the next step."""

    def record(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class CellGraph:
    """One step of a cell as nodes and edges, folded: the loop edges lead back to the state."""

    name: str
    """Name of the cell's class."""
    nodes: tuple[GraphNode, ...]
    """The nodes, each after its arguments."""
    edges: tuple[GraphEdge, ...]
    parts: tuple[str, ...]
    """Names of the parts of the state."""
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shape of each weight; every step uses the same weights."""
    equation: tuple[str, ...] = ()
    """Lines of the equation, in LaTeX, from the class's docstring."""
    source: str = ""
    """Source of the equation."""
    engine: str = ""
    """Path of the engine that runs the cell, and why not a faster one."""
    refusal: str = ""
    """Why the compiler can't trace the step; empty if the nodes come from its trace."""

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            **vars(self),
            "nodes": [node.record() for node in self.nodes],
            "edges": [edge.record() for edge in self.edges],
            "parts": list(self.parts),
            "weights": {name: list(shape) for name, shape in self.weights.items()},
            "equation": list(self.equation),
        }


def cell_graph(cell: Cell[Any]) -> CellGraph:
    """Return the graph of one step of a cell.

    The nodes are those of the graph that the compiler traces. Operations with a single use join the expression of the
    node that uses them, unless the cell records their value or the expression grows too long. A cell that the compiler
    can't trace has a node for its step, and one for each value that it records, with the reason in `refusal`.
    """
    parts = tuple(cell.initial_state(1)._fields)
    owned = {name.lstrip("."): tuple(weight.shape) for name, weight in weights(cell).items()}
    refusal = ""
    try:
        trace, names = trace_names(cell)
    except Refusal as reason:
        refusal = str(reason)
        nodes, edges = _recorded(cell, parts, tuple(owned))
    else:
        origins = weight_labels(trace.tape, weights(cell))
        folding = _Folding(cell, trace.graph.results, names, origins, parts, trace.shapes)
        nodes, edges = folding.fold(trace.graph.nodes())
    kind = type(cell)
    return CellGraph(
        kind.__name__, nodes, edges, parts, owned, equation_of(kind), source_of(kind), _engine(cell), refusal
    )


def _engine(cell: Cell[Any]) -> str:
    report = explain(cell)
    return f"{report.backend} path: {report.reason}"


class _Folding:
    """Folds the compiler's graph: operations with one use become part of the expression that uses them."""

    def __init__(
        self,
        cell: Cell[Any],
        results: Iterable[tuple[tuple[str, int], Node]],
        names: Mapping[str, Node],
        origins: tuple[list[WeightLabel], list[WeightLabel]],
        parts: tuple[str, ...],
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        self._cell, self._results, self._parts, self._shapes = cell, list(results), parts, shapes
        self._matrices, self._vectors = origins
        self._named: dict[Node, str] = {}
        for name, node in names.items():
            self._named.setdefault(_core(node), name)
        self._uses: dict[Node, int] = {}
        self._text: dict[Node, str] = {}
        self._ids: dict[Node, str] = {}
        self._inside: dict[Node, list[Node]] = {}
        self._nodes: list[GraphNode] = []
        self._edges: list[GraphEdge] = []
        self._taken: set[str] = set()

    def fold(self, nodes: list[Node]) -> tuple[tuple[GraphNode, ...], tuple[GraphEdge, ...]]:
        """Return nodes and edges."""
        ends = [_core(node) for _, node in self._results]
        for node in nodes:
            for argument in node.arguments:
                if node.operation not in _SILENT:
                    core = _core(argument)
                    self._uses[core] = self._uses.get(core, 0) + 1
        self._sources(nodes)
        for node in nodes:
            if node.operation in ("source", "constant", *_SILENT):
                continue
            text = self._expression(node)
            alone = self._uses.get(node, 0) > 1 or node in self._named or node in ends or len(text) > _LONGEST
            if node.operation == "slice" and node not in ends and node not in self._named:
                alone = False  # some columns of a value are written as such
            self._text[node] = text
            if alone:
                self._add(node, text)
        self._finish()
        return tuple(self._nodes), tuple(self._edges)

    def _sources(self, nodes: list[Node]) -> None:
        """Add the input and the state; of the state all parts, the unused too."""
        sources = {node.value: node for node in nodes if node.operation == "source"}
        places: list[tuple[str, int, str, tuple[int, ...]]] = [("input", 0, "x", (self._cell.input_size,))]
        places += [("state", number, part, self._shapes[number]) for number, part in enumerate(self._parts)]
        for kind, number, label, shape in places:
            id = label if kind == "input" else f"{label}(t-1)"
            title = "x(t)" if kind == "input" else f"{label}(t−1)"
            self._nodes.append(GraphNode(id, kind, title, "", shape))
            self._taken.add(id)
            if (node := sources.get((kind, number))) is not None:
                self._ids[node], self._text[node] = id, label if kind == "input" else f"{label}ₜ₋₁"

    def _add(self, node: Node, text: str) -> None:
        number = sum(each.kind == "operation" for each in self._nodes) + 1
        recorded = self._named.get(node, "")
        label = recorded or next(
            (self._parts[end] for (kind, end), result in self._results if kind == "state" and _core(result) is node), ""
        )
        label = label or ("output" if any(_core(end) is node for _, end in self._results) else f"a{number}")
        id = label if label not in self._taken else f"{label} {number}"
        inside = self._members(node)
        used = sorted({name for member in inside for name in self._weights(member)})
        self._taken.add(id)
        shape = next((s for part, s in zip(self._parts, self._shapes, strict=True) if part == label), (node.width,))
        shape = shape if prod(shape) == node.width else (node.width,)
        self._nodes.append(GraphNode(id, "operation", label, text, shape, tuple(used), len(inside), node.where))
        arguments = (self._ids[_core(argument)] for member in inside for argument in member.arguments
                     if _core(argument) in self._ids)  # fmt: skip
        self._edges += [GraphEdge(argument, id) for argument in dict.fromkeys(arguments)]
        self._ids[node], self._text[node] = id, label

    def _members(self, node: Node) -> list[Node]:
        """Return a node and all operations that its expression holds."""
        members, stack = [], [node]
        while stack:
            member = stack.pop()
            if member.operation not in ("source", "constant", *_SILENT):
                members.append(member)
            inner = (_core(argument) for argument in member.arguments)
            stack += [argument for argument in inner if argument not in self._ids and argument not in members]
        return members

    def _weights(self, node: Node) -> list[str]:
        """Return the names of the weights that an operation reads."""
        used = [self._matrices[node.value[0]]] if node.operation == "product" else []
        sources = [core for core in map(_core, node.arguments) if core.operation == "source"]
        used += [self._vectors[core.value[1]] for core in sources if core.value[0] == "vector"]
        return [name for weight in used for name in weight.names]

    def _expression(self, node: Node) -> str:
        texts = [self._argument(argument) for argument in node.arguments]
        operation = node.operation
        if operation == "slice":
            start, stop = node.value
            columns = f"{stop}" if stop == start + 1 else f"{start + 1}–{stop}"
            return f"{in_brackets(texts[0])}[{columns}]"
        if operation == "product":
            return f"{self._matrices[node.value[0]].label} · {in_brackets(texts[0])}"
        if operation in SIGNS or operation in _COMPARISONS:
            sign = SIGNS.get(operation) or _COMPARISONS[operation]
            left, right = texts
            if operation != "add":
                left = in_brackets(left) if operation in ("mul", "div") else left
                right = in_brackets(right)
            return f"{left}{sign}{right}"
        if operation == "neg":
            return f"−{in_brackets(texts[0])}"
        if operation == "pow":
            return f"{in_brackets(texts[0])}^{texts[1]}"
        if operation == "roll":
            return f"roll({texts[0]}, {node.value[0]})"
        return f"{NAMES.get(operation, operation)}({', '.join(texts)})"

    def _argument(self, argument: Node) -> str:
        core = _core(argument)
        if core.operation == "constant":
            return f"{core.value[0]:.4g}"
        if core.operation == "source" and core.value[0] == "vector":
            vector: WeightLabel = self._vectors[core.value[1]]
            return vector.label
        if core.operation == "source" and core not in self._text:
            return f"context {core.value[1]}"
        return self._text[core]

    def _finish(self) -> None:
        """Add the loop edges, and the output if it is no part of the state."""
        ids = {end: self._ids.get(_core(node), "") for end, node in self._results}
        for number, part in enumerate(self._parts):
            end = ids["state", number]
            if end:
                self._edges.append(GraphEdge(end, f"{part}(t-1)", loop=True))
        self._nodes.append(GraphNode("output(t)", "output", "output(t)", "", (self._cell.hidden_size,)))
        if ids["output", 0]:
            self._edges.append(GraphEdge(ids["output", 0], "output(t)"))


def _core(node: Node) -> Node:
    """Return the value that a node passes on unchanged."""
    while node.operation in _SILENT:
        (node,) = node.arguments
    return node


def _recorded(
    cell: Cell[Any], parts: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[GraphNode, ...], tuple[GraphEdge, ...]]:
    """Return the graph of a cell without a trace, from what one step records."""
    recording = Recording()
    like = next(iter(weights(cell).values()), torch.empty(0))
    with torch.no_grad(), keep_global_state(), watch(cell, recording):
        state = cell.initial_state(1)
        cell.step(like.new_zeros(1, cell.input_size), state)
    shapes = {part: tuple(value.shape[1:]) for part, value in zip(parts, state, strict=True)}
    nodes = [GraphNode("x", "input", "x(t)", "", (cell.input_size,))]
    nodes += [GraphNode(f"{part}(t-1)", "state", f"{part}(t−1)", "", shapes[part]) for part in parts]
    nodes.append(GraphNode("step", "step", f"{type(cell).__name__}.step", "not traced", (), names))
    edges = [GraphEdge(node.id, "step") for node in nodes[:-1]]
    for name, values in recording.stacked().items():
        nodes.append(GraphNode(f"recorded {name}", "operation", name, "recorded", tuple(values.shape[2:])))
        edges.append(GraphEdge("step", f"recorded {name}"))
    for part in parts:
        nodes.append(GraphNode(part, "operation", part, "", shapes[part]))
        edges += [GraphEdge("step", part), GraphEdge(part, f"{part}(t-1)", loop=True)]
    nodes.append(GraphNode("output(t)", "output", "output(t)", "", (cell.hidden_size,)))
    edges.append(GraphEdge("step", "output(t)"))
    return tuple(nodes), tuple(edges)
