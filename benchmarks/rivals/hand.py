"""An LSTM written by hand in the compiler's own language, both ways: what tracing and differentiating may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unspool.cells import Cell
from unspool.engine import Request
from unspool.engine.compiler import StepGraphs, lower_cell
from unspool.engine.compiler.ir import Builder, Graph, Node, verify
from unspool.engine.cpu import CpuPath

__all__ = ["HandPath"]


class HandPath(CpuPath):
    """The compiled path, with the graphs below in the place of the traced ones."""

    def __init__(self, cell: Cell[Any]) -> None:
        super().__init__()
        self._by_hand = _by_hand(lower_cell(cell), cell.hidden_size)

    def _graphs(self, request: Request) -> StepGraphs:
        return self._by_hand


def _by_hand(traced: StepGraphs, units: int) -> StepGraphs:
    """The traced plan's products of inputs and recurrent matrix, and steps forward and back as one writes them down."""
    (recurrent,) = (node.value[0] for node in traced.forward.nodes() if node.operation == "product")
    b = Builder(push_slices=True)

    def apply(operation: str, *arguments: Node | float) -> Node:
        return b.pointwise(operation, *arguments)

    def slope(gradient: Node, gate: Node) -> Node:
        return apply("mul", gradient, apply("mul", gate, apply("sub", 1.0, gate)))

    def steep(gradient: Node, value: Node) -> Node:
        return apply("mul", gradient, apply("sub", 1.0, apply("mul", value, value)))

    h, c = b.source("state", 0, units), b.source("state", 1, units)
    given = apply("add", b.source("input", 0, 4 * units), b.source("vector", 0, 4 * units))
    sums = apply("add", given, b.product(h, recurrent, 4 * units))
    gates = [b.slice(sums, gate * units, (gate + 1) * units) for gate in range(4)]
    i, f, g, o = (
        apply(kind, gate) for kind, gate in zip(("sigmoid", "sigmoid", "tanh", "sigmoid"), gates, strict=True)
    )
    new_c = apply("add", apply("mul", f, c), apply("mul", i, g))
    new_h = apply("mul", o, apply("tanh", new_c))
    forward = {("output", 0): new_h, ("state", 0): new_h, ("state", 1): new_c}
    forward |= {("saved", number): gate for number, gate in enumerate((i, f, g, o))}

    i, f, g, o = (b.source("saved", number, units) for number in range(4))
    shown = apply("tanh", b.source("after", 1, units))
    of_h = apply("add", b.source("output_gradient", 0, units), b.source("carry", 0, units))
    of_c = apply("add", b.source("carry", 1, units), steep(apply("mul", of_h, o), shown))
    of_gates = b.concat(
        (
            slope(apply("mul", of_c, g), i),
            slope(apply("mul", of_c, c), f),
            steep(apply("mul", of_c, i), g),
            slope(apply("mul", of_h, shown), o),
        )
    )
    backward = {
        ("carry", 0): b.product(of_gates, recurrent, units, transposed=True),
        ("carry", 1): apply("mul", of_c, f),
        ("input", 0): of_gates,
        ("matrix", recurrent): b.outer(h, of_gates),
        ("vector", 0): of_gates,
    }
    return replace(
        traced, forward=verify(Graph(tuple(forward.items()))), backward=verify(Graph(tuple(backward.items())))
    )
