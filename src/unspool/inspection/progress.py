"""Progress of a measurement that takes a while."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[str, int, int], None]
"""Takes the stage of a measurement, and numbers of its steps: done and total. What it raises ends the measurement."""
