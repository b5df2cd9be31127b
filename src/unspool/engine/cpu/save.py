"""Save or recompute: what the step forward keeps for the step backward.

The states before and after every step are kept anyway, and so are the loop's inputs. What follows from them by little
arithmetic is computed again; the rest is saved. So an LSTM saves its four gates, and computes tanh of its cell state anew.
"""

from __future__ import annotations

from unspool.engine.cpu.graph import REDUCTIONS, Builder, Graph, Node, check, ordered
from unspool.engine.cpu.operations import POINTWISE, SERIES

__all__ = ["save"]

_LIMIT = SERIES + 4
"""What computing a value again may cost, in additions; above that it is saved."""
_HEAVY, _NEVER = ("product", "concat", *REDUCTIONS), 1000


def save(forward: Graph, backward: Graph) -> tuple[Graph, Graph]:
    """Cut the backward graph loose from the forward one.

    Returns:
        The forward graph with what it saves among its results, and the backward graph that reads it.
    """
    flowing = _flowing(backward)
    free: set[Node] = set()
    known: dict[Node, Node] = {}
    builder = Builder(push_slices=True)
    for number, node in forward.find("state").items():
        if node.operation not in ("source", "constant") and node not in known:
            known[node] = builder.source("after", number, node.width)
    free |= known.keys()
    saved: list[Node] = []

    def keep(node: Node) -> None:
        known[node] = builder.source("saved", len(saved), node.width)
        saved.append(node)
        free.add(node)

    for node in _needed(backward, flowing):
        if _cost(node, free) > _LIMIT:
            keep(node)
        free.add(node)  # it is there now, either way
    for _, node in backward.results:  # a matrix's gradient is taken after the loop, from what lies in memory
        if node.operation == "outer":
            row = _base(node.arguments[0])
            if row.operation != "source" and row not in known:
                keep(row)
    extra = tuple((("saved", number), node) for number, node in enumerate(saved))
    return check(Graph(forward.results + extra)), check(builder.copy(backward, known))


def _base(node: Node) -> Node:
    return node.arguments[0] if node.operation == "slice" else node


def _flowing(backward: Graph) -> set[Node]:
    """The nodes that depend on a gradient; all others belong to the step forward."""
    found: set[Node] = set()
    for node in backward.nodes():
        gradient = node.operation == "source" and node.value[0] in ("output_gradient", "carry")
        if gradient or any(argument in found for argument in node.arguments):
            found.add(node)
    return found


def _needed(backward: Graph, flowing: set[Node]) -> list[Node]:
    """The forward nodes that backward nodes look at, each after those it depends on."""
    wanted = {
        argument
        for node in flowing
        for argument in node.arguments
        if argument not in flowing and node.operation != "outer"
    }
    return [node for node in ordered(wanted) if node in wanted]


def _cost(node: Node, free: set[Node]) -> int:
    """How much arithmetic leads from what is there to a node; products and reductions are never done twice."""
    return sum(
        POINTWISE[step.operation].cost if step.operation in POINTWISE else _NEVER * (step.operation in _HEAVY)
        for step in ordered([node], free)
    )
