"""The IR: what one step computes, as a small closed graph of immutable nodes.

A node is one row of numbers per sequence, `width` wide; a row of width 1 counts for every column (it broadcasts). A
block of A lines of B numbers is a row too, line behind line: `spread` and `tile` make a block of a row, and sums or
maxima along its lines (`inner`) or across them (`outer`) make a row of a block. A `Builder` returns the same node for
the same request. `verify` is the written spec and runs after every pass; `interpreter.py` gives a graph its meaning;
every node knows its line of the cell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["OVER_BLOCKS", "REDUCTIONS", "REPEATS", "RESULTS", "SOURCES", "Graph", "Node", "block", "ordered"]

SOURCES = ("input", "state", "vector", "after", "saved", "output_gradient", "carry")
"""Arguments of a step. Forward: the hoisted inputs of this step, the states before it, and vectors that are the same
for all rows. Backward also: the states after the step, what forward saved, and the gradients of its results."""
RESULTS = ("output", "state", "saved", "input", "vector", "matrix", "carry")
"""Results of a step. `input`, `vector` and `matrix` are gradients; the last two are summed over all rows."""
REDUCTIONS = ("sum", "max")
"""Over a whole row."""
OVER_BLOCKS = ("sum_inner", "max_inner", "sum_outer", "max_outer")
"""Over each line of a block, A times B to A, or over each of its columns, to B."""
REPEATS = ("spread", "tile")
"""To a block: each number of a row B times, or the whole row A times."""


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One value of a step; compared by identity."""

    operation: str
    arguments: tuple[Node, ...]
    width: int
    value: tuple[Any, ...] = ()
    """Of a source: its kind and number. Of a constant: the number. Of a slice: first and last column, exclusive. Of a
    product: the matrix's number and whether it is transposed. Of a roll: the number of columns."""
    where: str = ""
    """`file:line` of the cell."""

    def __repr__(self) -> str:
        return f"<{self.operation}{list(self.value) or ''} {self.width} wide, {self.where}>"


@dataclass(frozen=True)
class Graph:
    """Named results, and through them all nodes that they need."""

    results: tuple[tuple[tuple[str, int], Node], ...]

    def nodes(self) -> list[Node]:
        """Return all nodes, each after its arguments."""
        return ordered(node for _, node in self.results)

    def find(self, kind: str) -> dict[int, Node]:
        """Return the results of one kind by number."""
        return {number: node for (name, number), node in self.results if name == kind}

    def __str__(self) -> str:
        """One line for each node: name, width, operation, and the line of the cell."""
        names: dict[Node, str] = {}
        lines: list[str] = []
        for node in self.nodes():
            if node.operation == "source":
                names[node] = "{}{}".format(*node.value)
            elif node.operation == "constant":
                names[node] = f"{node.value[0]:g}"
            else:
                names[node] = f"v{len(lines)}"
                arguments = ", ".join(names[argument] for argument in node.arguments) + _suffix(node)
                call = f"{node.operation}({arguments})"
                lines.append(f"{names[node]:>4} {node.width:>5}  {call:<40} {node.where}")
        width = max((node.width for _, node in self.results), default=0)
        ends = [f"{name}{number} = {names[node]}" for (name, number), node in self.results if width]
        return "\n".join([*(line.rstrip() for line in lines), *ends])


def _suffix(node: Node) -> str:
    if node.operation == "slice":
        return " [{}:{}]".format(*node.value)
    if node.operation == "product":
        return f" @ matrix{node.value[0]}" + (".T" if node.value[1] else "")
    return f" by {node.value[0]}" if node.operation == "roll" else ""


def block(node: Node) -> tuple[int, int]:
    """Return lines and columns of the block that a node makes of a row, or reduces."""
    (argument,) = node.arguments
    if node.operation in REPEATS:
        times = node.width // argument.width
        return (argument.width, times) if node.operation == "spread" else (times, argument.width)
    rest = argument.width // node.width
    return (node.width, rest) if node.operation.endswith("inner") else (rest, node.width)


def ordered(ends: Iterable[Node], done: Collection[Node] = ()) -> list[Node]:
    """Return some nodes and all that they need, each after its arguments; without those in `done`."""
    visited = set(done)
    order: list[Node] = []
    stack = [(node, False) for node in reversed(list(ends))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in visited:
            visited.add(node)
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(node.arguments) if argument not in visited)
    return order
