"""What a person sees while a network trains: a bar on a terminal, a line every so often elsewhere; all on stderr."""

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
    """Where a run stands."""

    epoch: float
    """Passes over the data so far, with the fraction of the one under way."""
    epochs: int
    update: int
    updates: int
    """Updates in all, as planned."""
    loss: float | None
    """Mean loss per target since the last log line, in nats."""
    metric: str
    value: float | None
    """The metric at the last validation."""
    best: float | None
    """The metric at the best one."""
    learning_rate: float
    tokens_per_second: float
    seconds: float
    """Time spent, that before a resume included."""
    seconds_left: float | None
    """Estimate until the planned end or the time limit; validations count once the first is done."""

    def __str__(self) -> str:
        parts = [
            f"epoch {min(self.epoch, self.epochs):.1f}/{self.epochs}",
            f"update {self.update}/{self.updates}",
            *self.details(),
        ]
        return "  ".join(parts)

    def details(self) -> list[str]:
        """All but the position, each in a few words."""
        parts = [] if self.loss is None else [f"loss {self.loss:.4f}"]
        if self.value is not None:
            best = "" if self.best is None else f" (best {self.best:.4g})"
            parts.append(f"{self.metric} {self.value:.4g}{best}")
        parts += [f"lr {self.learning_rate:.3g}", f"{thousands(self.tokens_per_second)} tokens/s"]
        if self.seconds_left is not None:
            parts.append(f"{clock(self.seconds_left)} left")
        return parts


class Reporter:
    """Hears how a training goes and says nothing: the base of reporters, which override the methods that they need.

    `fit(..., reporter=...)` takes one in place of the bar, `fit(..., callbacks=[...])` takes several beside it. Under
    `torchrun` the first process alone has one. What a reporter raises ends the training.

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
        """End the training after the update under way.

        The weights are validated and saved, and the best so far are kept, as at the end of any training.
        """
        self._stop_requested = True

    def take_stop(self) -> bool:
        """Whether `stop` was called since the last call of this method; for the training loop."""
        stop, self._stop_requested = self._stop_requested, False
        return stop

    @property
    def talks(self) -> bool:
        """Whether a person reads along, who is to be answered on ctrl-C."""
        return type(self) is not Reporter

    def started(self, text: str, progress: Progress) -> None:
        """Training starts or is resumed; `text` says which."""

    def progress(self, progress: Progress) -> None:
        """Training is under way; called every `interval` seconds, between two updates."""

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """A validation is done; `improved` says whether its weights are the best so far."""

    def scoring(self, part: str, done: int, total: int) -> None:
        """Final scores of one part of the data are computed; so many of its examples are done."""

    def scored(self) -> None:
        """Final scores of one part of the data are there; also called when they fail."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def warn(self, text: str) -> None:
        """Something that a person may have to act on; a note, if not overridden."""
        self.note(f"note: {text}")

    def finished(self, text: str) -> None:
        """Training has ended, by whatever way; also called when it fails, with an empty text."""


class LineReporter(Reporter):
    """Plain lines, for files and pipes."""

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
        """Say how it starts."""
        self.note(text)

    def progress(self, progress: Progress) -> None:
        """Say how far it is."""
        self.note(str(progress))

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        """Say what the validation gave."""
        self.note(validation_line(progress, metrics, improved))

    def scoring(self, part: str, done: int, total: int) -> None:
        """Say how far it is."""
        self.note(f"scoring {part}: {done:,} of {total:,}")

    def note(self, text: str) -> None:
        """Write a line."""
        with suppress(OSError):  # a full standard error costs no training
            print(self._render(text), file=self._stream or sys.stderr, flush=True)

    def finished(self, text: str) -> None:
        """Say how it ended."""
        if text:
            self.note(text)


class BarReporter(Reporter):
    """A bar that moves, with a line above it for each validation; without colours where NO_COLOR says so."""

    interval = 0.25

    def __init__(self, stream: TextIO | None = None, *, render: Callable[[str], str] = for_python) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._render = render
        self._console = Console(file=stream or sys.stderr, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[details]}"))
        # No thread of its own: it is drawn from the training loop, and takes nothing between two drawings.
        self._bar = Bar(*columns, console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("", total=None, details="")

    def started(self, text: str, progress: Progress) -> None:
        """Say how it starts."""
        self.note(text)
        self._bar.start()
        self.progress(progress)

    def progress(self, progress: Progress) -> None:
        """Say how far it is."""
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
        """Say what the validation gave."""
        self.note(validation_line(progress, metrics, improved))
        self.progress(progress)

    def scoring(self, part: str, done: int, total: int) -> None:
        """Say how far it is."""
        self._bar.start()
        details = f"{done:,} of {total:,}"
        self._bar.update(
            self._task, description=f"scoring {part}", completed=done, total=total, details=details, refresh=True
        )

    def scored(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Write a line."""
        self._console.print(self._render(text), markup=False, soft_wrap=True)

    def finished(self, text: str) -> None:
        """Say how it ended."""
        self._bar.stop()
        if text:
            self.note(text)


def report_to(stream: TextIO | None = None, *, render: Callable[[str], str] = for_python) -> Reporter:
    """The reporter that suits a stream: a bar on a terminal, lines elsewhere.

    Args:
        stream: Where to write; stderr if omitted.
        render: Chooses between the wordings of a message: `errors.for_python` or `errors.for_command_line`.
    """
    stream = stream or sys.stderr
    return BarReporter(stream, render=render) if stream.isatty() else LineReporter(stream, render=render)


def thousands(number: float) -> str:
    """A number to three digits: 950, 12.3k, 1.20M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """A time as 0:42, 12:05 or 3:07:59."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A time in words, rounded: 40 seconds, 12 minutes, 3.5 hours, 2.1 days."""
    for size, limit, unit in ((1, 90, "seconds"), (60, 90 * 60, "minutes"), (3600, 36 * 3600, "hours")):
        if seconds < limit:
            return f"{seconds / size:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def validation_line(progress: Progress, metrics: dict[str, float], improved: bool) -> str:
    """What a validation gave, in one line."""
    loss = "" if progress.loss is None else f"  loss {progress.loss:.4f}"
    scores = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
    mark = "best so far" if improved else f"best {progress.best:.5g}" if progress.best is not None else ""
    return (
        f"epoch {progress.epoch:.4g}{loss}  {scores}  ({mark})  lr {progress.learning_rate:.3g}"
        f"  {thousands(progress.tokens_per_second)} tokens/s  {clock(progress.seconds)}"
    )
