"""Training run of a task: read and split data, learn vocabularies, train, score and save the model folder."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unspool.data import (
    DataSource,
    Layout,
    RowsInMemory,
    Summary,
    count_evaluated,
    is_stream,
    layout_lines,
    name_of,
)
from unspool.errors import DataError, Interrupted, ModelFolderError, SettingError, UsageError, counted, option
from unspool.settings import describe, from_record, make, to_record
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import one_of
from unspool.tasks.running.model_card import model_card
from unspool.tasks.running.model_folder import (
    FORMAT,
    RECORD,
    Record,
    beside,
    new_folder,
    only_begun,
    read_record,
    rounded,
    take_place,
    versions,
    write_record,
    write_text,
)
from unspool.tasks.running.planning import plan_data, plan_training
from unspool.tasks.running.save_and_load import refuse_training_beyond_memory, save_task
from unspool.tasks.running.splits import Data, Splits, paths_of
from unspool.tasks.running.stored_cells import refuse_training_of_stored_cells
from unspool.tasks.running.unfinished import way_on, way_to_use
from unspool.training import LogReporter, Reporter, fit, report_to
from unspool.training.callbacks import Callback, titled, together
from unspool.training.devices import choose_device
from unspool.training.distributed import World, join
from unspool.training.interrupts import Interrupts
from unspool.training.keeping import CHECKPOINT, best_so_far
from unspool.training.random_state import seeded
from unspool.training.settings import refuse_changes
from unspool.training.threads import num_threads
from unspool.writing import finish_generation, newest

if TYPE_CHECKING:
    from unspool.tasks.contracts import Examples
    from unspool.tasks.trainable import Trainable

__all__ = ["data_facts", "fit_task", "read_splits"]

D = TypeVar("D", bound="Examples")

_OVERFIT = 0.7  # fraction of a training at which the best weights came at the latest if the network overfits

SCRATCH = "training/scratch"
"""Subfolder of a model folder for large temporary files of a training."""


def fit_task(
    task: Trainable[D, Any],
    train: DataSource,
    valid: DataSource | None,
    test: DataSource | None,
    *,
    out: Path | None,
    resume: bool,
    overwrite: bool = False,
    baselines: bool,
    reporter: Reporter | None,
    callbacks: Sequence[Callback],
    allow: Collection[str],
) -> None:
    """Train a task on files or examples in memory; see `Task.fit`."""
    device = choose_device(task.settings.training.device.partition(":")[0])
    world = join("cuda" if device.type == "cuda" else "cpu")
    if out is None and world.size > 1:
        raise UsageError(f"several processes need a shared folder: {option('out', 'FOLDER')}")
    task._find_cell()
    refuse_training_of_stored_cells(task)
    place = beside(out, resume=resume, clear=world.first) if out is not None and overwrite else out
    with (
        num_threads(task.settings.training.threads),
        new_folder(place, resume=resume, first=world.first) as folder,
    ):
        main = titled(reporter or report_to(), task._validation_titles)
        reporters = together(main, [*callbacks, LogReporter()]) if world.first else Reporter()
        fitting = _Fitting(task, folder, world, reporters, allow)
        fitting.out = out
        with fitting.stoppable(has_folder=out is not None):
            if resume:
                _refuse_pruned(folder)
            splits = fitting.read(train, valid, test)
            if resume and world.first:
                finish_generation(folder)
            continues = resume and not world.share(only_begun(folder))
            splits = fitting.take_up(splits) if continues else fitting.begin(splits)
            fitting.introduce(splits)
            if world.first:
                write_record(folder, fitting.record)
                if baselines and not fitting.record.baselines:
                    fitting.compare_with_baselines(splits)
            fitting.train(splits, resume, has_folder=out is not None)
            if world.first:
                fitting.report(splits)
                if out is not None:
                    save_task(task, folder)
                rmtree(folder / SCRATCH, ignore_errors=True)
    if world.first and out is not None and place is not None and place != out:
        take_place(place, out)
        write_text(out / "README.md", model_card(fitting.record, task.summary, out.name))
        task._home = out.resolve()
    task._scratch = None


def read_splits(
    task: Trainable[D, Any], train: DataSource, valid: DataSource | None, test: DataSource | None
) -> Splits[D]:
    """Read the data of a training, and hold out validation and test data that were not passed.

    The task keeps the layout of the training data, and reads the other data the same way.
    """
    data = task.settings.data
    for source in (train, valid, test):
        if source is not None and not isinstance(source, RowsInMemory):
            _refuse_streams(paths_of(source))
    task._read_as, task._layout = None, Layout()
    examples = task._read(train)
    task._read_as = task._layout
    held_out: dict[str, Data[D]] = {}
    for name, source, fraction in (("test", test, data.test_fraction), ("valid", valid, data.valid_fraction)):
        if source is not None:
            held_out[name] = Data.of(task._read(source), source)
        elif own := examples.held_out(name):
            examples, held_out[name] = own[0], Data(own[1])
        elif fraction > 0:
            examples, part = examples.divide(fraction, task.settings.training.seed)
            if part is not None:
                held_out[name] = Data(part)
    return Splits(Data.of(examples, train), held_out.get("valid"), held_out.get("test"))


def data_facts(splits: Splits[Any]) -> dict[str, dict[str, Any]]:
    """Return paths, sizes and hashes of the data for a record: train, valid and test."""
    return {
        name: {
            "paths": list(part.paths),
            **({"in_memory": True} if part.in_memory else {}),
            **part.examples.sizes(),
            "sha256": part.in_memory.sha256 if part.in_memory else part.examples.fingerprint(part.paths),
        }
        for name, part in splits._asdict().items()
        if part is not None
    }


class _Fitting(Generic[D]):
    """One training of a task."""

    def __init__(
        self, task: Trainable[D, Any], folder: Path, world: World, reporter: Reporter, allow: Collection[str]
    ) -> None:
        self.task, self.folder, self.world, self.reporter = task, folder, world, reporter
        self.allow = frozenset(allow)
        self.layout = Layout()
        self.plan: str | None = None
        """Description of the planned settings; None if nothing was planned."""
        self.out: Path | None = None
        """Final model folder; differs from `folder` when the training replaces an older model."""
        task._scratch, task._home = folder / SCRATCH, folder.resolve()

    @property
    def record(self) -> Record:
        assert self.task.record is not None
        return self.task.record

    @contextmanager
    def stoppable(self, *, has_folder: bool) -> Iterator[None]:
        """Stop immediately on ctrl-C outside the training loop; unsaved work there is lost.

        With several processes, each gets its own signal at a different point, and ends with Python's default handler.
        """
        if self.world.size > 1:
            yield
            return
        try:
            with Interrupts() as interrupts, interrupts.at_once():
                yield
        except KeyboardInterrupt:
            raise self._interrupted(has_folder=has_folder) from None

    def _interrupted(self, *, has_folder: bool) -> Interrupted:
        if not has_folder:
            return Interrupted("stopped; nothing is kept, since no folder was named (out)")
        if not (self.folder / RECORD).exists():
            return Interrupted("stopped before training began; nothing is kept, so start again as before")
        on, use = self._way_on(), way_to_use(self.folder, self.task.name, self.task.settings)
        if not (self.folder / "training" / CHECKPOINT).exists():
            return Interrupted(f"stopped before the first update; go on with: {on}")
        best = f"; use the best weights so far with: {use}" if best_so_far(self.folder / "training") else ""
        return Interrupted(f"stopped; all updates so far are saved{best}; go on with: {on}")

    def _way_on(self) -> str:
        """Return the command that resumes this training."""
        out = self.out or self.folder
        return way_on(out, self.task.settings, overwrite=out != self.folder)

    def read(self, train: DataSource, valid: DataSource | None, test: DataSource | None) -> Splits[D]:
        """Read the data, and remember the layout of the training data."""
        splits = read_splits(self.task, train, valid, test)
        self.layout = self.task._read_as or Layout()
        return splits if self.task._scores_test else splits._replace(test=None)

    def begin(self, splits: Splits[D]) -> Splits[D]:
        """Learn vocabularies. Several processes use those of the first, since unigram vocabularies vary."""
        task, folder = self.task, self.folder / "vocabulary"
        plan_data(task, splits.train.examples)
        task._learn(splits.train.examples)
        refuse_training_beyond_memory(task)  # before the plan builds networks to measure them
        self.plan = plan_training(task, splits.train.examples, self.world)
        task.record = self._new_record(splits)
        if self.world.first:
            task.fitted.save(folder)
        self.world.wait()
        if not self.world.first:
            task._fitted = task.fitted_type.load(folder, task.settings)
        splits = self._ready(splits)
        task._start(splits.train.examples)
        return splits

    def take_up(self, splits: Splits[D]) -> Splits[D]:
        """Load vocabularies and record from the folder, and check that settings and data are unchanged."""
        task, folder = self.task, self.folder
        task.record = read_record(folder)
        task._planned = frozenset(task.record.planned)
        if task._plans:
            task.settings = make(
                task.settings_type,
                {name: attrgetter(name)(task.settings) for name in task._explicit},
                from_record(task.settings_type, task.record.settings),
            )
        self._refuse_changed_settings()
        stored = task.fitted_type.load(newest(folder, "vocabulary"), task.settings)
        fresh = self._new_record(splits)
        for name, part in fresh.data.items():
            before = self.record.data.get(name, {}).get("sha256")
            if part["sha256"] != before:
                same = "the same examples" if part.get("in_memory") else "the same files"
                raise DataError(
                    f"the {name} data are not those that {folder} was trained on (sha256 {str(part['sha256'])[:12]}, "
                    f"was {str(before)[:12]}); resume needs {same}, or train into a new folder"
                )
        try:
            stored.usable(splits.train.examples, skip_bad=False)
        except DataError as error:
            raise ModelFolderError(f"{folder} does not fit the training data: {error.message}") from None
        task._fitted = stored.restart(splits.train.examples, splits.held_out)
        changed = {name: new for name, new in fresh.versions.items() if self.record.versions.get(name) != new}
        if changed:
            old = ", ".join(f"{name} {self.record.versions.get(name)} (now {new})" for name, new in changed.items())
            self.reporter.warn(f"the run began with {old}; bits may differ from an unbroken run")
        self.record.settings = fresh.settings
        self.record.complete = False
        return self._ready(splits)

    def _ready(self, splits: Splits[D]) -> Splits[D]:
        """Check the held-out data, and build the network from the seed."""
        for held_out in (splits.valid, splits.test):
            if held_out is not None:
                self.task.fitted.refuse_strangers(held_out.examples)
        if splits.valid is not None:
            skip_bad = getattr(self.task.settings.data, "skip_bad", False)
            usable, skipped = self.task.fitted.usable(splits.valid.examples, skip_bad=skip_bad)
            self.task._skipped += skipped
            splits = splits._replace(valid=splits.valid._replace(examples=usable))
        refuse_training_beyond_memory(self.task)
        with seeded(self.task.settings.training.seed):
            self.task.model = self.task._make_network()
        return splits

    def introduce(self, splits: Splits[D]) -> None:
        """Report the data, the settings and the network before training."""
        for name, data in splits._asdict().items():
            if data is not None:
                counts = ", ".join(counted(count, what) for what, count in data.examples.sizes().items())
                self.reporter.note(f"{name}: {counts}{data.note()}")
        for line in self._data_lines(splits.train.examples):
            self.reporter.note(line)
        if self.task._skipped:
            self.reporter.note(f"left out {counted(self.task._skipped, 'bad examples')} ({option('skip_bad')})")
        for note in self.task._notes(splits.train.examples, splits.held_out):
            self.reporter.note(f"note: {note}")
        self.record.network = self.task.describe()
        if self.plan:
            self.reporter.note(f"plan: {self.plan}")
        self.reporter.note(f"network: {self.record.network['summary']}")
        for line in self.record.network["engine"]:
            self.reporter.note(f"engine: {line}")

    def _data_lines(self, examples: D) -> list[str]:
        """Describe the layout and the contents of the training data."""
        lines = layout_lines(self.layout)
        if entry := TASKS.get(self.task.name):
            summary = Summary(entry.sides, entry.label).add_all(examples.samples())
            lines += summary.lines() if summary.count else []
        return lines

    def compare_with_baselines(self, splits: Splits[D]) -> None:
        """Score the baselines on the evaluation data of the network."""
        held_out = splits.test if splits.test is not None else splits.valid
        if held_out is None:
            return
        started = time.monotonic()
        baselines = self.task._baselines(splits.train.examples, held_out.examples)
        self.record.baselines = {name: rounded(scores) for name, scores in baselines.items()}
        metric = self.task.main_score[0]
        summary = ", ".join(f"{name} {scores[metric]:.4g}" for name, scores in baselines.items() if metric in scores)
        where = "test" if splits.test is not None else "valid"
        if summary:
            self.reporter.note(f"baselines on {where} ({metric}): {summary} ({time.monotonic() - started:.0f} s)")

    def train(self, splits: Splits[D], resume: bool, *, has_folder: bool) -> None:
        """Run the training loop; the model then holds the best weights."""
        task, valid, (metric, higher) = self.task, splits.valid, self.task.metric
        settings = task.settings.training.replace(minutes=task._time_limit())
        if valid is None:
            settings = settings.replace(patience=None)  # early stopping needs validation data
        source = task._source(splits.train.examples)
        if note := getattr(source, "note", None):
            self.reporter.warn(note)
        result = fit(
            task.model,
            source,
            settings,
            folder=self.folder,
            validate=None if valid is None else lambda model: task._score(model, valid.examples),
            sample=None if valid is None else lambda model: task._samples(model, valid.examples),
            metric=metric,
            higher_is_better=higher,
            resume=resume,
            allow=self.allow,
            reporter=self.reporter,
            resume_with=self._way_on() if has_folder else None,
            use_with=way_to_use(self.folder, task.name, task.settings) if has_folder else None,
            shorten=task._shorter(),
        )
        task.model.eval()
        self.record.training = {
            "epochs": result.epoch,
            "best_epoch": result.best_epoch,
            "updates": result.updates,
            "seconds": round(result.seconds, 1),
            "stopped": result.stopped,
            **({"course": result.course} if result.course else {}),
        }

    def report(self, splits: Splits[D]) -> None:
        """Score the final weights on validation data and, once, on test data."""

        def score() -> None:
            for name, data in (("valid", splits.valid), ("test", splits.test)):
                if data is not None:
                    with self._counting({"valid": "validation"}.get(name, name)):
                        self.record.metrics[name] = rounded(self.task._final_score(self.task.model, data.examples))

        for note in self.task._finish(splits, score):
            self.reporter.note(note)
        self.record.complete = True
        self._tell_where_simple_methods_win()

    @contextmanager
    def _counting(self, part: str) -> Iterator[None]:
        """Report the progress of final scoring on one data set, at the reporter's interval."""
        last = time.monotonic()

        def count(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= self.reporter.interval:
                last = time.monotonic()
                self.reporter.scoring(part, done, total)

        try:
            with count_evaluated(count):
                yield
        finally:
            self.reporter.scored()

    def _tell_where_simple_methods_win(self) -> None:
        metric, higher = self.task.main_score
        ours = self.record.metrics.get("test", self.record.metrics.get("valid", {})).get(metric)
        for name, scores in self.record.baselines.items():
            theirs = scores.get(metric)
            if ours is not None and theirs is not None and (theirs >= ours if higher else theirs <= ours):
                self.reporter.warn(
                    f"{name} ({metric} {theirs:.4g}) does as well as this network ({ours:.4g}) or better; "
                    f"{self._way_to_improve()}"
                )

    def _way_to_improve(self) -> str:
        """Say what may help: more training only if the network did not overfit."""
        best, epochs = self.record.training["best_epoch"], self.record.training["epochs"]
        more = self.task._improvements()
        rate, dropout = option("learning_rate", None), option("dropout", None)
        if best is not None and best <= _OVERFIT * epochs:
            return (
                f"the best weights came after epoch {best:.3g} of {epochs:.3g}, so more epochs will not help; "
                f"{one_of([*more, 'more data', f'more {dropout}'])} may"
            )
        return f"{one_of([*more, 'more data', 'more epochs', f'a smaller {rate}'])} may change that"

    def _new_record(self, splits: Splits[D]) -> Record:
        data = data_facts(splits)
        if self.layout.columns:
            data["train"]["columns"] = dict(self.layout.columns)
        settings = to_record(self.task.settings)
        return Record(
            format=FORMAT,
            task=self.task.name,
            complete=False,
            settings=settings,
            versions=versions(),
            data=data,
            planned=sorted(self.task._planned),
        )

    def _refuse_changed_settings(self) -> None:
        """Refuse to resume with other settings, before anything is written."""
        settings: Any = self.task.settings
        before: Any = type(self.task)(from_record(self.task.settings_type, self.record.settings)).settings
        names = [name for name in describe(self.task.settings_type) if not name.startswith("training.")]
        values = {name: (attrgetter(name)(before), attrgetter(name)(settings)) for name in names}
        changed = [f"{name} = {new} (was {old})" for name, (old, new) in values.items() if new != old]
        if changed:
            raise SettingError(
                f"{self.folder} was begun with other settings: {', '.join(changed)}; "
                f"go on with the old values, or train into a new folder"
            )
        refuse_changes(before.training, settings.training, self.allow)


def _refuse_pruned(folder: Path) -> None:
    """Refuse to resume the training of a pruned model, which has no checkpoint and would grow its units again."""
    with suppress(ModelFolderError):
        if units := read_record(folder).pruned.get("units"):
            raise UsageError(
                f"{folder} holds a pruned model ({', '.join(units)} went), whose training can't be resumed; resume the "
                f"training of the model that it was pruned from, and prune again"
            )


def _refuse_streams(paths: tuple[str, ...]) -> None:
    """Refuse streams such as standard input: training reads its data several times, and hashes them."""
    for path in filter(is_stream, paths):
        raise UsageError(
            f"training reads its data more than once, and {name_of(path)} can be read only once; "
            f"save it to a file first"
        )
