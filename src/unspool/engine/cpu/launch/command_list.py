"""Native calls that are written down once and made often, each time with other addresses.

To copy a few rows through torch costs a microsecond, through a list of such jobs some nanoseconds. Nothing in a list
depends on how many rows there are or where they lie: names stand for that, and each has a place where a call finds it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, NamedTuple

from unspool.engine.cpu.codegen.commands import ARGUMENTS

__all__ = ["Address", "Argument", "CommandList"]


class Address(NamedTuple):
    """What a name stands for in a call, and a number to add: an address and a distance in bytes, mostly."""

    name: str
    more: int = 0


Argument = int | Address
"""A whole number that stands for itself, or a name."""


class CommandList:
    """A list of native calls.

    Args:
        play: The native function that makes them.
    """

    def __init__(self, play: Any) -> None:
        self._play = play
        self._calls: list[tuple[int, list[Address]]] = []
        self._table: Any = None
        self._address = 0

    def call(self, function: int, *arguments: Argument) -> None:
        """Add a call of the function at an address."""
        named = [Address("", argument) if isinstance(argument, int) else argument for argument in arguments]
        self._calls.append((function, named + [Address("")] * (ARGUMENTS - len(named))))

    def follow(self, others: CommandList) -> None:
        """Take the others' calls over, to be made after these."""
        self._calls += others._calls
        others._calls = []

    def names(self) -> set[str]:
        """All names; the empty one stands for 0."""
        return {argument.name for _, arguments in self._calls for argument in arguments}

    def number(self, numbers: Mapping[str, int]) -> None:
        """Number the names; then the list is ready."""
        lines: list[int] = []
        for function, arguments in self._calls:
            lines += [function, *(part for name, more in arguments for part in (numbers[name], more))]
        self._table = (ctypes.c_int64 * len(lines))(*lines)
        self._address = ctypes.addressof(self._table)

    def play(self, places: int, bases: int) -> None:
        """Make the calls; both are addresses.

        Args:
            places: For the name with each number, which base it is found by, and what is added.
            bases: Addresses that this call begins with.
        """
        if self._calls:
            self._play(self._address, len(self._calls), places, bases)
