"""From a cell to its graphs: trace, sort, hoist, differentiate, save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unspool.cells import Cell
from unspool.engine.cpu.differentiate import differentiate, forget_detached
from unspool.engine.cpu.graph import Builder, Graph
from unspool.engine.cpu.hoist import Before, hoist, sort_sums
from unspool.engine.cpu.save import save
from unspool.engine.cpu.trace import Tape, trace

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """All that is known of a step before it is compiled."""

    tape: Tape
    before: Before
    inference: Graph
    """One step forward that keeps nothing."""
    forward: Graph
    """One step forward that saves what `backward` reads."""
    backward: Graph
    widths: tuple[int, ...]
    """Of each part of the state."""

    @property
    def saved_widths(self) -> tuple[int, ...]:
        """Of everything that is saved at every step."""
        return tuple(node.width for node in self.forward.find("saved").values())

    def __str__(self) -> str:
        return f"forward\n{self.forward}\n\nbackward\n{self.backward}"


def plan(cell: Cell[Any], context_widths: tuple[int, ...] = ()) -> Plan:
    """Take a cell's step apart.

    Raises:
        Refusal: If the step does something that the compiler can't take; the message names the line.
    """
    traced = trace(cell, context_widths)
    before, loop = hoist(sort_sums(traced.graph))
    builder = Builder(push_slices=True)
    step = builder.copy(loop)
    builder, inference, gradients = forget_detached(step, differentiate(step, builder))
    forward, backward = save(inference, gradients, builder)
    return Plan(traced.tape, before, inference, forward, backward, traced.widths)
