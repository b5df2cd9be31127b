"""What happens between files and a trained model folder; the same for every task."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import torch

from unspool.cells import is_built_in
from unspool.data import count_evaluated
from unspool.errors import DataError, SettingError, UsageError, option, wording
from unspool.settings import describe, from_record, to_record
from unspool.tasks.folder import (
    FORMAT,
    Record,
    new_folder,
    only_begun,
    read_record,
    rounded,
    versions,
    write_record,
)
from unspool.training import Progress, Reporter, fit, report_to
from unspool.training.devices import choose_device
from unspool.training.distributed import World, join
from unspool.training.settings import refuse_changes

if TYPE_CHECKING:
    from unspool.tasks.base import Paths, Task

__all__ = ["Data", "Splits", "fit_task"]

D = TypeVar("D")


class Data(NamedTuple, Generic[D]):
    """One data set, and where it came from."""

    examples: D
    paths: tuple[str, ...]
    """Empty where it was held out of the training data."""


class Splits(NamedTuple, Generic[D]):
    """What is trained on, chosen by, and reported on."""

    train: Data[D]
    valid: Data[D] | None
    """None: the last weights are kept, whatever they are."""
    test: Data[D] | None

    @property
    def held_out(self) -> D | None:
        """What was held out of the training data for validation."""
        return self.valid.examples if self.valid is not None and not self.valid.paths else None


def fit_task(
    task: Task[D],
    train: Paths,
    valid: Paths | None,
    test: Paths | None,
    *,
    out: Path | None,
    resume: bool,
    baselines: bool,
    reporter: Reporter | None,
    allow: Collection[str],
) -> None:
    """Train a task on files; see `Task.fit`."""
    device = choose_device(task.settings.training.device.partition(":")[0])
    world = join("cuda" if device.type == "cuda" else "cpu")
    if out is None and world.size > 1:
        raise UsageError(f"several processes need a folder in common; name one: {option('out', 'FOLDER')}")
    with new_folder(out, resume=resume or not world.first) as folder:
        fitting = _Fitting(task, folder, world, (reporter or report_to()) if world.first else Reporter(), allow)
        splits = fitting.read(train, valid, test)
        going_on = resume and not world.share(only_begun(folder))
        splits = fitting.take_up(splits) if going_on else fitting.begin(splits)
        fitting.introduce(splits)
        if world.first:
            write_record(folder, fitting.record)
            if baselines and not fitting.record.baselines:
                fitting.compare_with_baselines(splits)
        fitting.train(splits, resume, kept=out is not None)
        if world.first:
            fitting.report(splits)
            if out is not None:
                task.save(folder)
            task._tidy()
    task._scratch = None


class _Fitting(Generic[D]):
    """One training of a task."""

    def __init__(self, task: Task[D], folder: Path, world: World, reporter: Reporter, allow: Collection[str]) -> None:
        self.task, self.folder, self.world, self.reporter = task, folder, world, reporter
        self.allow = frozenset(allow)
        task._scratch = folder / "training"

    @property
    def record(self) -> Record:
        assert self.task.record is not None
        return self.task.record

    def read(self, train: Paths, valid: Paths | None, test: Paths | None) -> Splits[D]:
        """Read the files, and hold out what no file was given for."""
        task, data = self.task, self.task.settings.data
        examples = task._read(train)
        held: dict[str, Data[D]] = {}
        for name, paths, fraction in (("test", test, data.test_fraction), ("valid", valid, data.valid_fraction)):
            if paths is not None:
                held[name] = Data(task._read(paths), _listed(paths))
            elif fraction > 0:
                examples, part = task._divide(examples, fraction)
                if part is not None:
                    held[name] = Data(part, ())
        return Splits(Data(examples, _listed(train)), held.get("valid"), held.get("test"))

    def begin(self, splits: Splits[D]) -> Splits[D]:
        """Learn vocabularies; several processes take those of the first, since a unigram one is never the same."""
        task, folder = self.task, self.folder / "vocabulary"
        task._learn(splits.train.examples)
        task.record = self._new_record(splits)
        if self.world.first:
            task._save_vocabularies(folder)
        self.world.wait()
        if not self.world.first:
            task._load_vocabularies(folder)
        return self._ready(splits)

    def take_up(self, splits: Splits[D]) -> Splits[D]:
        """Take vocabularies and record from the folder, and check that settings and data are the same."""
        task, folder = self.task, self.folder
        task.record = read_record(folder)
        self._refuse_changed_settings()
        task._load_vocabularies(folder / "vocabulary")
        fresh = self._new_record(splits)
        for name, part in fresh.data.items():
            before = self.record.data.get(name, {}).get("sha256")
            if part["sha256"] != before:
                raise DataError(
                    f"the {name} data are not those that {folder} was trained on (sha256 {str(part['sha256'])[:12]}, "
                    f"was {str(before)[:12]}); resume needs the same files, or train into a new folder"
                )
        task._go_back(splits.train.examples, splits.held_out)
        changed = {name: new for name, new in fresh.versions.items() if self.record.versions.get(name) != new}
        if changed:
            old = ", ".join(f"{name} {self.record.versions.get(name)} (now {new})" for name, new in changed.items())
            self.reporter.note(f"note: the run began with {old}; bits may differ from an unbroken run")
        self.record.settings = fresh.settings
        self.record.complete = False
        return self._ready(splits)

    def _ready(self, splits: Splits[D]) -> Splits[D]:
        """Check what is held out, and make the network from the seed."""
        for held_out in (splits.valid, splits.test):
            if held_out is not None:
                self.task._check_labels(held_out.examples)
        if splits.valid is not None:
            usable = self.task._check_held_out(splits.valid.examples)
            splits = splits._replace(valid=splits.valid._replace(examples=usable))
        seed = self.task.settings.training.seed
        torch.manual_seed(seed)
        random.seed(seed)
        self.task.model = self.task._make_network()
        return splits

    def introduce(self, splits: Splits[D]) -> None:
        """Say what is trained on what."""
        for name, data in splits._asdict().items():
            if data is not None:
                counts = ", ".join(f"{count:,} {what}" for what, count in self.task._size(data.examples).items())
                self.reporter.note(f"{name}: {counts}{'' if data.paths else ' (held out of the training data)'}")
        if self.task._skipped:
            self.reporter.note(f"left out {self.task._skipped:,} bad examples ({option('skip_bad')})")
        self.record.network = self.task.describe()
        self.reporter.note(f"network: {self.record.network['summary']}")
        for line in self.record.network["engine"]:
            self.reporter.note(f"engine: {line}")

    def compare_with_baselines(self, splits: Splits[D]) -> None:
        """Score simple methods on the data that the network will be judged by."""
        held_out = splits.test if splits.test is not None else splits.valid
        if held_out is None:
            return
        started = time.monotonic()
        found = self.task._baselines(splits.train.examples, held_out.examples)
        self.record.baselines = {name: rounded(scores) for name, scores in found.items()}
        metric = self.task.metric[0]
        told = ", ".join(f"{name} {scores[metric]:.4g}" for name, scores in found.items() if metric in scores)
        where = "test" if splits.test is not None else "valid"
        if told:
            self.reporter.note(f"baselines on {where} ({metric}): {told} ({time.monotonic() - started:.0f} s)")

    def train(self, splits: Splits[D], resume: bool, *, kept: bool) -> None:
        """Run the training loop; the model then holds the best weights."""
        task, valid, (metric, higher) = self.task, splits.valid, self.task.metric
        settings = task.settings.training
        if valid is None:
            settings = settings.replace(patience=None)  # nobody can lose it
        source = task._source(splits.train.examples)
        if note := getattr(source, "note", None):
            self.reporter.note(f"note: {note}")
        result = fit(
            task.model,
            source,
            settings,
            folder=self.folder,
            validate=None if valid is None else lambda model: task._score(model, valid.examples),
            metric=metric,
            higher_is_better=higher,
            resume=resume,
            allow=self.allow,
            reporter=_Titled(self.reporter, task._validation_titles) if task._validation_titles else self.reporter,
            resume_with=self._way_on() if kept else None,
        )
        task.model.eval()
        self.record.training = {
            "epochs": result.epoch,
            "best_epoch": result.best_epoch,
            "updates": result.updates,
            "seconds": round(result.seconds, 1),
            "stopped": result.stopped,
        }

    def report(self, splits: Splits[D]) -> None:
        """Score the weights that are saved, on validation and, this once, on test data."""
        self.task._finish(splits.train.examples)
        if splits.valid is not None and (note := self.task._calibrate(splits.valid.examples)):
            self.reporter.note(note)
        for name, data in (("valid", splits.valid), ("test", splits.test)):
            if data is not None:
                with self._counting({"valid": "validation"}.get(name, name)):
                    self.record.metrics[name] = rounded(self.task._final_score(self.task.model, data.examples))
        self.task._complete(splits.train.examples, splits.held_out)
        self.record.complete = True
        self._tell_where_simple_methods_win()

    @contextmanager
    def _counting(self, part: str) -> Iterator[None]:
        """Report how far the final scores of one part are, as often as the reporter wants to hear."""
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
        metric, higher = self.task.metric
        ours = self.record.metrics.get("test", self.record.metrics.get("valid", {})).get(metric)
        for name, scores in self.record.baselines.items():
            theirs = scores.get(metric)
            if ours is not None and theirs is not None and (theirs >= ours if higher else theirs <= ours):
                self.reporter.note(
                    f"note: {name} ({metric} {theirs:.4g}) does as well as this network ({ours:.4g}) or better; "
                    f"more data, more epochs or a smaller {option('learning_rate', None)} may change that"
                )

    def _way_on(self) -> str:
        """The command that goes on with this training."""
        cell = self.task.settings.network.cell
        own = "" if is_built_in(cell) else f" --cell {shlex.quote(cell)}"
        folder = str(self.folder)
        return wording(f"unspool train --resume {shlex.quote(folder)}{own}", f"fit(..., out={folder!r}, resume=True)")

    def _new_record(self, splits: Splits[D]) -> Record:
        data = {
            name: {
                "paths": list(part.paths),
                **self.task._size(part.examples),
                "sha256": self.task._fingerprint(part.paths),
            }
            for name, part in splits._asdict().items()
            if part is not None
        }
        settings = to_record(self.task.settings)
        return Record(
            format=FORMAT, task=self.task.name, complete=False, settings=settings, versions=versions(), data=data
        )

    def _refuse_changed_settings(self) -> None:
        """Refuse to go on with another network, with other data, or on another course, before anything is written."""
        settings: Any = self.task.settings
        before: Any = from_record(self.task.settings_type, self.record.settings)
        names = [name for name in describe(self.task.settings_type) if not name.startswith("training.")]
        values = {name: (attrgetter(name)(before), attrgetter(name)(settings)) for name in names}
        changed = [f"{name} = {new} (was {old})" for name, (old, new) in values.items() if new != old]
        if changed:
            raise SettingError(
                f"{self.folder} was begun with other settings: {', '.join(changed)}; "
                f"go on with the old values, or train into a new folder"
            )
        refuse_changes(before.training, settings.training, self.allow)


class _Titled(Reporter):
    """Passes everything on, with scores of validations under titles that say how they were counted."""

    def __init__(self, inner: Reporter, titles: Mapping[str, str]) -> None:
        self.interval, self._inner, self._titles = inner.interval, inner, titles

    def _titled(self, progress: Progress) -> Progress:
        return replace(progress, metric=self._titles.get(progress.metric, progress.metric))

    def started(self, text: str, progress: Progress) -> None:
        self._inner.started(text, self._titled(progress))

    def progress(self, progress: Progress) -> None:
        self._inner.progress(self._titled(progress))

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        titled = {self._titles.get(name, name): value for name, value in metrics.items()}
        self._inner.validated(self._titled(progress), titled, improved)

    def note(self, text: str) -> None:
        self._inner.note(text)

    def finished(self, text: str) -> None:
        for name, title in self._titles.items():
            text = text.replace(f"best {name} ", f"best {title} ")
        self._inner.finished(text)


def _listed(paths: Paths) -> tuple[str, ...]:
    return (str(paths),) if isinstance(paths, str | Path) else tuple(str(path) for path in paths)
