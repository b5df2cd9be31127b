"""Training of one trial at one length: `Job`, its `Outcome`, and `train`, which makes one of the other."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unspool.data import Files
from unspool.errors import Interrupted, UnspoolError
from unspool.settings import from_record
from unspool.training import Progress, Reporter

if TYPE_CHECKING:
    from unspool.tasks.task import Task

__all__ = ["Job", "Outcome", "TimeUp", "run_files", "train"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One training, as a worker process receives it."""

    trial: int
    rung: int
    task: str
    """Name of the task."""
    settings: dict[str, Any]
    """All settings, as a record."""
    folder: str
    """Folder of the training; a training in it goes on."""
    train: tuple[str, ...] = ()
    """Files of training data; empty for data in memory."""
    valid: tuple[str, ...] = ()
    baselines: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """End of a training."""

    trial: int
    rung: int
    score: float | None = None
    """The validation score that selects the best weights; None if the training failed."""
    scores: dict[str, float] = {}
    baselines: dict[str, dict[str, float]] = {}
    seconds: float = 0.0
    stopped: str = ""
    failure: str = ""
    """Reason if the training failed, with both wordings; empty otherwise."""
    interrupted: bool = False
    """Whether a signal stopped the training; it can go on."""


class TimeUp(Exception):  # noqa: N818 - ends a training, no fault
    """Raised inside a training when the time limit of the tuning has come."""


class _Watch(Reporter):
    """Keep the best validation score of a training, and end the training at a deadline."""

    interval = 0.2

    def __init__(self, deadline: float) -> None:
        self.best: float | None = None
        self._deadline = deadline

    def progress(self, progress: Progress) -> None:
        if time.monotonic() >= self._deadline:
            raise TimeUp

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        self.best = progress.best
        self.progress(progress)


def run_files(job: Job) -> Outcome:
    """Train on files, in a process of its own; failures become part of the outcome."""
    from unspool.tasks.classes import task_class

    try:
        kind = task_class(job.task)
        task = kind(from_record(kind.settings_type, job.settings))
        return train(job, task, (Files(job.train),), Files(job.valid) or None)
    except Interrupted:
        return Outcome(trial=job.trial, rung=job.rung, interrupted=True)
    except UnspoolError as error:
        return Outcome(trial=job.trial, rung=job.rung, failure=error.message)
    except Exception as error:  # one trial must not end the others
        problem = f"unexpected error ({type(error).__name__}: {str(error)[:200]})"
        return Outcome(trial=job.trial, rung=job.rung, failure=problem)


def train(job: Job, task: Task[Any, Any], data: Sequence[Any], valid: Any, *, deadline: float = math.inf) -> Outcome:
    """Train a task on training and validation data; test data that the settings hold out stay unseen.

    Args:
        job: The training.
        task: The task with the settings of the job.
        data: Training data, as in `fit`.
        valid: Validation data, or None.
        deadline: Time at which the training ends, by `time.monotonic`.

    Raises:
        TimeUp: At the deadline.
        UnspoolError: If the training fails.
    """
    started = time.monotonic()
    watch = _Watch(deadline)
    task._scores_test = False
    folder = Path(job.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    task.fit(
        *data, valid=valid, out=folder, resume=True, baselines=job.baselines, reporter=Reporter(), callbacks=[watch]
    )
    record = task.record
    assert record is not None
    scores = record.metrics.get("valid", {})
    score = scores.get(task.metric[0], watch.best)
    if score is None or not math.isfinite(score):
        return Outcome(trial=job.trial, rung=job.rung, failure=f"its validation score, {task.metric[0]}, is {score}")
    return Outcome(
        trial=job.trial,
        rung=job.rung,
        score=score,
        scores={name: value for name, value in scores.items() if math.isfinite(value)},
        baselines=record.baselines,
        seconds=round(time.monotonic() - started, 2),
        stopped=record.training["stopped"],
    )
