"""Progress of a training through its schedule: by updates, or by time with a limit in minutes."""

from __future__ import annotations

from collections.abc import Sequence

from unspool.errors import SettingError

__all__ = ["Pace", "read_course", "write_course"]

_TOLERANCE = 0.03  # relative change of the speed below which the pace stays as it is
_PARTS = 50  # the pace changes at most once per this part of the updates left

Knot = tuple[int, float, float]


class Pace:
    """Progress as a function of the number of updates: linear, or piecewise linear under a time limit.

    Under a limit, the slope follows the measured speed, so that the progress reaches 1 when the time ends. The knots
    alone determine the progress: a training that repeats them makes the same updates.

    Args:
        updates: Number of updates of all epochs.
        knots: Knots so far, in order: number of updates, progress there, and progress per update from there on. The
            list is extended in place.
        timed: Whether there is a limit.
    """

    def __init__(self, updates: int, knots: list[Knot], *, timed: bool = False) -> None:
        self._updates, self.knots = updates, knots
        if timed and not knots:
            knots.append((0, 0.0, 1 / updates))

    def at(self, update: int) -> float:
        """Return the fraction of the training before an update, between 0 and 1."""
        for start, progress, slope in reversed(self.knots):
            if start <= update:
                return min(1.0, progress + (update - start) * slope)
        return min(1.0, update / self._updates)

    def revise(self, update: int, seconds_per_update: float, seconds_left: float) -> None:
        """Adapt the slope from an update on to the measured speed.

        Args:
            update: Number of updates so far.
            seconds_per_update: Mean time of an update, with its share of the time of validations.
            seconds_left: Time until the limit.
        """
        by_time = max(1.0, seconds_left / max(seconds_per_update, 1e-9))
        left = min(by_time, max(1, self._updates - update))
        start, _, slope = self.knots[-1]
        if update - start < left / _PARTS and start:
            return
        progress = self.at(update)
        new = (1.0 - progress) / left
        if abs(new - slope) > _TOLERANCE * slope:
            self.knots.append((update, progress, new))

    def course(self, updates: int) -> str | None:
        """Return the knots as text, with the end of the training after some updates; None without a time limit."""
        if not self.knots:
            return None
        return write_course([*(knot for knot in self.knots if knot[0] < updates), (updates, 1.0, 0.0)])

    def ends(self, update: int) -> bool:
        """Return whether a repeated training ends before an update: its last knot stands at the end."""
        end, _, slope = self.knots[-1]
        return slope == 0 and update >= end


def write_course(knots: Sequence[Knot]) -> str:
    """Write knots as text, exactly: `0:0.0:0.001 200:0.2:0.0012`."""
    return " ".join(f"{update}:{progress!r}:{slope!r}" for update, progress, slope in knots)


def read_course(text: str) -> list[Knot]:
    """Read the text of `write_course`.

    Raises:
        SettingError: If the text is not a course.
    """
    knots: list[Knot] = []
    for word in text.split():
        parts = word.split(":")
        try:
            update, progress, slope = int(parts[0]), float(parts[1]), float(parts[2])
        except (ValueError, IndexError):
            raise SettingError(f"course = {text!r:.60}: expected update:progress:slope, several with blanks") from None
        ascending = not knots or update > knots[-1][0]
        if len(parts) != 3 or not ascending or update < 0 or not (0 <= progress <= 1 and 0 <= slope < float("inf")):
            raise SettingError(f"course = {text!r:.60}: {word!r} is not a knot after the one before it")
        knots.append((update, progress, slope))
    if not knots or knots[0][0] != 0:
        raise SettingError(f"course = {text!r:.60}: expected a first knot at update 0")
    return knots
