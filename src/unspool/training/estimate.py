"""Estimate of the remaining training time, from the speed of updates and the time of validations."""

from __future__ import annotations

from collections.abc import Sequence

from unspool.errors import option
from unspool.training.clock import Clock
from unspool.training.progress import duration
from unspool.training.settings import TrainingSettings
from unspool.training.state import RunState

__all__ = ["Estimate"]

_FIRST = 5.0  # seconds before the first estimate is reported
_LONG = 600.0  # estimates of at least so many seconds come with ways to shorten the run
_NEWS = 0.1  # a later estimate is reported if it differs by this fraction
_DEAR = 0.3  # fraction of the remaining time above which rarer validation is suggested


class Estimate:
    """Estimate the remaining time of a run, and report it.

    The speed of training is measured in this session, checkpoints included, without the first update, which may
    compile.

    Args:
        clock: Clock of the run.
        settings: The length of the run.
        per_epoch: Updates per epoch.
        validates: Whether the run validates.
    """

    def __init__(self, clock: Clock, settings: TrainingSettings, per_epoch: int, *, validates: bool) -> None:
        self._clock, self._settings, self._validates = clock, settings, validates
        self._updates = settings.epochs * per_epoch
        self._every = settings.validate_every * per_epoch
        self._first: tuple[int, float] | None = None
        self._announced: float | None = None
        self._is_final = False

    def updated(self, update: int) -> None:
        """Record the end of an update."""
        if self._first is None:
            self._first = update, self._clock.working()

    def seconds_left(self, state: RunState) -> float | None:
        """Return the seconds until the end or the time limit, validations included; None before the first update."""
        if self._first is None:
            return None
        left = self._training_left(state.update) + self._validating_left(state)
        if self._settings.minutes is not None:
            left = min(left, max(0.0, 60 * self._settings.minutes - self._clock.seconds()))
        return left

    def news(self, state: RunState, shorten: Sequence[str]) -> str | None:
        """Return the estimate to report now: after the first seconds, and again if a validation changes it. Else None.

        Args:
            state: State of the run.
            shorten: Ways to shorten the run besides fewer epochs and a time limit, each in a few words.
        """
        left = self.seconds_left(state)
        whole = not self._validates or self._clock.validations > 0
        if left is None or self._is_final or self._first is None or state.update == self._first[0]:
            return None
        if self._announced is None and self._clock.session() < _FIRST:
            return None
        end = self._clock.seconds() + left
        if self._announced is not None and not whole:
            return None
        before, self._announced, self._is_final = self._announced, end, whole
        if left < _FIRST or (before is not None and abs(end - before) < _NEWS * before):
            return None
        return self._text(state, left, shorten, whole=whole)

    def _text(self, state: RunState, left: float, shorten: Sequence[str], *, whole: bool) -> str:
        validation = "" if not self._validates else ", validation included" if whole else ", validation not yet counted"
        most = "at most" if self._settings.patience is not None else "about"
        text = f"estimate: {most} {duration(left)} left{validation}"
        if left < _LONG:
            return text
        ways = [
            *shorten,
            f"fewer epochs ({option('epochs', 'N')}, now {self._settings.epochs})",
            f"a time limit ({option('minutes', 'N')})",
        ]
        if self._validating_left(state) > _DEAR * left:
            ways.insert(0, f"rarer validation ({option('validate_every', 'N')}, now {self._settings.validate_every:g})")
        return f"{text}; to shorten it: {', '.join(ways)}"

    def seconds_per_update(self, update: int, *, validating: bool = True) -> float:
        """Return the mean seconds of an update of this session, after the first one if there are more.

        Args:
            update: Number of updates so far, at least one of them in this session.
            validating: Whether to add the share of the time of validations.
        """
        assert self._first is not None
        first, began = self._first
        seconds, updates = self._clock.working(), 1
        if update > first:
            seconds, updates = seconds - began, update - first
        share = self._clock.seconds_per_validation() / self._every if validating and self._validates else 0.0
        return seconds / updates + share

    def _training_left(self, update: int) -> float:
        return self.seconds_per_update(update, validating=False) * max(0, self._updates - update)

    def _validating_left(self, state: RunState) -> float:
        if not self._clock.validations:
            return 0.0
        total, earlier = (int(number / self._every + 1e-9) for number in (self._updates, state.validated))
        total += self._updates > total * self._every + 1e-6  # the end of a run is validated too
        return max(0, total - earlier) * self._clock.seconds_per_validation()
