"""One step of a cell as a graph and its weights, ready for a target: nothing is left to compute from weights alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.frontend.trace import trace
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Graph, Node, ordered
from unspool.engine.compiler.ir.interpreter import compute
from unspool.engine.compiler.ir.verify import verify
from unspool.engine.compiler.passes.hoist import hoist, sort_sums
from unspool.engine.compiler.refusal import Refusal
from unspool.errors import UsageError

__all__ = ["StepGraph", "step_graph"]


@dataclass(frozen=True, eq=False)
class StepGraph:
    """One step of a cell.

    The sources of `graph` are `("input", n)`, first the input of the step, then each row of context; `("state", n)`,
    each part of the state, flat; and `("vector", n)`. Its results are `("output", 0)` and `("state", n)`. A product
    has the value `(number of the matrix, whether it is transposed)`.
    """

    cell: str
    """Name of the cell's class."""
    graph: Graph
    """With slices as far inside as possible, for targets with loops over columns."""
    wide: Graph
    """The same step, with slices where the cell has them, for targets that call an operator for each node."""
    matrices: tuple[NDArray[np.float32], ...]
    vectors: tuple[NDArray[np.float32], ...]
    """Rows that are the same for all sequences, (width,) each."""
    widths: tuple[int, ...]
    """Widths of the inputs: that of the step, then those of the context."""
    shapes: tuple[tuple[int, ...], ...]
    """Shape of each part of the state, without the batch."""
    start: tuple[NDArray[np.float32], ...]
    """Each part of the state before the first step, flat, (width,)."""
    output: int
    """Width of the output."""

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Numbers of each part of the state."""
        return tuple(map(prod, self.shapes))


@torch.no_grad()
def step_graph(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> StepGraph:
    """Return the step of a cell; a stored cell is a cell like any other.

    Args:
        cell: The cell, in evaluation mode.
        context_widths: Widths of the tensors that the step takes beside its input.

    Raises:
        UsageError: If the compiler can't take the step; the message names the line.
    """
    try:
        traced = trace(cell, context_widths)
    except Refusal as refusal:
        raise UsageError(f"the cell {type(cell).__name__} can't be exported: {refusal}") from None
    matrices, vectors = traced.tape.replay(weights(cell))
    before, step = hoist(sort_sums(traced.graph), products=False, push_slices=False)
    rows = [vector.reshape(1, -1) for vector in vectors]
    folded = _values(before.vectors, rows, matrices)
    builder = Builder(push_slices=False)
    numbers = {
        n: node.value[1] for n, node in enumerate(before.inputs)
    }  # of each input before the numbering of `hoist`
    replaced = {
        node: builder.source("input", numbers[node.value[1]], node.width)
        for node in step.nodes()
        if node.operation == "source" and node.value[0] == "input"
    }
    wide = verify(builder.copy(step, replaced))
    graph = verify(Builder(push_slices=True).copy(wide))
    start = [part[0].reshape(-1) for part in cell.initial_state(1)]
    return StepGraph(
        type(cell).__name__,
        graph,
        wide,
        tuple(_array(matrix) for matrix in matrices),
        tuple(_array(row.reshape(-1)) for row in folded),
        (cell.input_size, *context_widths),
        traced.shapes,
        tuple(_array(part) for part in start),
        graph.find("output")[0].width,
    )


def _values(nodes: Sequence[Node], vectors: Sequence[Any], matrices: Sequence[Any]) -> list[Any]:
    """Return the values of nodes that depend on weights alone, (1, width) each."""
    values: dict[Node, Any] = {}
    for node in ordered(nodes):
        if node.operation == "source":
            values[node] = vectors[node.value[1]]
        elif node.operation == "constant":
            values[node] = torch.full((1, node.width), node.value[0])
        else:
            values[node] = compute(node, [values[argument] for argument in node.arguments], matrices)
    return [values[node].expand(1, node.width) for node in nodes]


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
