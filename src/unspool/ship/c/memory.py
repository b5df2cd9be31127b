"""The parts of a C file that grow while a sheet is written: weights, functions, and the fields of the caller's struct."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from unspool.ship.c.weights import Weights

__all__ = ["CFile"]


@dataclass
class CFile:
    """A C file in the making."""

    weights: Weights
    steps: list[str] = field(default_factory=list)
    """Steps of cells, which know nothing of the struct `model`."""
    fields: list[str] = field(default_factory=list)
    """Declarations of the fields of the struct `model`."""
    functions: list[str] = field(default_factory=list)
    """Functions that take the struct `model`, in order."""
    operations: set[str] = field(default_factory=set)
    """Pointwise operations that steps and functions use."""
    helpers: dict[str, str] = field(default_factory=dict)
    """Functions of numbers that the other functions call, by name."""
    defines: dict[str, str] = field(default_factory=dict)
    """Constants of the preprocessor that a compiler's `-D` may replace."""

    def need(self, *operations: str) -> None:
        """Use pointwise operations."""
        self.operations.update(operations)

    def help(self, name: str, text: str) -> str:
        """Use a function of numbers, and return its name."""
        self.helpers[name] = text
        return name

    def room(self, name: str, size: str | int, kind: str = "float") -> str:
        """Add an array to the struct `model`, and return the expression of its address."""
        self.fields.append(f"{kind} {name}[{size}];")
        return f"m->{name}"

    def function(self, head: str, body: Iterable[str]) -> None:
        """Add a function that takes the struct `model` as `m`."""
        opening = [] if self.weights.embedded else ["    const unsigned char *weights = m->weights;"]
        lines = [*opening, *body]
        if opening and not any(name in line for name in self.weights.names for line in lines[1:]):
            lines = lines[1:]
        self.functions.append("\n".join([head, "{", *lines, "}"]) + "\n")
