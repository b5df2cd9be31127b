"""Autodiff: from a step's graph to the graph of its gradients.

One step backward takes the gradient of its output and, as `carry`, of the states after it. It returns the carry of the
states before it, and the gradients of inputs, vectors and matrices.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, Graph, Node
from unspool.engine.compiler.ir.operations import POINTWISE
from unspool.engine.compiler.ir.verify import verify

__all__ = ["differentiate", "forget_detached"]


def differentiate(forward: Graph, builder: Builder) -> Graph:
    """Return the graph of one step backward, which still shares nodes with the step forward.

    Args:
        forward: The step.
        builder: The builder of the step, so that no node is built twice.
    """
    pieces: dict[Node, list[tuple[int, Node]]] = defaultdict(list)  # first column and gradient
    results: list[tuple[tuple[str, int], Node]] = []
    for (kind, number), node in forward.results:
        source = "output_gradient" if kind == "output" else "carry"
        pieces[node].append((0, builder.source(source, number, node.width)))
    for node in reversed(forward.nodes()):
        if node not in pieces or node.operation == "constant":
            continue
        builder.where = node.where
        gradient = _assemble(builder, pieces.pop(node), node.width)
        if node.operation == "source":
            kind, number = node.value
            results.append((("carry" if kind == "state" else kind, number), gradient))
        elif node.operation == "product":
            number, transposed = node.value
            (row,) = node.arguments
            pieces[row].append((0, builder.product(gradient, number, row.width, not transposed)))
            results.append((("matrix", number), builder.outer(row, gradient)))
        elif node.operation == "slice":
            pieces[node.arguments[0]].append((node.value[0], gradient))
        else:
            for argument, part in zip(node.arguments, _gradients(builder, node, gradient), strict=True):
                if part is not None:
                    pieces[argument].append((0, part))
    missing = forward.find("state")
    for (kind, number), _ in results:
        if kind == "carry":
            missing.pop(number, None)
    results += [(("carry", number), builder.constant(0.0, node.width)) for number, node in missing.items()]
    return verify(Graph(tuple(sorted(results, key=lambda result: result[0]))))


def forget_detached(forward: Graph, backward: Graph) -> tuple[Builder, Graph, Graph]:
    """Build both graphs again without `detach`, so that values that differ by it alone become one."""
    builder = Builder(push_slices=True, detached=False)
    both = builder.copy(Graph(forward.results + backward.results)).results
    count = len(forward.results)
    return builder, verify(Graph(both[:count])), verify(Graph(both[count:]))


def _gradients(builder: Builder, node: Node, gradient: Node) -> list[Node | None]:
    if node.operation == "concat":
        begins = [sum(part.width for part in node.arguments[:number]) for number in range(len(node.arguments))]
        return [
            builder.slice(gradient, begin, begin + part.width)
            for begin, part in zip(begins, node.arguments, strict=True)
        ]
    (first, *_) = node.arguments
    if node.operation == "spread":
        return [builder.over_lines("sum", gradient, first.width)]
    if node.operation == "tile":
        return [builder.over_columns("sum", gradient, first.width)]
    if node.operation == "roll":
        return [builder.roll(gradient, -node.value[0])]
    if node.operation in (*REDUCTIONS, *OVER_BLOCKS):
        return [_reduced(builder, node, gradient)]
    gradients = POINTWISE[node.operation].rule(builder, node, gradient, node.arguments)
    return [
        None if part is None else _fit(builder, part, argument.width)
        for argument, part in zip(node.arguments, gradients, strict=True)
    ]


def _reduced(builder: Builder, node: Node, gradient: Node) -> Node:
    """Return the gradient of a reduction's argument: equal maxima share it, as in torch."""
    (argument,) = node.arguments
    operation, _, over = node.operation.partition("_")

    def back(value: Node) -> Node:
        times = argument.width // node.width
        if over == "inner":
            return builder.spread(value, times)
        return builder.tile(value, times) if over == "outer" else builder.expand(value, argument.width)

    if operation == "sum":
        return back(gradient)
    hit = builder.pointwise("eq", argument, back(node))
    fold = builder.over_lines if over == "inner" else builder.over_columns
    return builder.pointwise("mul", hit, back(builder.pointwise("div", gradient, fold("sum", hit, node.width))))


def _fit(builder: Builder, gradient: Node, width: int) -> Node:
    """Sum the gradient of a value that was expanded over all columns."""
    return builder.reduce("sum", gradient) if width == 1 else builder.expand(gradient, width)


def _assemble(builder: Builder, pieces: list[tuple[int, Node]], width: int) -> Node:
    """Add up gradients of some columns each: between two borders each piece counts or does not."""
    borders = sorted({0, width, *(at for begin, part in pieces for at in (begin, begin + part.width))})
    columns = []
    for start, stop in pairwise(borders):
        total = builder.constant(0.0, stop - start)
        for begin, part in pieces:
            if begin <= start and stop <= begin + part.width:
                total = builder.pointwise("add", total, builder.slice(part, start - begin, stop - begin))
        columns.append(total)
    return builder.concat(columns)
