"""Recompute: which values the step forward saves for the step backward, and which are computed again.

The states before and after every step are kept anyway, and so are the loop's inputs. Values that follow from them by
little arithmetic are computed again; the rest is saved. So an LSTM saves its four gates, which follow from a product,
and recomputes the tanh of its cell state.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, REPEATS, Graph, Node, ordered
from unspool.engine.compiler.ir.operations import POINTWISE, SERIES
from unspool.engine.compiler.ir.verify import verify

__all__ = ["choose_saved"]

_LIMIT = SERIES + 12
"""Cost of computing a value again at most, in additions; dearer values are saved. A gate of a layer-normalised cell is
one series behind two normalised rows: to read it back takes as long as to compute it again, and twice the memory."""
_HEAVY, _NEVER = ("product", "concat", *REDUCTIONS, *OVER_BLOCKS), 1000
_MOVED = (*REPEATS, "roll")
"""Operations that only move numbers: their argument is saved, and moved again."""


def choose_saved(forward: Graph, backward: Graph, builder: Builder) -> tuple[Graph, Graph]:
    """Separate the backward graph from the forward one.

    Args:
        forward: One step forward.
        backward: The same step backward, as `differentiate` returned it.
        builder: Of both graphs.

    Returns:
        The forward graph with saved values among its results, and the backward graph that reads them.
    """
    flowing = _flowing(backward)
    after = {
        node: number for number, node in forward.find("state").items() if node.operation not in ("source", "constant")
    }
    parts = {part: whole for whole in after for part in _columns(whole)}
    histories = {*after, *parts}
    available: set[Node] = set(histories)
    stored: list[Node] = []
    for node in _needed(backward, flowing):
        if _cost(node, available) > _LIMIT:
            stored.append(node)
        available.add(node)  # it is there now, either way
    for _, node in backward.results:  # a matrix's gradient is taken after the loop, from what lies in memory
        if node.operation == "outer":
            row = _base(node.arguments[0])
            if row.operation != "source" and row not in histories and row not in stored:
                stored.append(row)
    slices = _slices_of_each_other(stored, builder)
    stored = [node for node in stored if node not in slices]

    new = Builder(push_slices=True)
    replacements = {node: new.source("after", number, node.width) for node, number in after.items()}
    replacements |= {part: new.slice(replacements[whole], *_columns(whole)[part]) for part, whole in parts.items()}
    replacements |= {node: new.source("saved", number, node.width) for number, node in enumerate(stored)}
    replacements |= {node: new.slice(replacements[whole], *columns) for node, (whole, columns) in slices.items()}
    extra = tuple((("saved", number), node) for number, node in enumerate(stored))
    return verify(Graph(forward.results + extra)), verify(new.copy(backward, replacements))


def _columns(whole: Node) -> dict[Node, tuple[int, int]]:
    """Return the parts of a concat that have to be computed, with their columns."""
    ends = [0, *accumulate(part.width for part in whole.arguments)] if whole.operation == "concat" else []
    pairs = zip(whole.arguments, pairwise(ends), strict=False) if ends else ()
    return {part: columns for part, columns in pairs if part.operation not in ("source", "constant")}


def _slices_of_each_other(stored: list[Node], builder: Builder) -> dict[Node, tuple[Node, tuple[int, int]]]:
    """Return the nodes that are columns of another, with the other; `slice` made slices of sums sums of slices."""
    nodes = Graph(tuple((("saved", 0), node) for node in stored)).nodes()
    columns = {node.value for node in nodes if node.operation == "slice"}
    slices: dict[Node, tuple[Node, tuple[int, int]]] = {}
    for whole in sorted(stored, key=lambda node: -node.width):
        for start, stop in sorted(columns) if whole not in slices else ():
            part = builder.slice(whole, start, stop) if stop <= whole.width else whole
            if part is not whole and part in stored:
                slices[part] = (whole, (start, stop))
    return slices


def _base(node: Node) -> Node:
    return node.arguments[0] if node.operation == "slice" else node


def _flowing(backward: Graph) -> set[Node]:
    """Return the nodes that depend on a gradient; all others belong to the step forward."""
    nodes: set[Node] = set()
    for node in backward.nodes():
        gradient = node.operation == "source" and node.value[0] in ("output_gradient", "carry")
        if gradient or any(argument in nodes for argument in node.arguments):
            nodes.add(node)
    return nodes


def _needed(backward: Graph, flowing: set[Node]) -> list[Node]:
    """Return the forward nodes that backward nodes read, and their sources if they were moved, each after its
    arguments.
    """
    nodes = dict.fromkeys(  # in the order of the graph, so that the same cell is always compiled to the same text
        argument
        for node in backward.nodes()
        if node in flowing and node.operation != "outer"
        for argument in node.arguments
        if argument not in flowing
    )
    nodes |= _moved(nodes)
    nodes |= _narrow(nodes)
    return [node for node in ordered(nodes) if node in nodes and node.operation not in _MOVED]


def _moved(ends: Iterable[Node]) -> dict[Node, None]:
    """Return the arguments of the moves that lead to some nodes by a little arithmetic."""
    sources: dict[Node, None] = {}
    stack, visited = list(ends), set[Node]()
    while stack:
        node = stack.pop()
        if node not in visited and (node.operation in POINTWISE or node.operation in _MOVED):
            sources |= dict.fromkeys(node.arguments if node.operation in _MOVED else ())
            stack.extend(node.arguments)
        visited.add(node)
    return sources


def _narrow(ends: Iterable[Node]) -> dict[Node, None]:
    """Return single numbers of a row that lead to some nodes by a little arithmetic: they are cheap to save."""
    scalars: dict[Node, None] = {}
    stack, visited = list(ends), set[Node]()
    while stack:
        node = stack.pop()
        if node not in visited and node.operation in POINTWISE:
            for part in node.arguments:
                if part.width == 1 < node.width and part.operation not in ("source", "constant"):
                    scalars[part] = None
                else:
                    stack.append(part)
        visited.add(node)
    return scalars


def _cost(node: Node, available: set[Node]) -> int:
    """Return the cost of computing a node from what is available; products and reductions are never done twice."""
    return sum(
        POINTWISE[step.operation].cost if step.operation in POINTWISE else _NEVER * (step.operation in _HEAVY)
        for step in ordered([node], available)
    )
