"""`tune`: search the settings of a task that score best on validation data, within a time limit."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.cells import is_built_in, split_name
from unspool.data import DataSource, Files, RowsInMemory
from unspool.data.in_memory import reusable
from unspool.errors import (
    DataError,
    Interrupted,
    ModelFolderError,
    SettingError,
    UnspoolError,
    UsageError,
    counted,
    option,
)
from unspool.settings import Settings, describe, from_record, to_record
from unspool.tasks.classes import resolve_task, task_class
from unspool.tasks.running.fit import data_facts, read_splits
from unspool.tasks.running.model_folder import rounded, versions
from unspool.tasks.running.planning import plan_data, plan_training
from unspool.tasks.running.splits import Data, Splits, paths_of
from unspool.tasks.space import Choice
from unspool.training.devices import choose_device
from unspool.training.distributed import join
from unspool.training.interrupts import Interrupts
from unspool.training.progress import Reporter, report_to
from unspool.training.threads import num_threads
from unspool.tuning.folder import (
    TuningRecord,
    best_record,
    holds_tuning,
    open_folder,
    read_tuning,
    write_best,
    write_tuning,
)
from unspool.tuning.job import Job, Outcome, train
from unspool.tuning.lengths import Lengths, lengths_of
from unspool.tuning.pools import Pool, Processes, ThisProcess
from unspool.tuning.result import BEST, Tuning
from unspool.tuning.schedule import Schedule, Timer
from unspool.tuning.search import Search, need_optuna
from unspool.tuning.spaces import SPACES, Space, check_space, read_space, short_names, space_of

if TYPE_CHECKING:
    from unspool.cells import Cell
    from unspool.tasks.task import Task

__all__ = ["resume_tuning", "tune"]

_PART = 6  # full trainings that the time limit holds, if no length of a training is passed
_MOST_PROCESSES = 8  # unless more are asked for
_OWN = ("training.minutes", "training.course")  # settings that the lengths of the trials decide


def tune(
    task: str | type[Task[Any, Any]],
    *data: Any,
    out: str | Path,
    minutes: float = 60.0,
    trial_minutes: float | None = None,
    trials: int | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    valid: Any = None,
    test: Any = None,
    resume: bool = False,
    baselines: bool = True,
    reporter: Reporter | None = None,
    on_trial: Callable[[Tuning], object] | None = None,
    settings: Settings | None = None,
    **values: Any,
) -> Tuning:
    """Search the settings of a task that score best on validation data, within a time limit.

    The first trial has the default settings, as `fit` plans them for one full training. A sampler (TPE, by optuna)
    chooses the settings of the others. Each trial trains for a ninth of the full length first; the best third of the
    trials train again for a third of it, and the best third of these for all of it (successive halving). All trials
    share the seed, the data and the split.

    Args:
        task: A task's class, or its name on the command line: `Classifier`, or `"classify"`.
        data: Training data, as in `fit`. Data in memory are trained in this process, one trial at a time.
        out: Folder of the tuning, new or empty. It receives the best model (`best`) and its settings (`recipe.toml`).
        minutes: Time limit of the whole search, earlier sessions included.
        trial_minutes: Length of a full training in minutes; a sixth of `minutes` if omitted. With `epochs=N`, full
            trainings have N epochs instead.
        trials: Maximum number of trials, the default included; no maximum if omitted.
        space: Settings to vary with their ranges: a dictionary, or a file in TOML. The task's space if omitted.
        jobs: Number of processes; one for each two cores if omitted, at most 8.
        valid: Validation data; a share of the training data (`valid_fraction`) if omitted.
        test: Test data, scored once, at the end, by the best model.
        resume: Continue the tuning in `out`, or begin one.
        baselines: Whether to score simple baselines too.
        reporter: Receiver of a line for each trial; stderr if omitted.
        on_trial: Function that receives the result so far after each trial.
        settings: All settings of the first trial; the task's defaults if omitted.
        values: Single settings by name, which do not vary: `epochs=5`, `cell="gru"`.

    Returns:
        All trials, the best one and the default among them; prints as a table.

    Raises:
        MissingExtraError: If optuna is not installed.
        UsageError: If the task does not exist, the space is empty, there is no validation data, or `out` is not empty.
        SettingError: If a setting does not exist or can't be tuned, or does not accept a value.
        DataError: If the data can't be used, or are not those of the resumed tuning.
        TrainingError: If the trial of the default settings fails, or no training ends in time.
        Interrupted: On ctrl-C; the tuning can be resumed.
    """
    started = time.monotonic()
    need_optuna()
    entry, kind = resolve_task(task)
    _check_numbers(minutes=minutes, trial_minutes=trial_minutes, trials=trials, jobs=jobs)
    first = kind(settings, **values)
    _refuse_lengths(first._explicit)
    first.settings = first.settings.replace(**dict.fromkeys(_OWN))
    source, where = _space_of(entry.name, space)
    by_epochs = "training.epochs" in first._explicit and trial_minutes is None
    record = TuningRecord(
        task=entry.name,
        asked=to_record(first.settings),
        fixed=sorted(first._explicit),
        plans=first._plans,
        space=check_space(source, first.settings, first._explicit, where),
        lengths=lengths_of(first.settings.training.epochs if by_epochs else None, trial_minutes or minutes / _PART),
        baselines=baselines,
        minutes=minutes,
        trials=trials,
        versions=versions(),
    )
    folder = Path(out)
    if resume and holds_tuning(folder):
        record = _continued(folder, record, same_lengths=by_epochs or trial_minutes is not None)
    sources = {
        "train": first._data_source(*map(reusable, data)),
        "valid": None if valid is None else first._data_source(reusable(valid), part="valid"),
        "test": None if test is None else first._data_source(reusable(test), part="test"),
    }
    session = _Session(folder, record, kind, sources, reporter or report_to(), first._own_cell, jobs, on_trial)
    return session.run(started, resume=resume)


def resume_tuning(
    folder: Path,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    jobs: int | None = None,
    reporter: Reporter | None = None,
    on_trial: Callable[[Tuning], object] | None = None,
) -> Tuning:
    """Continue the tuning in a folder with its recorded task, data and settings.

    Args:
        folder: Folder of the tuning.
        minutes: Time limit of the whole search; the recorded one if omitted.
        trials: Maximum number of trials; the recorded one if omitted.
        jobs: As for `tune`.
        reporter: As for `tune`.
        on_trial: As for `tune`.

    Raises:
        UsageError: If the data came from memory, or the tuning needs code of the user.
        ModelFolderError: If the folder is damaged, or holds no tuning.
        UnspoolError: As for `tune`.
    """
    started = time.monotonic()
    need_optuna()
    _check_numbers(minutes=minutes, trials=trials, jobs=jobs)
    record = read_tuning(folder)
    if any(part.get("in_memory") for part in record.data.values()):
        raise UsageError(
            f"{folder} tunes on data in memory, which no folder holds; go on in Python, with the same data: "
            f"unspool.tune(..., out={str(folder)!r}, resume=True)"
        )
    if own := [cell for cell in _cells(record) if not is_built_in(cell)]:
        raise ModelFolderError(
            f"{folder} uses a custom cell, {own[0]!r}; going on executes its code. If you trust it, repeat the whole "
            f"command with {option('resume')}"
        )
    record.minutes, record.trials = minutes or record.minutes, trials or record.trials
    paths = {part: tuple(record.data.get(part, {}).get("paths", ())) for part in ("train", "valid", "test")}
    sources: dict[str, DataSource | None] = {part: Files(files) or None for part, files in paths.items()}
    session = _Session(folder, record, task_class(record.task), sources, reporter or report_to(), None, jobs, on_trial)
    return session.run(started, resume=True)


def _check_numbers(**numbers: float | None) -> None:
    for name, value in numbers.items():
        whole = name in ("trials", "jobs")
        if value is None or (isinstance(value, int if whole else int | float) and 0 < value < math.inf):
            continue
        expected = "a whole number from 1" if whole else "a number of minutes above 0"
        raise SettingError(f"{option(name, value)}: expected {expected}")


def _refuse_lengths(names: frozenset[str]) -> None:
    if taken := sorted(names.intersection(_OWN)):
        raise SettingError(
            f"{taken[0]} can't be set, since the trials decide it; "
            f"set the length of a full training by {option('trial_minutes', 'N')} or {option('epochs', 'N')}"
        )


def _space_of(task: str, space: str | Path | Mapping[str, Any] | None) -> tuple[Space, str]:
    """Return a space and its name in messages."""
    if isinstance(space, Mapping):
        return space_of(space), "space"
    if space is not None:
        return read_space(Path(space)), str(space)
    if task not in SPACES:
        raise UsageError(f"the task {task} has no search space; pass one with {option('space', None)}")
    return dict(SPACES[task].settings), f"the space of {task}"


def _continued(folder: Path, asked: TuningRecord, *, same_lengths: bool) -> TuningRecord:
    """Return the record in a folder, with the new time limit; refuse changes of anything else."""
    record = read_tuning(folder)
    kind = resolve_task(asked.task)[0].settings
    if record.task != asked.task:
        raise UsageError(f"{folder} tunes the task {record.task!r}, not {asked.task!r}; name another folder")
    old, new = from_record(kind, record.asked), from_record(kind, asked.asked)
    changed = [name for name in describe(kind) if attrgetter(name)(old) != attrgetter(name)(new)]
    changed = changed or sorted({*record.fixed} ^ {*asked.fixed})
    if record.space != asked.space:
        changed.append("space")
    if same_lengths and record.lengths != asked.lengths:
        changed.append("length of the trials")
    if changed:
        raise SettingError(
            f"{folder} was begun with other settings ({', '.join(changed)}); go on with the old values, or name "
            f"another folder"
        )
    record.minutes, record.trials = asked.minutes, asked.trials
    return record


def _cells(record: TuningRecord) -> list[str]:
    """Return the names of all cells of a tuning."""
    varied = record.space.get("network.cell")
    return [str(record.asked.get("network", {}).get("cell", "lstm"))] + (
        [str(cell) for cell in varied.values] if isinstance(varied, Choice) else []
    )


@dataclass
class _Session:
    """One call of `tune`: reads the data, plans the default, runs the trials and scores the best model."""

    folder: Path
    record: TuningRecord
    kind: type[Task[Any, Any]]
    sources: Mapping[str, DataSource | None]
    reporter: Reporter
    own_cell: type[Cell[Any]] | None
    jobs: int | None
    on_trial: Callable[[Tuning], object] | None

    def run(self, started: float, *, resume: bool) -> Tuning:
        """Run the tuning to its end."""
        if join("cpu").size > 1:
            raise UsageError("tune starts processes of its own; run it without torchrun")
        with open_folder(self.folder, resume=resume), Interrupts(talk=self.reporter.talks) as interrupts:
            timer = Timer(self.record.minutes, self.record.seconds, started)
            try:
                with interrupts.at_once():
                    splits = self._prepare()
            except KeyboardInterrupt:
                raise Interrupted("stopped before the first trial; start again as before") from None
            self._introduce(splits)
            test = splits.test
            del splits  # the trainings read the data themselves
            schedule = self._schedule(timer)
            schedule.run(interrupts)
            try:
                with interrupts.at_once():
                    if test is not None:
                        self._score_test(test)
            except KeyboardInterrupt:
                raise schedule.interrupted() from None
            return replace(schedule.result(), importance=schedule.search.importance())

    def _prepare(self) -> Splits[Any]:
        """Read the data; at the beginning, plan the default settings and write the record."""
        record, begun = self.record, bool(self.record.settings)
        asked: Any = from_record(self.kind.settings_type, record.asked)
        task = self._planned(asked) if record.plans and not begun else self.kind(asked)
        task._own_cell = self.own_cell or task._own_cell
        task._find_cell()
        splits: Splits[Any] = read_splits(task, *(self.sources[part] for part in ("train", "valid", "test")))  # type: ignore[arg-type]
        if splits.valid is None:
            raise UsageError(
                f"tuning compares trials on validation data, and there is none; pass {option('valid', 'FILE')}, or "
                f"set {option('valid_fraction', 0.1)}"
            )
        facts = data_facts(splits)
        if begun:
            self._refuse_other_data(facts)
            record.data = facts
            return splits
        threads = self._workers(asked)[1]
        with num_threads(threads):
            note = self._plan(task, splits)
        record.settings = to_record(task.settings.replace(**{"training.threads": threads}))
        (record.metric, record.higher_is_better), record.main_metric = task.metric, task.main_score[0]
        self._refuse_other_units()
        record.data = facts
        write_tuning(self.folder, record)
        if note:
            self.reporter.note(f"plan: {note}")
        return splits

    def _planned(self, asked: Settings) -> Task[Any, Any]:
        """Return a task that plans all settings except the fixed ones, for a full training."""
        lengths = self.record.lengths
        values = {name: attrgetter(name)(asked) for name in self.record.fixed}
        return self.kind(**{**values, **(lengths.settings(lengths.last) if lengths.unit == "minutes" else {})})

    def _plan(self, task: Task[Any, Any], splits: Splits[Any]) -> str | None:
        """Learn the vocabularies, and choose the settings that were not passed; return a note."""
        plan_data(task, splits.train.examples)
        task._learn(splits.train.examples)
        return plan_training(task, splits.train.examples, join("cpu"))

    def _refuse_other_data(self, facts: Mapping[str, Mapping[str, Any]]) -> None:
        for part in ("train", "valid", "test"):
            before, now = self.record.data.get(part), facts.get(part)
            if before is not None and now is not None and before["sha256"] != now["sha256"]:
                raise DataError(
                    f"the {part} data are not those of the tuning in {self.folder} (sha256 {now['sha256'][:12]}, was "
                    f"{before['sha256'][:12]}); go on with the same data, or name another folder"
                )

    def _refuse_other_units(self) -> None:
        """Refuse a space that varies the units over which a score per unit is computed."""
        units = sorted(name for name in self.record.space if name.startswith("vocabulary."))
        if units and (self.record.metric == "perplexity" or self.record.task == "write"):
            raise SettingError(
                f"{units[0]} can't be tuned by {self.record.metric}, which is per unit of the vocabulary; leave it out"
            )

    def _workers(self, settings: Any) -> tuple[int, int | None]:
        """Return the number of processes, and the threads of each; None for torch's default."""
        threads = settings.training.threads
        if not self._in_files():
            if (self.jobs or 1) > 1:
                raise UsageError(
                    f"{option('jobs', self.jobs)} needs data in files and cells by name: processes read both"
                )
            return 1, threads
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        shared = choose_device(settings.training.device.partition(":")[0]).type != "cpu"
        usual = 1 if shared else min(_MOST_PROCESSES, cores // (threads or 2))
        jobs = self.jobs or max(1, usual)
        return jobs, threads or (max(1, cores // jobs) if jobs > 1 else None)

    def _in_files(self) -> bool:
        """Return whether another process can repeat the training: data in files, code by name."""
        in_memory = any(isinstance(source, RowsInMemory) for source in self.sources.values())
        return not in_memory and self.own_cell is None and self.kind is task_class(self.record.task)

    def _schedule(self, timer: Timer) -> Schedule:
        record = self.record
        settings: Any = from_record(self.kind.settings_type, record.settings)
        search = Search(
            self.folder,
            record.space,
            {name: attrgetter(name)(settings) for name in record.space},
            record.lengths,
            higher_is_better=record.higher_is_better,
            seed=settings.training.seed,
        )
        jobs, threads = self._workers(settings)
        pool: Pool = ThisProcess(self._train)
        files: dict[str, tuple[str, ...]] = {}
        if self._in_files():
            pool = Processes(jobs, threads or max(1, os.cpu_count() or 1))
            files = {part: paths_of(source) for part, source in self.sources.items() if source}  # type: ignore[arg-type]
        return Schedule(self.folder, record, settings, files, search, pool, timer, self.reporter, self.on_trial)

    def _train(self, job: Job, deadline: float) -> Outcome:
        """Train in this process."""
        task = self.kind(from_record(self.kind.settings_type, job.settings))
        task._own_cell = self.own_cell
        try:
            return train(job, task, (self.sources["train"],), self.sources["valid"], deadline=deadline)
        except Interrupted:
            return Outcome(trial=job.trial, rung=job.rung, interrupted=True)
        except UnspoolError as error:
            if job.trial == 0:
                raise
            return Outcome(trial=job.trial, rung=job.rung, failure=error.message)

    def _introduce(self, splits: Splits[Any]) -> None:
        """Report the data, the space and the lengths."""
        for name, data in splits._asdict().items():
            if data is not None:
                counts = ", ".join(counted(count, what) for what, count in data.examples.sizes().items())
                self.reporter.note(f"{name}: {counts}{data.note()}")
        lengths: Lengths = self.record.lengths
        jobs, threads = self._workers(from_record(self.kind.settings_type, self.record.settings))
        each = "" if threads is None else f" with {counted(threads, 'threads')}"
        self.reporter.note(f"settings: {', '.join(short_names(self.record.space).values())}")
        self.reporter.note(
            f"lengths: {', '.join(lengths.title(rung) for rung in range(len(lengths.values)))}; "
            f"{counted(jobs, 'trainings')} at a time{each}; by {self.record.metric} on valid"
        )

    def _score_test(self, test: Data[Any]) -> None:
        """Score the best model on the test data, unless it was scored on them before."""
        best = best_record(self.folder)
        facts = self.record.data["test"]
        if best is None or ("test" in best.metrics and best.data["test"]["sha256"] == facts["sha256"]):
            return
        cell: Any = self.own_cell or split_name(best.settings.get("network", {}).get("cell", "lstm"))[0]
        task = self.kind.load(self.folder / BEST, cell=None if isinstance(cell, str) and is_built_in(cell) else cell)
        task.fitted.refuse_strangers(test.examples)
        with num_threads(task.settings.training.threads):
            best.metrics["test"] = rounded(task._final_score(task.model, test.examples))
        best.data["test"] = facts
        write_best(self.folder, best)
