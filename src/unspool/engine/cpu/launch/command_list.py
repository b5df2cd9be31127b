"""Command lists: native calls recorded once and made often, each time with other addresses.

To copy a few rows through torch costs a microsecond, through such a list some nanoseconds. Nothing in a list depends on
the number of rows or their addresses: names stand for these, and each call supplies what the names lead to.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, NamedTuple

from unspool.engine.cpu.codegen.commands import ARGUMENTS

__all__ = ["Address", "Argument", "CommandList"]


class Address(NamedTuple):
    """What a name stands for in a call, plus a number: mostly an address and a distance in bytes."""

    name: str
    more: int = 0


Argument = int | Address
"""A whole number, or a name."""


class CommandList:
    """A list of native calls.

    Args:
        play: The native function that makes the calls.
    """

    def __init__(self, play: Any) -> None:
        self._play = play
        self._calls: list[tuple[int, list[Address]]] = []
        self._table: Any = None
        self._address = 0

    def call(self, function: int, *arguments: Argument) -> None:
        """Add a call of the function at an address."""
        addresses = [Address("", argument) if isinstance(argument, int) else argument for argument in arguments]
        self._calls.append((function, addresses + [Address("")] * (ARGUMENTS - len(addresses))))

    def follow(self, others: CommandList) -> None:
        """Move the calls of another list behind these."""
        self._calls += others._calls
        others._calls = []

    def names(self) -> set[str]:
        """Return all names; the empty name stands for 0."""
        return {argument.name for _, arguments in self._calls for argument in arguments}

    def number(self, numbers: Mapping[str, int]) -> None:
        """Number the names; then the list is ready."""
        lines: list[int] = []
        for function, arguments in self._calls:
            lines += [function, *(part for name, more in arguments for part in (numbers[name], more))]
        self._table = (ctypes.c_int64 * len(lines))(*lines)
        self._address = ctypes.addressof(self._table)

    @property
    def table(self) -> tuple[int, int]:
        """The address of the calls, and their number, for the native function that makes them."""
        return self._address, len(self._calls)

    def play(self, places: int, bases: int) -> None:
        """Make the calls.

        Args:
            places: Address of a table: for each name's number, the number of its base, and an offset in bytes.
            bases: Address of the base addresses of this call.
        """
        if self._calls:
            self._play(self._address, len(self._calls), places, bases)
