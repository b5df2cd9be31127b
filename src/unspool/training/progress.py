"""Progress reports of a training on stderr: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from unspool.errors import for_python

__all__ = [
    "BarReporter",
    "LineReporter",
    "Progress",
    "Reporter",
    "clock",
    "duration",
    "report_to",
    "thousands",
    "validation_line",
]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a run: position, loss, scores, speed and remaining time."""

    epoch: float
    """Epochs so far, with the fraction of the current one."""
    epochs: int
    update: int
    updates: int
    """Planned number of updates."""
    loss: float | None
    """Mean loss per target since the last log line, in nats."""
    metric: str
    value: float | None
    """The metric at the last validation."""
    best: float | None
    """The metric at the best validation."""
    learning_rate: float
    tokens_per_second: float
    seconds: float
    """Elapsed time, earlier sessions included."""
    seconds_left: float | None
    """Estimated seconds until the planned end or the time limit; includes validations after the first one."""

    def __str__(self) -> str:
        parts = [
            f"epoch {min(self.epoch, self.epochs):.1f}/{self.epochs}",
            f"update {self.update}/{self.updates}",
            *self.details(),
        ]
        return "  ".join(parts)

    def details(self) -> list[str]:
        """Return everything except the position, each part in a few words."""
        parts = [] if self.loss is None else [f"loss {self.loss:.4f}"]
        if self.value is not None:
            best = "" if self.best is None else f" (best {self.best:.4g})"
            parts.append(f"{self.metric} {self.value:.4g}{best}")
        parts += [f"lr {self.learning_rate:.3g}", f"{thousands(self.tokens_per_second)} tokens/s"]
        if self.seconds_left is not None:
            parts.append(f"{clock(self.seconds_left)} left")
        return parts


class Reporter:
    """Base of reporters, which receive the events of a training; override the methods you need.

    `fit(..., reporter=...)` takes one in place of the bar, `fit(..., callbacks=[...])` takes several beside it. Under
    `torchrun` only rank 0 has one. An exception in a reporter ends the training.

    Example:
        >>> class Patient(Reporter):
        ...     def validated(self, progress, metrics, improved):
        ...         if metrics["accuracy"] > 0.95:
        ...             self.stop()
    """

    interval: float = float("inf")
    """Seconds between calls of `progress`."""
    _stop_requested = False

    def stop(self) -> None:
        """End the training after the current update, with the usual last validation and checkpoint."""
        self._stop_requested = True

    def take_stop(self) -> bool:
        """Return whether `stop` was called since the last call of this method; for the training loop."""
        stop, self._stop_requested = self._stop_requested, False
        return stop

    @property
    def talks(self) -> bool:
        """Whether messages reach a person, so that ctrl-C is confirmed."""
        return type(self) is not Reporter

    def started(self, text: str, progress: Progress) -> None:
        """Receive the start of a training; `text` describes it."""

    def progress(self, progress: Progress) -> None:
        """Receive progress, every `interval` seconds, between two updates."""

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """Receive the scores of a validation; `improved` is whether its weights are the best so far."""

    def scoring(self, part: str, done: int, total: int) -> None:
        """Receive progress of the final scores of one part of the data, in examples."""

    def scored(self) -> None:
        """Receive the end of the final scores of one part of the data, also after an error."""

    def note(self, text: str) -> None:
        """Receive a message for the user."""

    def warn(self, text: str) -> None:
        """Receive a warning for the user; a note by default."""
        self.note(f"note: {text}")

    def finished(self, text: str) -> None:
        """Receive the end of a training; `text` is empty after an error."""


class LineReporter(Reporter):
    """Report by plain lines, for files and pipes.

    Args:
        stream: Stream to write to; stderr if omitted.
        interval: Seconds between lines of progress.
        render: Chooses between the wordings of a message: `errors.for_python` or `errors.for_command_line`.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        interval: float = 10.0,
        *,
        render: Callable[[str], str] = for_python,
    ) -> None:
        self.interval = interval
        self._stream, self._render = stream, render

    def started(self, text: str, progress: Progress) -> None:
        """Report the start."""
        self.note(text)

    def progress(self, progress: Progress) -> None:
        """Report progress."""
        self.note(str(progress))

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """Report the scores."""
        self.note(validation_line(progress, metrics, improved))

    def scoring(self, part: str, done: int, total: int) -> None:
        """Report progress."""
        self.note(f"scoring {part}: {done:,} of {total:,}")

    def note(self, text: str) -> None:
        """Write a line."""
        with suppress(OSError):  # an unwritable stderr must not end the training
            print(self._render(text), file=self._stream or sys.stderr, flush=True)

    def finished(self, text: str) -> None:
        """Report the end."""
        if text:
            self.note(text)


class BarReporter(Reporter):
    """Report by a progress bar, with a line above it for each validation; NO_COLOR turns colours off.

    Args:
        stream: Stream to write to; stderr if omitted.
        render: As for `LineReporter`.
    """

    interval = 0.25

    def __init__(self, stream: TextIO | None = None, *, render: Callable[[str], str] = for_python) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._render = render
        self._console = Console(file=stream or sys.stderr, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[details]}"))
        # no thread: the training loop redraws the bar, which costs nothing in between
        self._bar = Bar(*columns, console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("", total=None, details="")

    def started(self, text: str, progress: Progress) -> None:
        """Report the start."""
        self.note(text)
        self._bar.start()
        self.progress(progress)

    def progress(self, progress: Progress) -> None:
        """Report progress."""
        position = f"epoch {min(progress.epoch, progress.epochs):.1f}/{progress.epochs}"
        self._bar.update(
            self._task,
            description=position,
            completed=progress.update,
            total=progress.updates,
            details="  ".join(progress.details()),
            refresh=True,
        )

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """Report the scores."""
        self.note(validation_line(progress, metrics, improved))
        self.progress(progress)

    def scoring(self, part: str, done: int, total: int) -> None:
        """Report progress."""
        self._bar.start()
        details = f"{done:,} of {total:,}"
        self._bar.update(
            self._task, description=f"scoring {part}", completed=done, total=total, details=details, refresh=True
        )

    def scored(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Write a line."""
        self._console.print(self._render(text), markup=False, soft_wrap=True)

    def finished(self, text: str) -> None:
        """Report the end."""
        self._bar.stop()
        if text:
            self.note(text)


def report_to(stream: TextIO | None = None, *, render: Callable[[str], str] = for_python) -> Reporter:
    """Return the reporter for a stream: a bar on a terminal, lines elsewhere.

    Args:
        stream: Stream to write to; stderr if omitted.
        render: Chooses between the wordings of a message: `errors.for_python` or `errors.for_command_line`.
    """
    stream = stream or sys.stderr
    return BarReporter(stream, render=render) if stream.isatty() else LineReporter(stream, render=render)


def thousands(number: float) -> str:
    """Format a number with three digits: 950, 12.3k, 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """Format seconds as 0:42, 12:05 or 3:07:59."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Format seconds in words, rounded: 40 seconds, 12 minutes, 3.5 hours, 2.1 days."""
    for size, limit, unit in ((1, 90, "seconds"), (60, 90 * 60, "minutes"), (3600, 36 * 3600, "hours")):
        if seconds < limit:
            return f"{seconds / size:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def validation_line(progress: Progress, metrics: dict[str, float], improved: bool) -> str:
    """Format the scores of a validation as one line."""
    loss = "" if progress.loss is None else f"  loss {progress.loss:.4f}"
    scores = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
    mark = "best so far" if improved else f"best {progress.best:.5g}" if progress.best is not None else ""
    return (
        f"epoch {progress.epoch:.4g}{loss}  {scores}  ({mark})  lr {progress.learning_rate:.3g}"
        f"  {thousands(progress.tokens_per_second)} tokens/s  {clock(progress.seconds)}"
    )
