"""Graphs as plain data: a record of every node, and a graph read back from a record of a stranger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from unspool.engine.compiler.ir.graph import Node, ordered
from unspool.engine.compiler.ir.verify import keeps_to_the_spec

__all__ = ["NodeRecord", "nodes_of", "record_nodes"]

_LARGEST = 20_000  # nodes of a graph
_WIDEST = 1 << 24  # numbers that all nodes of a graph hold for one sequence

Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
Width = Annotated[int, msgspec.Meta(ge=1, le=_WIDEST)]


class NodeRecord(msgspec.Struct, array_like=True, frozen=True):
    """One node: its operation, the places of its arguments in the list, its width, its value, its line of the cell."""

    operation: Annotated[str, msgspec.Meta(max_length=32)]
    arguments: Annotated[list[Count], msgspec.Meta(max_length=4096)]
    width: Width
    value: Annotated[list[bool | int | str], msgspec.Meta(max_length=2)] = []
    """As `Node.value`; a constant is written in hexadecimal, as `float.hex` does, so that it is exact."""
    where: Annotated[str, msgspec.Meta(max_length=200)] = ""


def record_nodes(ends: Iterable[Node]) -> tuple[list[NodeRecord], dict[Node, int]]:
    """Record some nodes and all that they need.

    Returns:
        The records, each after its arguments, and the place of each node in them.
    """
    places: dict[Node, int] = {}
    records: list[NodeRecord] = []
    for node in ordered(ends):
        value = [number.hex() if isinstance(number, float) else number for number in node.value]
        arguments = [places[argument] for argument in node.arguments]
        places[node] = len(records)
        records.append(NodeRecord(node.operation, arguments, node.width, value, node.where))
    return records, places


def nodes_of(
    records: Sequence[NodeRecord],
    sources: Mapping[str, Sequence[int]],
    matrices: Sequence[tuple[int, int]],
) -> list[Node]:
    """Rebuild the nodes of a forward step, and check each against the spec.

    Args:
        records: The nodes, each after its arguments.
        sources: Widths of the sources of each kind, by number.
        matrices: Rows and columns of each matrix.

    Raises:
        ValueError: If a record is no node of such a step; the message says which and why.
    """
    if len(records) > _LARGEST or sum(record.width for record in records) > _WIDEST:
        raise ValueError(f"a step of more than {_LARGEST:,} operations, or of more than {_WIDEST:,} numbers")
    nodes: list[Node] = []
    for place, record in enumerate(records):
        try:
            node = _node(record, nodes)
            fits = keeps_to_the_spec(node) and _fits(node, sources, matrices)
        except (ValueError, TypeError, IndexError, OverflowError):
            fits = False
        if not fits:
            raise ValueError(f"operation {place + 1}, {record.operation!r}, does not fit its arguments")
        nodes.append(node)
    return nodes


def _node(record: NodeRecord, before: Sequence[Node]) -> Node:
    if any(place >= len(before) for place in record.arguments):
        raise ValueError("an argument stands behind its operation")
    value: tuple[Any, ...] = tuple(record.value)
    if record.operation == "constant":
        (number,) = value
        value = (float.fromhex(number),)
    return Node(record.operation, tuple(before[place] for place in record.arguments), record.width, value, record.where)


def _fits(node: Node, sources: Mapping[str, Sequence[int]], matrices: Sequence[tuple[int, int]]) -> bool:
    """Whether the value of a node is one that a forward step can have; the spec checks what holds in any graph."""
    if node.operation == "source":
        kind, number = node.value
        return (
            isinstance(kind, str) and _is_place(number, sources.get(kind, ())) and sources[kind][number] == node.width
        )
    if node.operation == "product":
        matrix, transposed = node.value
        if not _is_place(matrix, matrices) or not isinstance(transposed, bool):
            return False
        rows, columns = matrices[matrix][::-1] if transposed else matrices[matrix]
        return (node.arguments[0].width, node.width) == (rows, columns)
    if node.operation in ("slice", "roll"):
        return all(type(number) is int for number in node.value) and len(node.value) == (
            2 if node.operation == "slice" else 1
        )
    return node.operation == "constant" or not node.value


def _is_place(number: Any, values: Sequence[Any]) -> bool:
    return type(number) is int and 0 <= number < len(values)
