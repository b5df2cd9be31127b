"""Hoist: what does not look at the state runs once for all steps, before the loop.

First sums are sorted, `(W x + b) + (U h + d)` into `(W x + (b + d)) + U h`, so that as much as can leaves the loop.
Before the loop torch's own operations run under autograd, which gives the gradients of inputs, input weights and
biases; the loop is handed the results as new inputs and vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unspool.engine.cpu.graph import Builder, Graph, Node, check
from unspool.engine.cpu.interpret import evaluate

__all__ = ["Before", "hoist", "sort_sums"]

Rate = Literal["weights", "inputs", "state"]
"""How often a value changes: never within a call, with every step, or with the state."""


def rates(graph: Graph) -> dict[Node, Rate]:
    """How often each node of a graph changes."""
    found: dict[Node, Rate] = {}
    for node in graph.nodes():
        if node.operation == "source":
            kind = node.value[0]
            found[node] = "weights" if kind == "vector" else "inputs" if kind == "input" else "state"
        else:
            given = {found[argument] for argument in node.arguments}
            found[node] = "state" if "state" in given else "inputs" if "inputs" in given else "weights"
    return found


def sort_sums(graph: Graph) -> Graph:
    """Add up what changes seldom first."""
    speed = rates(graph)
    uses = Counter(argument for node in graph.nodes() for argument in node.arguments)
    uses.update(node for _, node in graph.results)
    builder = Builder(push_slices=False)
    new: dict[Node, Node] = {}

    def terms(node: Node) -> list[Node]:
        found = []
        for argument in node.arguments:
            single = argument.operation == "add" and uses[argument] == 1 and argument.width == node.width
            found += terms(argument) if single else [argument]
        return found

    for node in graph.nodes():
        groups = _grouped(terms(node), speed) if node.operation == "add" else []
        if groups:
            builder.where = node.where
            sums = [_total(builder, [new[term] for term in group]) for group in groups]
            new[node] = builder.expand(_total(builder, sums[::-1]), node.width)
        else:
            new[node] = builder.rebuild(node, tuple(new[argument] for argument in node.arguments))
    return check(Graph(tuple((name, new[node]) for name, node in graph.results)))


def _total(builder: Builder, terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = builder.pointwise("add", total, term)
    return total


def _grouped(terms: list[Node], speed: Mapping[Node, Rate]) -> list[list[Node]]:
    weights, inputs, state = ([term for term in terms if speed[term] == rate] for rate in ("weights", "inputs", "state"))
    if all(term.operation in ("slice", "source") for term in inputs):
        return []  # adding to a part of what is hoisted would only copy it
    return [group for group in (inputs + weights, state) if group]


@dataclass(frozen=True)
class Before:
    """What runs before the loop."""

    inputs: tuple[Node, ...]
    """The loop's inputs, which change with every step."""
    vectors: tuple[Node, ...]
    """The loop's vectors, which depend on weights alone."""

    def run(
        self, inputs: Sequence[Tensor], vectors: Sequence[Tensor], matrices: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Compute both.

        Args:
            inputs: The step's input and context of all steps, each (rows, width).
            vectors: The weights that are the same for all rows, each (width,).
            matrices: The matrices by number.

        Returns:
            The loop's inputs, each (rows, width), and its vectors, each (1, width).
        """
        known: dict[Node, Tensor] = {}
        for node in Graph(tuple((("input", 0), end) for end in (*self.inputs, *self.vectors))).nodes():
            if node.operation == "source":
                kind, number = node.value
                known[node] = inputs[number] if kind == "input" else vectors[number].unsqueeze(0)
            elif node.operation == "constant":
                known[node] = inputs[0].new_full((1, node.width), node.value[0])
        for node in self.inputs:
            if _is_affine(node):
                product, shift = node.arguments
                (row, bias) = evaluate((product.arguments[0], shift), known, matrices)
                known[node] = torch.addmm(bias, row, matrices[product.value[0]])
        rows = inputs[0].shape[0]
        found = evaluate(self.inputs, known, matrices)
        return [part.expand(rows, -1) for part in found], evaluate(self.vectors, known, matrices)


def _is_affine(node: Node) -> bool:
    """Whether it is a product and a shift that is the same for all rows, which torch adds in one go."""
    if node.operation != "add" or node.arguments[0].operation != "product":
        return False
    shift = node.arguments[1]
    return set(rates(Graph(((("vector", 0), shift),))).values()) == {"weights"} and shift.width == node.width


def hoist(graph: Graph) -> tuple[Before, Graph]:
    """Split a step in what runs before the loop and what is left in it."""
    speed = rates(graph)
    inputs: list[Node] = []
    vectors: list[Node] = []
    builder = Builder(push_slices=True)
    new: dict[Node, Node] = {}

    def boundary(node: Node) -> Node:
        """A hoisted value as the loop sees it; a slice stays a slice of what is hoisted."""
        builder.where = node.where
        if node.operation == "constant":
            return builder.constant(node.value[0], node.width)
        if node.operation in ("slice", "expand"):
            return builder.rebuild(node, (boundary(node.arguments[0]),))
        kind, known = ("vector", vectors) if speed[node] == "weights" else ("input", inputs)
        if node not in known:
            known.append(node)
        return builder.source(kind, known.index(node), node.width)

    def visit(node: Node) -> Node:
        if node not in new:
            if speed[node] != "state":
                new[node] = boundary(node)
            else:
                arguments = tuple(visit(argument) for argument in node.arguments)
                new[node] = builder.rebuild(node, arguments)
        return new[node]

    for node in graph.nodes():  # in this order no visit goes deep
        if speed[node] == "state":
            visit(node)
    loop = Graph(tuple((name, visit(node)) for name, node in graph.results))
    return Before(tuple(inputs), tuple(vectors)), check(loop)
