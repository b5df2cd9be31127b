"""Interpreter: the meaning of a graph, in plain torch, slow and obvious."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unspool.engine.compiler.ir.graph import OVER_BLOCKS, Graph, Node, block
from unspool.engine.compiler.ir.operations import POINTWISE

__all__ = ["compute", "interpret"]


def interpret(
    graph: Graph, sources: Mapping[tuple[str, int], Tensor], matrices: Sequence[Tensor]
) -> dict[tuple[str, int], Tensor]:
    """Compute a graph's results.

    Args:
        graph: The graph.
        sources: Each source by kind and number, (rows, width); vectors are (1, width).
        matrices: The matrices by number.

    Returns:
        The results, (rows, width); gradients of vectors and matrices are summed over all rows.
    """
    example = next(iter(sources.values()))
    values: dict[Node, Tensor] = {}
    for node in graph.nodes():
        if node.operation == "source":
            values[node] = sources[node.value]
        elif node.operation == "constant":
            values[node] = example.new_full((1, node.width), node.value[0])
        else:
            values[node] = compute(node, [values[argument] for argument in node.arguments], matrices)
    rows = max(value.shape[0] for value in sources.values())
    results: dict[tuple[str, int], Tensor] = {}
    for name, node in graph.results:
        kind, value = name[0], values[node]
        if kind != "matrix":
            value = value.expand(rows, -1)
        if kind == "vector":
            value = value.sum(0, keepdim=True)
        results[name] = results[name] + value if name in results else value
    return results


def compute(node: Node, arguments: list[Tensor], matrices: Sequence[Tensor]) -> Tensor:
    """Return the value of one node for the values of its arguments, each (rows, width) or (1, width)."""
    if node.operation == "expand":
        return arguments[0].expand(-1, node.width)
    if node.operation in POINTWISE:
        return POINTWISE[node.operation].meaning(*arguments)
    if node.operation == "product":
        number, transposed = node.value
        matrix: Tensor = matrices[number].t() if transposed else matrices[number]
        return arguments[0] @ matrix
    if node.operation == "slice":
        start, stop = node.value
        return arguments[0][:, start:stop]
    if node.operation == "concat":
        rows = max(part.shape[0] for part in arguments)
        return torch.cat([part.expand(rows, -1) for part in arguments], dim=1)
    if node.operation == "sum":
        return arguments[0].sum(1, keepdim=True)
    if node.operation == "max":
        return arguments[0].amax(1, keepdim=True)
    if node.operation in OVER_BLOCKS:
        operation, _, over = node.operation.partition("_")
        blocks, dim = arguments[0].view(-1, *block(node)), 2 if over == "inner" else 1
        return blocks.sum(dim) if operation == "sum" else blocks.amax(dim)
    if node.operation == "spread":
        times = node.width // arguments[0].shape[1]
        return arguments[0].unsqueeze(2).expand(-1, -1, times).reshape(-1, node.width)
    if node.operation == "tile":
        times = node.width // arguments[0].shape[1]
        return arguments[0].unsqueeze(1).expand(-1, times, -1).reshape(-1, node.width)
    if node.operation == "roll":
        return arguments[0].roll(node.value[0], dims=1)
    if node.operation == "outer":
        rows = max(part.shape[0] for part in arguments)
        left, right = (part.expand(rows, -1) for part in arguments)
        return left.t() @ right
    raise AssertionError(f"{node!r} has no meaning")
