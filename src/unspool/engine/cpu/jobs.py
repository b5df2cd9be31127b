"""Native calls that are written down once and made often, each time with other addresses.

To copy a few rows through torch costs a microsecond, through a list of such jobs some nanoseconds. Nothing in a list
depends on how many rows there are or where they lie: that is said by name, and each call gives a number for each name.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from unspool.engine.cpu.emit.jobs import ARGUMENTS

__all__ = ["Argument", "At", "Jobs"]


class At(NamedTuple):
    """What a name stands for in a call, and a number to add: an address and a distance in bytes, mostly."""

    name: str
    more: int = 0


Argument = int | At
"""A whole number that stands for itself, or a name."""


class Jobs:
    """A list of native calls.

    Args:
        play: The native function that makes them.
    """

    def __init__(self, play: Any) -> None:
        self._play = play
        self._numbers: dict[str, int] = {}
        self._lines: list[int] = []

    def call(self, function: int, *arguments: Argument) -> None:
        """Add a call of the function at an address."""
        self._lines.append(function)
        for argument in (*arguments, *[0] * (ARGUMENTS - len(arguments))):
            name, more = ("", argument) if isinstance(argument, int) else argument
            self._lines += [self._numbers.setdefault(name, len(self._numbers)), more]

    @property
    def names(self) -> Collection[str]:
        """Everything that a call has to give a number for."""
        return self._numbers.keys()

    @cached_property
    def _ready(self) -> tuple[Any, int, int, Any, list[str]]:
        """The list in memory, where it stands and how long it is, an array for values, and the names they belong to."""
        table, room = (ctypes.c_int64 * len(self._lines))(*self._lines), ctypes.c_int64 * len(self._numbers)
        return table, ctypes.addressof(table), len(self._lines) // (1 + 2 * ARGUMENTS), room, list(self._numbers)

    def play(self, values: Mapping[str, int]) -> None:
        """Make the calls; `values` says what each name stands for, and that the empty name is 0."""
        _, table, count, room, names = self._ready
        if count:
            given = room(*map(values.__getitem__, names))
            self._play(table, count, ctypes.addressof(given))
