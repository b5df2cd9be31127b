"""`SearchSpace`: the settings of a task that `tune` varies, each with its range, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

__all__ = ["Choice", "Float", "Int", "LogFloat", "Range", "SearchSpace"]


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="choice", tag_field="kind"):
    """One of several values."""

    values: tuple[str | bool | int | float | None, ...]
    """The values; texts are read as on the command line."""


class Int(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="int", tag_field="kind"):
    """A whole number, uniform between two bounds, both included."""

    low: int
    high: int
    step: int = 1
    """Distance between two values; it divides the distance of the bounds."""


class Float(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="float", tag_field="kind"):
    """A number, uniform between two bounds."""

    low: float
    high: float


class LogFloat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="log-float", tag_field="kind"):
    """A number whose logarithm is uniform between those of two positive bounds."""

    low: float
    high: float


Range = Choice | Int | Float | LogFloat
"""Range of one setting."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The settings of one task that `tune` varies; `ENTRY` in `space.py` of the task's folder."""

    name: str
    """Name of the task."""
    settings: Mapping[str, Range]
    """Ranges by dotted name of the setting."""
    order: int = 100
    """Sort key in lists, lowest first."""
