"""The IR verifier: the written spec of graphs, checked after every pass."""

from __future__ import annotations

from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, REPEATS, RESULTS, SOURCES, Graph, Node
from unspool.engine.compiler.ir.operations import POINTWISE

__all__ = ["keeps_to_the_spec", "verify"]


def verify(graph: Graph) -> Graph:
    """Verify a graph against the spec, and return it.

    Raises:
        AssertionError: If a pass broke it; that is our fault, never the cell's.
    """
    for node in graph.nodes():
        assert keeps_to_the_spec(node), f"{node!r} of {list(node.arguments)}"
    for (kind, _), node in graph.results:
        assert kind in RESULTS, kind
        assert (kind == "matrix") == (node.operation == "outer"), f"{kind}: {node!r}"
    return graph


def keeps_to_the_spec(node: Node) -> bool:
    """Whether the operation, the widths and the value of a node fit each other."""
    widths = [argument.width for argument in node.arguments]
    if node.operation == "outer":
        return len(widths) == 2 and node.width == 0
    if node.width < 1 or any(width < 1 for width in widths):
        return False
    if node.operation == "source":
        return not widths and node.value[0] in SOURCES
    if node.operation == "constant":
        return not widths and isinstance(node.value[0], float)
    if node.operation == "product":
        return len(widths) == 1 and len(node.value) == 2
    if node.operation == "slice":
        start, stop = node.value
        return len(widths) == 1 and 0 <= start < stop <= widths[0] and node.width == stop - start
    if node.operation == "concat":
        return len(widths) > 1 and node.width == sum(widths)
    if node.operation in REDUCTIONS:
        return len(widths) == 1 and node.width == 1 and widths[0] > 1
    if node.operation in OVER_BLOCKS:
        return len(widths) == 1 and 1 < node.width < widths[0] and widths[0] % node.width == 0
    if node.operation in REPEATS:
        return len(widths) == 1 and 1 < widths[0] < node.width and node.width % widths[0] == 0
    if node.operation == "roll":
        return widths == [node.width] and 0 < abs(node.value[0]) < node.width
    operation = POINTWISE.get(node.operation)
    if operation is None or len(widths) != operation.arity:
        return False
    return all(width in (1, node.width) for width in widths)
