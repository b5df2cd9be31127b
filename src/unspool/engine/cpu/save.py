"""Save or recompute: what the step forward keeps for the step backward.

The states before and after every step are kept anyway, and so are the loop's inputs. What follows from them by little
arithmetic is computed again; the rest is saved. So an LSTM saves its four gates, and computes the tanh of its cell
state anew.
"""

from __future__ import annotations

from unspool.engine.cpu.graph import REDUCTIONS, Builder, Graph, Node, check, ordered
from unspool.engine.cpu.operations import POINTWISE, SERIES

__all__ = ["save"]

_LIMIT = SERIES + 4
"""What computing a value again may cost, in additions; above that it is saved."""
_HEAVY, _NEVER = ("product", "concat", *REDUCTIONS), 1000


def save(forward: Graph, backward: Graph, builder: Builder) -> tuple[Graph, Graph]:
    """Cut the backward graph loose from the forward one.

    Args:
        forward: One step forward.
        backward: The same step backward, as `differentiate` returned it.
        builder: The one that made both.

    Returns:
        The forward graph with what it saves among its results, and the backward graph that reads it.
    """
    flowing = _flowing(backward)
    after = {
        node: number for number, node in forward.find("state").items() if node.operation not in ("source", "constant")
    }
    free: set[Node] = set(after)
    saved: list[Node] = []
    for node in _needed(backward, flowing):
        if _cost(node, free) > _LIMIT:
            saved.append(node)
        free.add(node)  # it is there now, either way
    for _, node in backward.results:  # a matrix's gradient is taken after the loop, from what lies in memory
        if node.operation == "outer":
            row = _base(node.arguments[0])
            if row.operation != "source" and row not in after and row not in saved:
                saved.append(row)
    slices = _slices_of_each_other(saved, builder)
    saved = [node for node in saved if node not in slices]

    new = Builder(push_slices=True)
    known = {node: new.source("after", number, node.width) for node, number in after.items()}
    known |= {node: new.source("saved", number, node.width) for number, node in enumerate(saved)}
    known |= {node: new.slice(known[whole], *columns) for node, (whole, columns) in slices.items()}
    extra = tuple((("saved", number), node) for number, node in enumerate(saved))
    return check(Graph(forward.results + extra)), check(new.copy(backward, known))


def _slices_of_each_other(saved: list[Node], builder: Builder) -> dict[Node, tuple[Node, tuple[int, int]]]:
    """The nodes that are columns of another, with the other; a slice of a sum was made a sum of slices before."""
    columns = {
        node.value for node in Graph(tuple((("saved", 0), node) for node in saved)).nodes() if node.operation == "slice"
    }
    found: dict[Node, tuple[Node, tuple[int, int]]] = {}
    for whole in sorted(saved, key=lambda node: -node.width):
        for start, stop in sorted(columns) if whole not in found else ():
            part = builder.slice(whole, start, stop) if stop <= whole.width else whole
            if part is not whole and part in saved:
                found[part] = (whole, (start, stop))
    return found


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
    wanted = dict.fromkeys(  # in the order of the graph, so that the same cell is always compiled to the same text
        argument
        for node in backward.nodes()
        if node in flowing and node.operation != "outer"
        for argument in node.arguments
        if argument not in flowing
    )
    return [node for node in ordered(wanted) if node in wanted]


def _cost(node: Node, free: set[Node]) -> int:
    """How much arithmetic leads from what is there to a node; products and reductions are never done twice."""
    return sum(
        POINTWISE[step.operation].cost if step.operation in POINTWISE else _NEVER * (step.operation in _HEAVY)
        for step in ordered([node], free)
    )
