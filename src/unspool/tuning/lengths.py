"""`Lengths`: the lengths of training of a trial, from the shortest to the full one, and which of them fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from unspool.errors import counted

__all__ = ["REDUCTION", "Lengths", "lengths_of"]

REDUCTION = 3
"""Factor between two lengths, and between the numbers of trials that reach them."""

_RUNGS = 3
_SHORTEST = 5 / 60  # minutes


class Lengths(msgspec.Struct, frozen=True):
    """Lengths of training, ascending; the trainings of one length are a rung of successive halving."""

    unit: Literal["epochs", "minutes"]
    values: tuple[float, ...]

    @property
    def last(self) -> int:
        """Number of the rung of full length, from 0."""
        return len(self.values) - 1

    def settings(self, rung: int) -> Mapping[str, object]:
        """Return the settings of the length of a rung, by dotted name."""
        value = self.values[rung]
        if self.unit == "epochs":
            return {"training.epochs": int(value), "training.minutes": None}
        return {"training.minutes": value}

    def title(self, rung: int) -> str:
        """Return the length of a rung for tables: 3 epochs, 1.11 minutes."""
        value = self.values[rung]
        return counted(int(value) if self.unit == "epochs" else float(f"{value:.3g}"), self.unit)

    def expected(self, rung: int, seconds: Mapping[int, float]) -> float:
        """Return the expected seconds of a training, reading and scoring included; 0 if nothing is known.

        Args:
            rung: The rung of the training.
            seconds: The longest time of a training of each rung so far.
        """
        if rung in seconds:
            return seconds[rung]
        below = [lower for lower in seconds if lower < rung]
        if self.unit == "minutes":
            nominal = 60 * self.values[rung]
            return nominal + max((seconds[lower] - 60 * self.values[lower] for lower in below), default=0.0)
        return seconds[max(below)] * self.values[rung] / self.values[max(below)] if below else 0.0

    def next_rung(self, rung: int, left: float, seconds: Mapping[int, float]) -> int | None:
        """Return the rung after one: the next, the full length if the time is short, or None if neither fits.

        Args:
            rung: The rung of the last training of a trial; -1 before the first.
            left: Seconds until the time limit.
            seconds: As for `expected`.
        """
        full = self.expected(self.last, seconds)
        if rung + 1 < self.last and self.expected(rung + 1, seconds) + full <= left:
            return rung + 1
        return self.last if rung < self.last and full <= left else None


def lengths_of(epochs: int | None, minutes: float) -> Lengths:
    """Return the lengths below a full length: a third and a ninth of it, where they are long enough.

    Args:
        epochs: Epochs of a full training; None: by time.
        minutes: Minutes of a full training.
    """
    parts = [REDUCTION ** (rung - _RUNGS + 1) for rung in range(_RUNGS)]
    if epochs is not None:
        return Lengths("epochs", tuple(sorted({max(1, round(epochs * part)) for part in parts})))
    return Lengths("minutes", tuple(minutes * part for part in parts if part == 1 or minutes * part >= _SHORTEST))
