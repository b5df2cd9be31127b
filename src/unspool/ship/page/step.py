"""Steps of cells for pages: the loops of a step, and the table of addresses that the step reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from unspool.engine.compiler.ir.graph import Node
from unspool.engine.compiler.loops.fusion import fuse
from unspool.engine.compiler.loops.loop_ir import LoopNest
from unspool.engine.compiler.pipeline import SingleStep
from unspool.ship.step_graph import StepGraph

__all__ = ["LANES", "PageStep", "Source"]

LANES = 4
"""Numbers in a vector of WebAssembly; every row of memory is padded to whole vectors, in JavaScript too."""


class Source(NamedTuple):
    """What a step reads: a row of its input or context, a part of the state, or its input times a matrix."""

    kind: Literal["input", "state", "product"]
    number: int
    """Of the input, of the part of the state, or of the matrix."""
    transposed: bool = False
    """Of a product: whether the matrix is transposed."""


@dataclass(frozen=True, eq=False)
class PageStep:
    """One step, for one sequence.

    The step reads a table of addresses, one for each of `memories`. Matrices are packed, see `pack` in `memory.js`.
    """

    graph: StepGraph
    nest: LoopNest
    sources: dict[str, Source]
    """What each input memory of the step holds."""
    results: tuple[int, ...]
    """The number of the output memory that is the step's output, then of each part of the new state."""
    vectors: tuple[int, ...]
    """The number of the graph's vector that each vector memory holds."""

    @classmethod
    def of(cls, graph: StepGraph, *, table: bool = False) -> PageStep | None:
        """Fuse a step into loops.

        Args:
            graph: The step.
            table: Whether the step takes products of its input, made before: a model that looks up its inputs in a
                table can multiply each row of the table once.

        Returns:
            The step; None if `table` is set and would spare nothing.
        """
        single = SingleStep.of(graph.graph, graph.shapes, products=table)
        inputs = [_source(node) for node in single.before.inputs]
        if table and (None in inputs or not any(source and source.kind == "product" for source in inputs)):
            return None
        nest = fuse(single.graph, lanes=LANES, backward=False, history=frozenset())
        states = [Source("state", number) for number in range(len(graph.shapes))]
        sources = {f"input{number}": source for number, source in enumerate([*inputs, *states]) if source is not None}
        return cls(
            graph,
            nest,
            {name: source for name, source in sources.items() if name in nest.buffers},
            single.results,
            tuple(node.value[1] for node in single.before.vectors),
        )

    @property
    def memories(self) -> list[str]:
        """The memories whose addresses stand in the table, in order."""
        return self.nest.memories

    @property
    def outputs(self) -> dict[str, int]:
        """Width of each output memory."""
        widths = [self.graph.output, *self.graph.state_widths]
        return {f"output{number}": width for number, width in zip(self.results, widths, strict=True)}

    @property
    def scratch(self) -> dict[str, int]:
        """Numbers of each memory that lives no longer than a step."""
        buffers = self.nest.buffers.values()
        return {buffer.name: buffer.stride for buffer in buffers if buffer.rate in ("row", "part")}


def _source(node: Node) -> Source | None:
    if node.operation == "source":
        return Source("input", node.value[1])
    row = node.arguments[0] if node.operation == "product" else None
    if row is None or row.operation != "source" or row.value != ("input", 0):
        return None
    return Source("product", *node.value)
