"""Names of units: a file of a model folder, and their values as arrays of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from unspool.errors import ModelFolderError, UsageError
from unspool.inspection.trace import Array
from unspool.reading import read_json
from unspool.settings import nearest
from unspool.writing import newest, replace_file

__all__ = ["NAMED_UNITS", "UNITS", "UnitName", "named_arrays", "read_unit_names", "with_name", "write_unit_names"]

UNITS = "units.json"
"""File of a model folder with the names of units; absent without names."""
NAMED_UNITS = "named units"
"""Place of the arrays of named units in a trace."""
_LONGEST = 60


class UnitName(NamedTuple):
    """A unit with a name."""

    array: str
    """Place and part of the state, as in a `Trace`: `layer 1 / c`."""
    unit: int
    """Index of the unit in the array, from 0."""
    name: str
    """The name, such as `bracket depth`."""

    @property
    def place(self) -> str:
        """Array and number of the unit, from 1: `layer 1 / c, unit 38`."""
        return f"{self.array}, unit {self.unit + 1}"


class _Entry(msgspec.Struct):
    array: str
    unit: Annotated[int, msgspec.Meta(ge=1)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST)]


class _File(msgspec.Struct):
    units: list[_Entry]


def read_unit_names(folder: Path) -> tuple[UnitName, ...]:
    """Read the names of units in a model folder; empty if the folder has none.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    path = newest(folder, UNITS)
    if not path.exists():
        return ()
    entries = read_json(path, _File, "the list of named units").units
    if not all(entry.name.isprintable() and entry.name.strip() for entry in entries):
        raise ModelFolderError(f"{path} is damaged: a name is no line of printable text")
    return tuple(UnitName(entry.array, entry.unit - 1, entry.name) for entry in entries)


def write_unit_names(folder: Path, names: Iterable[UnitName]) -> None:
    """Write the names of units into a folder; units count from 1 in the file.

    Raises:
        MachineError: If the disk is full or not writable.
    """
    entries = [_Entry(each.array, each.unit + 1, each.name) for each in names]
    replace_file(folder / UNITS, msgspec.json.format(msgspec.json.encode(_File(entries))) + b"\n")


def with_name(names: Iterable[UnitName], new: UnitName, sizes: Mapping[str, int]) -> tuple[UnitName, ...]:
    """Return names with a new one, which replaces an earlier name of the same unit.

    Args:
        names: The names so far.
        new: The new one.
        sizes: Number of units of each array of the network.

    Raises:
        UsageError: If there is no such unit, the name is no line of text, or another unit has the name.
    """
    if new.array not in sizes:
        hint = nearest(new.array, sizes) or f"; there are {', '.join(map(repr, sizes)) or 'none'}"
        raise UsageError(f"this network has no array of units {new.array!r}{hint}")
    if not 0 <= new.unit < sizes[new.array]:
        raise UsageError(f"{new.array!r} has {sizes[new.array]} units, so there is no unit {new.unit + 1}")
    if not new.name.strip() or not new.name.isprintable() or len(new.name) > _LONGEST or " / " in new.name:
        raise UsageError(
            f"{new.name!r:.80} is no name; expected a line of at most {_LONGEST} characters without ' / ', as in arrays"
        )
    others = [each for each in names if (each.array, each.unit) != (new.array, new.unit)]
    if taken := next((each for each in others if each.name == new.name), None):
        raise UsageError(f"{taken.place} is named {new.name!r} already; choose another name, or remove that one")
    return (*others, new)


def named_arrays(arrays: Mapping[str, Array], names: Iterable[UnitName]) -> dict[str, Array]:
    """Return the values of named units as arrays `named units / NAME`, (tokens,) each."""
    return {
        f"{NAMED_UNITS} / {each.name}": arrays[each.array][:, each.unit]
        for each in names
        if each.array in arrays and each.unit < arrays[each.array].shape[1]
    }
