"""`JoinedValue`: the values of one row, one for each of its inputs."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

__all__ = ["JoinedValue", "LabelledJoined"]


class JoinedValue(NamedTuple):
    """Values of one row."""

    kinds: tuple[str, ...]
    """Name of the input of each value."""
    values: tuple[Any, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the kinds and values; of files, of their content."""
        parts = (f"{kind} {getattr(value, 'digest', value)}" for kind, value in zip(*self, strict=True))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __str__(self) -> str:
        return " | ".join(" ".join(value) if isinstance(value, list) else str(value) for value in self.values)


class LabelledJoined(NamedTuple):
    """The values of one row, and its labels."""

    where: str
    value: JoinedValue
    labels: tuple[str, ...]
