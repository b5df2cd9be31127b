"""The parts of a C file that grow while a sheet is written: weights, constants, functions, fields of a struct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unspool.ship.c.weights import Weights

__all__ = ["Answer", "CFile", "Value"]


@dataclass(frozen=True)
class Answer:
    """What a file says of its answers."""

    help: str
    """What `main` prints for a text."""
    comment: str
    """Where a program that calls `unspool_run` finds the answer."""
    call: str = "unspool_run(&memory, line, length, words)"
    """How `main` gets an answer."""
    print: str = "print_answer(&memory, all)"
    """How `main` prints it."""
    fails: str = "count <= 0"
    """When there is none."""
    variables: str = ""
    """Variables of `main` for options."""
    options: str = ""
    """Branches of `main` for further options."""
    option_help: str = ""
    """Help for them."""


@dataclass(frozen=True)
class Value:
    """A value of a program in C."""

    kind: str
    """As of a `Port`."""
    width: int
    place: str
    """The expression of its address."""


@dataclass
class CFile:
    """A C file in the making. Functions take the struct `model`, the memory of one caller, as `m`."""

    weights: Weights
    steps: list[str] = field(default_factory=list)
    """Steps of cells, which know nothing of the struct `model`."""
    types: list[str] = field(default_factory=list)
    """Structs that the struct `model` contains."""
    fields: list[str] = field(default_factory=list)
    """Declarations of the fields of the struct `model`."""
    functions: list[str] = field(default_factory=list)
    """Functions that take the struct `model`, in order."""
    operations: set[str] = field(default_factory=set)
    """Pointwise operations that steps and functions use."""
    fours: set[str] = field(default_factory=set)
    """Pointwise operations on four numbers at once that steps use."""
    helpers: dict[str, str] = field(default_factory=dict)
    """Functions of numbers that the other functions call, by name."""
    constants: dict[str, int] = field(default_factory=dict)
    """Constants of the preprocessor."""
    defines: dict[str, str] = field(default_factory=dict)
    """Constants of the preprocessor that a compiler's `-D` may replace."""
    printers: list[str] = field(default_factory=list)
    """Functions that only `main` calls."""
    answer: Answer = field(default_factory=lambda: Answer("", ""))

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
        """Add a function; it declares `weights` if it reads a binary file's."""
        lines = list(body)
        if not self.weights.embedded and "struct model *m" in head:
            uses = any(name in line for name in (*self.weights.names, "weights,") for line in lines)
            lines = ["    const unsigned char *weights = m->weights;"] * uses + lines
        self.functions.append("\n".join([head, "{", *lines, "}"]) + "\n")

    def write(
        self, text: str, names: Mapping[str, str] | None = None, *, printing: bool = False, public: bool = False
    ) -> None:
        """Add functions from text, which blank lines part, with some names replaced in order.

        Args:
            text: The functions.
            names: Replacements.
            printing: Whether only `main` calls them.
            public: Whether other files may call them.
        """
        for name, value in (names or {}).items():
            text = text.replace(name, value)
        for function in text.strip().split("\n\n"):
            head, _, rest = function.partition("\n{\n")
            self.function(head, rest.removesuffix("\n}").split("\n"))
            if public:
                prototype = head[head.rindex("*/") + 2 :].strip() if "*/" in head else head
                self.functions[-1] = f"{prototype};\n{self.functions[-1]}"
            if printing:
                self.printers.append(self.functions.pop())
