"""Hoist: products that do not depend on the state run once for all steps, before the loop.

First sums are sorted, `(W x + b) + (U h + d)` into `(W x + (b + d)) + U h`, so that `b + d` is one vector of the loop.
Before the loop torch's own operations run under autograd, which gives the gradients of inputs and input weights; the
loop takes the results as new inputs and vectors. Pointwise operations stay in the loop, where they cost no pass through
memory, unless a hoisted product needs them. So does adding a bias, whose gradient the loop then sums on its backward
pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import REPEATS, Graph, Node
from unspool.engine.compiler.ir.verify import verify

__all__ = ["Prologue", "hoist", "sort_sums"]

Rate = Literal["weights", "inputs", "state"]
"""How often a value changes: never within a call, with every step, or with the state."""


def _rates(graph: Graph) -> dict[Node, Rate]:
    """Return how often each node of a graph changes."""
    rates: dict[Node, Rate] = {}
    for node in graph.nodes():
        if node.operation == "source":
            kind = node.value[0]
            rates[node] = "weights" if kind == "vector" else "inputs" if kind == "input" else "state"
        else:
            arguments = {rates[argument] for argument in node.arguments}
            rates[node] = "state" if "state" in arguments else "inputs" if "inputs" in arguments else "weights"
    return rates


def sort_sums(graph: Graph) -> Graph:
    """Sort the terms of sums: first those that change seldom."""
    speed = _rates(graph)
    uses = Counter(argument for node in graph.nodes() for argument in node.arguments)
    uses.update(node for _, node in graph.results)
    builder = Builder(push_slices=False)
    new: dict[Node, Node] = {}

    def terms(node: Node) -> list[Node]:
        parts = []
        for argument in node.arguments:
            single = argument.operation == "add" and uses[argument] == 1 and argument.width == node.width
            parts += terms(argument) if single else [argument]
        return parts

    for node in graph.nodes():
        order = _order(terms(node), speed) if node.operation == "add" else []
        if order:
            builder.where = node.where
            sums = [_total(builder, [new[term] for term in group]) for group in order]
            new[node] = builder.expand(_total(builder, sums), node.width)
        else:
            new[node] = builder.rebuild(node, tuple(new[argument] for argument in node.arguments))
    return verify(Graph(tuple((name, new[node]) for name, node in graph.results)))


def _total(builder: Builder, terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = builder.pointwise("add", total, term)
    return total


def _order(terms: list[Node], speed: Mapping[Node, Rate]) -> list[list[Node]]:
    """Return groups of terms in the order of addition; empty if the sum may stay as it is."""
    weights, inputs, state = (
        [term for term in terms if speed[term] == rate] for rate in ("weights", "inputs", "state")
    )
    products = [term for term in inputs if term.operation == "product"]
    if not products:
        return []  # adding to anything else before the loop would only copy it
    others = [term for term in inputs if term not in products]
    return [group for group in (products[:1], weights, products[1:], others, state) if group]


@dataclass(frozen=True)
class Prologue:
    """What runs before the loop."""

    inputs: tuple[Node, ...]
    """The loop's inputs, which change with every step."""
    vectors: tuple[Node, ...]
    """The loop's vectors, which depend on weights alone."""

    @cached_property
    def order(self) -> tuple[list[Node], list[Node]]:
        """Nodes to compute, each after its arguments: first those that depend on weights alone, then the rest."""
        graph = Graph(tuple((("input", number), node) for number, node in enumerate((*self.inputs, *self.vectors))))
        speed, nodes = _rates(graph), graph.nodes()
        return (
            [node for node in nodes if speed[node] == "weights"],
            [node for node in nodes if speed[node] != "weights"],
        )


def hoist(graph: Graph, *, products: bool = True, push_slices: bool = True) -> tuple[Prologue, Graph]:
    """Split a step into the prologue and the loop.

    Args:
        graph: The step.
        products: Whether products of inputs leave the loop; for a single step that gains nothing.
        push_slices: Whether a slice of a sum becomes the sum of slices, see `Builder`.
    """
    speed = _rates(graph)
    inputs: list[Node] = []
    vectors: list[Node] = []
    builder = Builder(push_slices=push_slices)
    new: dict[Node, Node] = {}

    def hoisted(node: Node) -> Node:
        kind, sources = ("vector", vectors) if speed[node] == "weights" else ("input", inputs)
        if node not in sources:
            sources.append(node)
        return builder.source(kind, sources.index(node), node.width)

    def visit(node: Node) -> Node:
        if node not in new:
            builder.where = node.where
            leaves = node.operation == "source" or (products and node.operation == "product")
            if (speed[node] == "inputs" and leaves) or (
                speed[node] == "weights" and node.operation not in ("constant", "slice", "expand", *REPEATS)
            ):
                new[node] = hoisted(node)
            else:
                new[node] = builder.rebuild(node, tuple(visit(argument) for argument in node.arguments))
        return new[node]

    for node in graph.nodes():  # in this order no visit goes deep
        if speed[node] == "state" or (speed[node] == "inputs" and not products):
            visit(node)
    loop = Graph(tuple((name, visit(node)) for name, node in graph.results))
    return Prologue(tuple(inputs), tuple(vectors)), verify(loop)
