"""`Schedule`: begins the trainings of a tuning while they fit into the time, and keeps the best model."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unspool.errors import Interrupted, SettingError, TrainingError, counted, for_python
from unspool.settings import Settings, make, to_record
from unspool.training.interrupts import Interrupts
from unspool.training.progress import Reporter
from unspool.tuning.folder import (
    TuningRecord,
    best_record,
    keep_best,
    remove_trainings,
    training_folder,
    way_on,
    write_tuning,
)
from unspool.tuning.job import Job, Outcome
from unspool.tuning.pools import Pool
from unspool.tuning.result import BEST, Training, Trial, Tuning
from unspool.tuning.search import Search

__all__ = ["Schedule", "Timer"]

_BEAT = 10.0  # seconds between records of the elapsed time
_POLL = 0.2  # seconds between looks at signals
_FAILURES = 5  # in a row, which end a tuning


class Timer:
    """Elapsed time of a tuning over all its sessions.

    Args:
        minutes: Time limit.
        earlier: Seconds of earlier sessions.
        started: Start of this session, by `time.monotonic`.
    """

    def __init__(self, minutes: float, earlier: float, started: float) -> None:
        self._begun = started - earlier
        self.deadline = self._begun + 60 * minutes
        """Time at which the limit is reached, by `time.monotonic`."""

    def seconds(self) -> float:
        """Return the elapsed seconds of all sessions."""
        return time.monotonic() - self._begun

    def left(self) -> float:
        """Return the seconds until the limit; negative after it."""
        return self.deadline - time.monotonic()


@dataclass
class Schedule:
    """Trials of one session of a tuning."""

    folder: Path
    record: TuningRecord
    settings: Settings
    """Settings of the first trial."""
    files: Mapping[str, tuple[str, ...]]
    """Files of the training and validation data; empty for data in memory."""
    search: Search
    pool: Pool
    timer: Timer
    reporter: Reporter
    on_trial: Callable[[Tuning], object] | None = None

    def run(self, interrupts: Interrupts) -> None:
        """Run trials until the time is up, or nothing is left to try.

        Raises:
            Interrupted: If a signal has asked to stop; running trainings are saved.
            TrainingError: If the first trial fails, many fail in a row, or no training ends in time.
        """
        self._ready: deque[tuple[Trial, int]] = deque()
        self._written, self._failures = 0.0, 0
        self._seconds: dict[int, float] = {}
        for trial in self.search.trials:
            for training in trial.trainings:
                self._measure(training)
        try:
            self._take_up()
            self._loop(interrupts)
        finally:
            self.pool.close()
            self._write(always=True)
        self._end()

    def _loop(self, interrupts: Interrupts) -> None:
        while True:
            while not interrupts.requested and self.pool.has_room and (job := self._next()) is not None:
                self.pool.start(job)
            if interrupts.requested:
                self.pool.stop()
                raise self.interrupted()
            if not self.pool.running or self.timer.left() <= 0:
                return
            outcome = self.pool.wait(_POLL, self.timer.deadline)
            if outcome is not None and outcome.interrupted:
                self.pool.stop()
                raise self.interrupted()
            if outcome is not None:
                self._take(outcome)
            self._write()

    def _take_up(self) -> None:
        """Go on with trials that an earlier session has not ended, and with the best model."""
        for trial in self.search.running:
            if trial.last is not None and self._is_full(trial.last):
                self.search.complete(trial.number, trial.last.score)
            else:
                self._go_on(trial, -1 if trial.last is None else trial.last.rung)
        self._keep_best()

    def _next(self) -> Job | None:
        """Return the next training that fits into the time; None if there is none."""
        while self.timer.left() > 0:
            if self._ready:
                trial, rung = self._ready.popleft()
            else:
                trials = len(self.search.trials)
                rung_or_none = self._next_rung(-1) if trials else 0
                if rung_or_none is None or (self.record.trials is not None and trials >= self.record.trials):
                    return None
                begun = self.search.begin()
                if begun is None:
                    return None
                trial, rung = begun, rung_or_none
            try:
                return self._job(trial, rung)
            except SettingError as error:
                self._fail(trial.number, error.message)
        return None

    def _job(self, trial: Trial, rung: int) -> Job:
        values = {**trial.settings, **self.record.lengths.settings(rung)}
        return Job(
            trial=trial.number,
            rung=rung,
            task=self.record.task,
            settings=to_record(make(type(self.settings), values, base=self.settings)),
            folder=str(training_folder(self.folder, trial.number, rung)),
            train=self.files.get("train", ()),
            valid=self.files.get("valid", ()),
            baselines=trial.number == 0 and self.record.baselines and not self.record.baseline_scores,
        )

    def _take(self, outcome: Outcome) -> None:
        """Add an outcome to its trial, and decide how the trial goes on."""
        if outcome.score is None:
            if outcome.trial == 0:
                raise TrainingError(f"the trial of the default settings failed: {outcome.failure}")
            self._fail(outcome.trial, outcome.failure)
            return
        self._failures = 0
        if outcome.baselines:
            self.record.baseline_scores = outcome.baselines
            write_tuning(self.folder, self.record)  # before the training counts as done
        training = Training(outcome.rung, outcome.score, outcome.scores, outcome.seconds, outcome.stopped)
        self._measure(training)
        goes_on = self.search.add(outcome.trial, training, full=self._is_full(training))
        self._keep_best()
        if goes_on:
            self._go_on(next(each for each in self.search.running if each.number == outcome.trial), outcome.rung)
        elif not self._is_full(training):
            self.search.stop(outcome.trial)
        self._clear()
        self._tell(outcome.trial)

    def _go_on(self, trial: Trial, rung: int) -> None:
        """Plan the next training of a trial, or end the trial if none fits into the time."""
        following = self._next_rung(rung)
        if following is not None:
            self._ready.append((trial, following))
        elif trial.last is not None:
            self.search.stop(trial.number)

    def _next_rung(self, rung: int) -> int | None:
        return self.record.lengths.next_rung(rung, self.timer.left(), self._seconds)

    def _is_full(self, training: Training) -> bool:
        """Return whether a trial has its full length: a training that ended before its time limit gains no more."""
        lengths = self.record.lengths
        return training.rung == lengths.last or (lengths.unit == "minutes" and training.stopped != "minutes")

    def _measure(self, training: Training) -> None:
        rungs = [training.rung]
        if self._is_full(training):
            rungs = list(range(training.rung, self.record.lengths.last + 1))
        for rung in rungs:
            self._seconds[rung] = max(self._seconds.get(rung, 0.0), training.seconds)

    def _fail(self, number: int, failure: str) -> None:
        self.search.fail(number, for_python(failure))
        self._failures += 1
        self._clear()
        self._tell(number)
        if self._failures >= _FAILURES:
            raise TrainingError(f"{_FAILURES} trials in a row failed, the last one with: {failure}")

    def _tell(self, number: int) -> None:
        """Report a trial that has ended."""
        tuning = self.result()
        if next(trial for trial in tuning.trials if trial.number == number).state != "running":
            self.reporter.note(tuning.line(number))
            if self.on_trial is not None:
                self.on_trial(tuning)

    def _keep_best(self) -> None:
        best = self.result().best
        if best is not None and best.last is not None:
            keep_best(self.folder, best.number, best.last.rung)

    def _clear(self) -> None:
        keep = {job.trial: job.rung for job in self.pool.running.values()}
        remove_trainings(self.folder, keep | {trial.number: rung for trial, rung in self._ready})

    def _write(self, *, always: bool = False) -> None:
        """Record the elapsed time, so that it counts after a kill."""
        if always or time.monotonic() - self._written >= _BEAT:
            self.record.seconds = round(self.timer.seconds(), 1)
            write_tuning(self.folder, self.record)
            self._written = time.monotonic()

    def _end(self) -> None:
        """End the trials that the time limit has cut."""
        if self.result().best is None:
            raise TrainingError(
                f"the time was up before the first training had ended; allow more minutes, or a shorter training, and "
                f"go on with: {way_on(self.folder, self.record)}"
            )
        for trial in self.search.running:
            if trial.last is None:
                self.search.fail(trial.number, "the time was up")
            else:
                self.search.stop(trial.number)
        self._ready.clear()
        self.pool.running.clear()
        self._clear()

    def result(self) -> Tuning:
        """Return the trials so far."""
        record = self.record
        best = best_record(self.folder) if (self.folder / BEST).is_dir() else None
        return Tuning(
            task=record.task,
            folder=self.folder,
            metric=record.metric,
            higher_is_better=record.higher_is_better,
            main_metric=record.main_metric,
            lengths=record.lengths,
            settings=tuple(record.space),
            trials=tuple(self.search.trials),
            baselines=record.baseline_scores,
            test={} if best is None else best.metrics.get("test", {}),
            seconds=self.timer.seconds(),
            files=self.files,
        )

    def interrupted(self) -> Interrupted:
        """Return the error of a stopped tuning, with the command to go on."""
        tuning = self.result()
        ended = sum(trial.state != "running" for trial in tuning.trials)
        best = ""
        if tuning.best is not None and tuning.best.last is not None:
            best = f", the best model so far ({tuning.metric} {tuning.best.last.score:.4g}) is {self.folder / BEST}"
        return Interrupted(
            f"stopped after {counted(ended, 'trials')}{best}; go on with: {way_on(self.folder, self.record)}"
        )
