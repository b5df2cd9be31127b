"""From a cell to its graphs: trace, sort, hoist, differentiate, save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from unspool.cells import Cell
from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.frontend.trace import Tape, trace
from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Graph, Node
from unspool.engine.compiler.ir.verify import verify
from unspool.engine.compiler.passes.affine_prologue import AffineProlog, plain
from unspool.engine.compiler.passes.autodiff import differentiate, forget_detached
from unspool.engine.compiler.passes.hoist import Prologue, hoist, sort_sums
from unspool.engine.compiler.passes.recompute import save
from unspool.engine.compiler.refusal import Refusal

__all__ = ["SingleStep", "StepGraphs", "lower_cell"]


_LARGEST = 3000
"""Operations of one direction; more would take a minute to compile."""


@dataclass(frozen=True, eq=False)
class SingleStep:
    """A step's graph for a single call."""

    before: Prologue
    """What depends on weights alone; its inputs are the step's own."""
    graph: Graph
    """From inputs, and after them the state, to outputs."""
    results: tuple[int, ...]
    """Which output of the graph the step's output is, and each part of its state."""

    @classmethod
    def of(cls, whole: Graph, shapes: Sequence[tuple[int, ...]]) -> SingleStep:
        """Turn states into inputs and outputs, each different one once; the shapes are those of the parts."""
        before, step = hoist(whole, products=False)
        builder = Builder(push_slices=True)
        states = {
            node: node.value[1] for node in step.nodes() if node.operation == "source" and node.value[0] == "state"
        }
        replaced = {node: builder.source("input", len(before.inputs) + n, node.width) for node, n in states.items()}
        graph = builder.copy(step, replaced)
        output = graph.find("output")[0]
        ends = [(output, (output.width,)), *((node, shapes[n]) for n, node in sorted(graph.find("state").items()))]
        different = list(dict.fromkeys(ends))
        outputs: list[tuple[tuple[str, int], Node]] = [(("output", n), node) for n, (node, _) in enumerate(different)]
        return cls(before, verify(Graph(tuple(outputs))), tuple(different.index(end) for end in ends))


@dataclass(frozen=True)
class StepGraphs:
    """All that is known of a step before it is compiled."""

    tape: Tape
    before: Prologue
    inference: Graph
    """One step forward that keeps nothing."""
    forward: Graph
    """One step forward that saves what `backward` reads."""
    backward: Graph
    shapes: tuple[tuple[int, ...], ...]
    """Of each part of the state, without the batch."""
    whole: Graph
    """The step as it was traced, its sums sorted."""
    plain: AffineProlog | None
    """What runs before the loop, if that is plain enough to need no autograd."""

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Of each part of the state, as a row."""
        return tuple(map(prod, self.shapes))

    @property
    def saved_widths(self) -> tuple[int, ...]:
        """Of everything that is saved at every step."""
        return tuple(node.width for node in self.forward.find("saved").values())

    @cached_property
    def single(self) -> SingleStep:
        """For calls of one step."""
        return SingleStep.of(self.whole, self.shapes)

    def __str__(self) -> str:
        return f"forward\n{self.forward}\n\nbackward\n{self.backward}"


def lower_cell(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> StepGraphs:
    """Take a cell's step apart.

    Raises:
        Refusal: If the step does something that the compiler can't take; the message names the line.
    """
    traced = trace(cell, context_widths)
    whole = sort_sums(traced.graph)
    before, loop = hoist(whole)
    shapes = {name: weight.shape for name, weight in weights(cell).items()}
    builder = Builder(push_slices=True)
    step = builder.copy(loop)
    builder, inference, gradients = forget_detached(step, differentiate(step, builder))
    forward, backward = save(inference, gradients, builder)
    largest = max(len(graph.nodes()) for graph in (forward, backward))
    if largest > _LARGEST:
        raise Refusal(f"its step falls into {largest} operations: the compiler takes {_LARGEST} at most")
    return StepGraphs(
        traced.tape, before, inference, forward, backward, traced.shapes, whole, plain(traced.tape, before, shapes)
    )
