"""Callbacks of a training: functions and reporters beside the progress bar, and the `logging` reporter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from unspool.errors import UsageError, for_python
from unspool.training.progress import BarReporter, LineReporter, Progress, Reporter, validation_line

__all__ = ["Callback", "LogReporter", "titled", "together"]

Callback = Reporter | Callable[[Progress, dict[str, float]], object]
"""A reporter, or a function called after each validation, which ends the training by returning True."""


class LogReporter(Reporter):
    """Write to the logger `unspool.training`: start, validations, notes and end at INFO, warnings at WARNING.

    Every `fit` of a task has one.
    """

    _log = logging.getLogger("unspool.training")

    def started(self, text: str, progress: Progress) -> None:
        """Log the start."""
        self.note(text)

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """Log the scores."""
        self.note(validation_line(progress, metrics, improved))

    def note(self, text: str) -> None:
        """Log a line."""
        self._log.info("%s", for_python(text))

    def warn(self, text: str) -> None:
        """Log a warning."""
        self._log.warning("%s", for_python(text))

    def finished(self, text: str) -> None:
        """Log the end."""
        if text:
            self.note(text)


def titled(reporter: Reporter, titles: Mapping[str, str]) -> Reporter:
    """Show scores under longer titles in the bar or the lines; custom reporters receive the names of the scores.

    Args:
        reporter: The reporter to wrap.
        titles: Title of each score, by name.
    """
    return _Titled(reporter, titles) if titles and isinstance(reporter, BarReporter | LineReporter) else reporter


def together(reporter: Reporter, callbacks: Iterable[Callback]) -> Reporter:
    """Return one reporter that forwards all events to a reporter and to callbacks, each at its own interval.

    Raises:
        UsageError: If a callback is neither a reporter nor a function.
    """
    return _Several([reporter, *map(_reporter_of, callbacks)])


def _reporter_of(callback: Callback) -> Reporter:
    if isinstance(callback, Reporter):
        return callback
    if isinstance(callback, type) or not callable(callback):
        raise UsageError(
            f"callbacks holds {callback!r}: expected instances of unspool.training.Reporter, or functions of "
            f"(progress, metrics)"
        )
    return _Function(callback)


class _Function(Reporter):
    """Call a function after each validation."""

    def __init__(self, function: Callable[[Progress, dict[str, float]], object]) -> None:
        self._function = function

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        if self._function(progress, dict(metrics)) is True:
            self.stop()


class _Several(Reporter):
    """Forward all events; `progress` to each reporter at most once per its interval."""

    def __init__(self, reporters: list[Reporter]) -> None:
        self._reporters = reporters
        self._last = [time.monotonic()] * len(reporters)
        self.interval = min(reporter.interval for reporter in reporters)

    @property
    def talks(self) -> bool:
        return self._reporters[0].talks

    def started(self, text: str, progress: Progress) -> None:
        for reporter in self._reporters:
            reporter.started(text, progress)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        for place, reporter in enumerate(self._reporters):
            if now - self._last[place] >= 0.99 * reporter.interval:  # the loop reads its clock slightly earlier
                self._last[place] = now
                reporter.progress(progress)

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        for reporter in self._reporters:
            reporter.validated(progress, metrics, improved)

    def scoring(self, part: str, done: int, total: int) -> None:
        for reporter in self._reporters:
            reporter.scoring(part, done, total)

    def scored(self) -> None:
        for reporter in self._reporters:
            reporter.scored()

    def note(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.note(text)

    def warn(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.warn(text)

    def finished(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.finished(text)

    def take_stop(self) -> bool:
        return any([reporter.take_stop() for reporter in self._reporters])  # noqa: C419 - every one is cleared


class _Titled(Reporter):
    """Passes everything on, with scores of validations under titles."""

    def __init__(self, inner: Reporter, titles: Mapping[str, str]) -> None:
        self.interval, self._inner, self._titles = inner.interval, inner, titles

    @property
    def talks(self) -> bool:
        return self._inner.talks

    def _titled(self, progress: Progress) -> Progress:
        return replace(progress, metric=self._titles.get(progress.metric, progress.metric))

    def started(self, text: str, progress: Progress) -> None:
        self._inner.started(text, self._titled(progress))

    def progress(self, progress: Progress) -> None:
        self._inner.progress(self._titled(progress))

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        titles = {self._titles.get(name, name): value for name, value in metrics.items()}
        self._inner.validated(self._titled(progress), titles, improved)

    def scoring(self, part: str, done: int, total: int) -> None:
        self._inner.scoring(part, done, total)

    def scored(self) -> None:
        self._inner.scored()

    def note(self, text: str) -> None:
        self._inner.note(text)

    def warn(self, text: str) -> None:
        self._inner.warn(text)

    def take_stop(self) -> bool:
        return self._inner.take_stop()

    def finished(self, text: str) -> None:
        for name, title in self._titles.items():
            text = text.replace(f"best {name} ", f"best {title} ")
        self._inner.finished(text)
