"""Pipeline: from a cell to its graphs, by tracing, hoisting, autodiff and recomputation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from unspool.engine.compiler.passes.recompute import choose_saved
from unspool.engine.compiler.refusal import Refusal

__all__ = ["SingleStep", "StepGraphs", "lower_cell"]


_LARGEST = 3000
"""Operations of one direction at most; more would take a minute to compile."""


@dataclass(frozen=True, eq=False)
class SingleStep:
    """The graph of a step for single calls."""

    before: Prologue
    """The values that depend on weights alone; its inputs are those of the step."""
    graph: Graph
    """From inputs, followed by the state, to outputs."""
    results: tuple[int, ...]
    """The number of the graph's output that is the step's output, then of each part of the state."""

    @classmethod
    def of(cls, whole: Graph, shapes: Sequence[tuple[int, ...]], *, products: bool = False) -> SingleStep:
        """Turn states into inputs and outputs, each different output once.

        Args:
            whole: The step, with its sums sorted.
            shapes: Of the parts of the state.
            products: Whether products of inputs leave the step.
        """
        before, step = hoist(whole, products=products)
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
    """The graphs of a step, before any target is chosen."""

    tape: Tape
    before: Prologue
    inference: Graph
    """One step forward that saves nothing."""
    forward: Graph
    """One step forward that saves what `backward` reads."""
    backward: Graph
    shapes: tuple[tuple[int, ...], ...]
    """Of each part of the state, without the batch."""
    whole: Graph
    """The step as traced, with its sums sorted."""
    plain: AffineProlog | None
    """The prologue in affine form, which needs no autograd; None if it does more."""

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Numbers of each part of the state."""
        return tuple(map(prod, self.shapes))

    @property
    def saved_widths(self) -> tuple[int, ...]:
        """Numbers of each value that every step saves."""
        return tuple(node.width for node in self.forward.find("saved").values())

    @cached_property
    def single(self) -> SingleStep:
        """The graph for single calls."""
        return SingleStep.of(self.whole, self.shapes)

    @cached_property
    def unhoisted(self) -> StepGraphs:
        """The same graphs for inference with all products of inputs inside the loop, without a prologue."""
        before, step = hoist(self.whole, products=False)
        inference = verify(Builder(push_slices=True).copy(step))
        return replace(self, before=before, inference=inference, plain=None)

    def __str__(self) -> str:
        return f"forward\n{self.forward}\n\nbackward\n{self.backward}"


def lower_cell(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> StepGraphs:
    """Lower a cell's step to graphs.

    Args:
        cell: The cell.
        context_widths: Widths of the tensors that the step takes beside its input.

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
    forward, backward = choose_saved(inference, gradients, builder)
    largest = max(len(graph.nodes()) for graph in (forward, backward))
    if largest > _LARGEST:
        raise Refusal(f"its step falls into {largest} operations: the compiler takes {_LARGEST} at most")
    return StepGraphs(
        traced.tape, before, inference, forward, backward, traced.shapes, whole, plain(traced.tape, before, shapes)
    )
