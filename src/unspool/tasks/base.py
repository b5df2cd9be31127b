"""What every task can do: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

import random
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import CELLS, Cell, cell_class, cell_name, watch
from unspool.data import find_files
from unspool.engine import explain, record_dispatch
from unspool.errors import DataError, Interrupted, ModelFolderError, SettingError, TrainingError, UsageError
from unspool.inspection import Recording, Trace
from unspool.layers import Recurrent
from unspool.settings import Settings, describe, from_record, make, to_record
from unspool.tasks.card import model_card
from unspool.tasks.folder import (
    FORMAT,
    Record,
    fingerprint,
    new_folder,
    only_begun,
    read_record,
    rounded,
    versions,
    write_record,
    write_text,
)
from unspool.training import BatchSource, Reporter, fit, report_to
from unspool.training import checkpoint as weight_files
from unspool.training.devices import choose_device
from unspool.training.distributed import World, join
from unspool.training.settings import refuse_changes

__all__ = ["Data", "Paths", "Splits", "Task", "batched_tokens", "device_of"]

Paths = str | Path | Sequence[str | Path]
D = TypeVar("D")
T = TypeVar("T")

WEIGHTS = "model.safetensors"


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


class Task(ABC, Generic[D]):
    """An estimator: settings in, `fit` on files, then `predict`, `evaluate`, `trace`, `save`.

    Args:
        settings: All settings at once; the defaults if omitted.
        values: Single settings by dotted or short name, as `cell="gru"`, `hidden=256`, `epochs=10`. A cell may also be
            given as its class.

    Raises:
        SettingError: If there is no such setting, or it can't have that value.
    """

    name: ClassVar[str]
    """How the command line calls the task."""
    settings_type: ClassVar[type[Settings]]
    summary: ClassVar[str]
    """What it does, in a few words."""

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        self._own_cell: type[Cell[Any]] | None = None
        cell = values.get("cell")
        if isinstance(cell, type):
            self._own_cell, values["cell"] = cell, cell_name(cell)
        self.settings: Any = make(self.settings_type, values, base=settings or self.settings_type())
        self.model: Any = None
        self.record: Record | None = None
        self._skipped = 0
        self._scratch: Path | None = None
        """Where large things may lie while training runs."""

    # ---- what each task gives ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """The score that chooses the best weights, and whether higher is better."""

    @abstractmethod
    def _read(self, paths: Paths) -> D:
        """Read files."""

    @abstractmethod
    def _divide(self, examples: D, fraction: float) -> tuple[D, D]:
        """Hold a share out, as a function of the seed."""

    @abstractmethod
    def _learn(self, examples: D) -> None:
        """Learn vocabularies and labels from training data."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Make the network for the vocabularies learned."""

    @abstractmethod
    def _source(self, examples: D) -> BatchSource:
        """Batches to train on."""

    @abstractmethod
    def _score(self, model: nn.Module, examples: D) -> dict[str, float]:
        """Scores of a network on held-out data."""

    def _final_score(self, model: nn.Module, examples: D) -> dict[str, float]:
        """Scores that are reported, where they take longer than those that choose the best weights."""
        return self._score(model, examples)

    def _tidy(self) -> None:
        """Remove what only training needed."""

    def _check_held_out(self, examples: D) -> D:
        """Refuse validation data that training can't be judged by, or leave bad examples out (`skip_bad`)."""
        return examples

    @abstractmethod
    def _baselines(self, train: D, held_out: D) -> dict[str, dict[str, float]]:
        """Scores of simple methods, by name."""

    @abstractmethod
    def _save_vocabularies(self, folder: Path) -> None: ...

    @abstractmethod
    def _load_vocabularies(self, folder: Path) -> None: ...

    @abstractmethod
    def _size(self, examples: D) -> dict[str, int]:
        """How much data there is, by what is counted."""

    @abstractmethod
    def trace(self, text: str) -> Trace:
        """Run one input and return everything the network recorded."""

    # ---- training ----------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Paths,
        *,
        valid: Paths | None = None,
        test: Paths | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        baselines: bool = True,
        reporter: Reporter | None = None,
        allow: Collection[str] = (),
    ) -> Self:
        """Train on files.

        Args:
            train: Files, folders or globs.
            valid: What chooses the best weights; a share of the training data (`valid_fraction`) if omitted. If that
                is 0, the last weights are kept.
            test: What is scored once, at the very end; nothing, or `test_fraction`, if omitted.
            out: Model folder to write, new or empty; without one, nothing is kept on disk.
            resume: Go on with the training that `out` holds, to the same bits; begin where it holds none.
            baselines: Whether simple methods are scored too.
            reporter: Hears how it goes; a bar or lines on stderr if omitted.
            allow: Training settings that may differ from those a run was begun with, though they change its course.

        Returns:
            The task itself, trained; scores stand in `record.metrics`.

        Raises:
            DataError: If the data can't be used.
            TrainingError: If the loss is no longer a number.
            Interrupted: On ctrl-C, after everything was saved.
            UsageError: If `out` holds something already.
        """
        world = join("cuda" if choose_device(self.settings.training.device.partition(":")[0]).type == "cuda" else "cpu")
        reporter = (reporter or report_to()) if world.first else Reporter()
        out = Path(out) if out is not None else None
        if out is None and world.size > 1:
            raise UsageError("several processes need a folder in common; name one (--out)")
        with new_folder(out, resume=resume or not world.first) as folder:
            self._scratch = folder / "training"
            splits = self._splits(train, valid, test)
            if resume and not world.share(only_begun(folder)):
                self._take_up(folder, splits, reporter, allow)
            else:
                self._learn(splits.train.examples)
                self.record = self._new_record(splits)
                self._share_vocabularies(folder / "vocabulary", world)
            if splits.valid is not None:
                usable = splits.valid._replace(examples=self._check_held_out(splits.valid.examples))
                splits = splits._replace(valid=usable)
            self._seed()
            self.model = self._make_network()
            self._introduce(splits, reporter)
            if world.first:
                write_record(folder, self.record)  # type: ignore[arg-type]
            if baselines and world.first and not self.record.baselines:  # type: ignore[union-attr]
                self._compare_with_baselines(splits, reporter)
            with self._nothing_kept() if out is None else nullcontext():
                self._train(splits, folder, resume, reporter, allow)
            if world.first:
                self._report(splits)
                if out is not None:
                    self.save(folder)
                self._tidy()
        self._scratch = None
        return self

    def _share_vocabularies(self, folder: Path, world: World) -> None:
        """Save what was learned; other processes take the first one's, since a unigram vocabulary is never the same."""
        if world.first:
            self._save_vocabularies(folder)
        world.wait()
        if not world.first:
            self._load_vocabularies(folder)

    @contextmanager
    def _nothing_kept(self) -> Iterator[None]:
        """Promise no way to go on where there is no folder to go on from."""
        try:
            yield
        except Interrupted as error:
            how = str(error).partition(";")[0]
            raise Interrupted(f"{how}; nothing is kept, since no folder was named (out)") from None
        except TrainingError as error:
            raise TrainingError(str(error).partition(", named as a change")[0]) from None

    def _train(self, splits: Splits[D], folder: Path, resume: bool, reporter: Reporter, allow: Collection[str]) -> None:
        assert self.record is not None
        valid, (metric, higher) = splits.valid, self.metric
        result = fit(
            self.model,
            self._source(splits.train.examples),
            self.settings.training,
            folder=folder,
            validate=None if valid is None else lambda model: self._score(model, valid.examples),
            metric=metric,
            higher_is_better=higher,
            resume=resume,
            allow=allow,
            reporter=reporter,
            resume_with=self._way_on(folder),
        )
        self.model.eval()
        self.record.training = {
            "epochs": result.epoch,
            "best_epoch": result.best_epoch,
            "updates": result.updates,
            "seconds": round(result.seconds, 1),
            "stopped": result.stopped,
        }

    def _way_on(self, folder: Path) -> str:
        """The command that goes on with a training."""
        cell = self.settings.network.cell
        own = "" if cell in CELLS else f" --cell {shlex.quote(cell)}"
        return f"unspool train --resume {shlex.quote(str(folder))}{own}"

    def _report(self, splits: Splits[D]) -> None:
        """Score the weights that are saved, on validation and, this once, on test data."""
        assert self.record is not None
        for name, data in (("valid", splits.valid), ("test", splits.test)):
            if data is not None:
                self.record.metrics[name] = rounded(self._final_score(self.model, data.examples))
        self.record.complete = True

    def _compare_with_baselines(self, splits: Splits[D], reporter: Reporter) -> None:
        assert self.record is not None
        held_out = splits.test if splits.test is not None else splits.valid
        if held_out is None:
            return
        started = time.monotonic()
        found = self._baselines(splits.train.examples, held_out.examples)
        self.record.baselines = {name: rounded(scores) for name, scores in found.items()}
        metric = self.metric[0]
        told = ", ".join(f"{name} {scores[metric]:.4g}" for name, scores in found.items() if metric in scores)
        reporter.note(
            f"baselines on {'test' if splits.test is not None else 'valid'} ({metric}): {told} "
            f"({time.monotonic() - started:.0f} s)"
        )

    def _splits(self, train: Paths, valid: Paths | None, test: Paths | None) -> Splits[D]:
        data = self.settings.data
        examples = self._read(train)
        held: dict[str, Data[D]] = {}
        for name, paths, fraction in (("test", test, data.test_fraction), ("valid", valid, data.valid_fraction)):
            if paths is not None:
                held[name] = Data(self._read(paths), _listed(paths))
            elif fraction > 0:
                examples, part = self._divide(examples, fraction)
                held[name] = Data(part, ())
        return Splits(Data(examples, _listed(train)), held.get("valid"), held.get("test"))

    def _seed(self) -> None:
        torch.manual_seed(self.settings.training.seed)
        random.seed(self.settings.training.seed)

    def _make_network(self) -> nn.Module:
        """Build, with the cell that was given as a class under its name."""
        name = self.settings.network.cell
        if self._own_cell is None and name not in CELLS:
            self._own_cell = cell_class(name)
        return self._build()

    @property
    def _cell(self) -> str | type[Cell[Any]]:
        return self._own_cell if self._own_cell is not None else str(self.settings.network.cell)

    # ---- what a person is told ---------------------------------------------------------------------------------

    def _introduce(self, splits: Splits[D], reporter: Reporter) -> None:
        assert self.record is not None
        for name, data in splits._asdict().items():
            if data is not None:
                counts = ", ".join(f"{count:,} {what}" for what, count in self._size(data.examples).items())
                reporter.note(f"{name}: {counts}{'' if data.paths else ' (held out of the training data)'}")
        if self._skipped:
            reporter.note(f"left out {self._skipped:,} bad examples (skip_bad)")
        self.record.network = self.describe()
        reporter.note(f"network: {self.record.network['summary']}")
        for line in self.record.network["engine"]:
            reporter.note(f"engine: {line}")

    def describe(self) -> dict[str, Any]:
        """What the network is made of: a summary, its number of weights, and the engine paths that run it."""
        weights = sum(weight.numel() for weight in self.model.parameters())
        return {
            "summary": f"{self._summary()}, {weights:,} weights",
            "weights": weights,
            "engine": self._engine_paths(),
        }

    def _summary(self) -> str:
        network = self.settings.network
        both = "bidirectional " if getattr(network, "bidirectional", False) else ""
        layers = "layer" if network.layers == 1 else "layers"
        return f"{both}{network.cell}, {network.layers} {layers} of {network.hidden}"

    def _engine_paths(self) -> list[str]:
        stacks = [module for module in self.model.modules() if isinstance(module, Recurrent)]
        reports = {}
        for stack in stacks:
            for _, cell, _ in stack.named_cells():
                report = explain(cell, time=2, batch=1)
                reports[report.cell] = f"{report.cell} on the {report.backend} path" + (
                    f" ({report.reason})" if report.backend == "reference" else ""
                )
        return list(reports.values())

    # ---- use ---------------------------------------------------------------------------------------------------

    def evaluate(self, paths: Paths) -> dict[str, float]:
        """Score the model on labelled files.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        examples = self._read(paths)
        self.model.eval()
        return rounded(self._final_score(self.model, examples))

    def _need_model(self) -> None:
        if self.model is None:
            raise UsageError(f"this {type(self).__name__} has not been trained; call fit, or unspool.load a folder")
        self.model.eval()

    @torch.no_grad()
    def _recorded(self, run: Callable[[], T]) -> tuple[T, dict[str, NDArray[np.float32]], tuple[str, ...]]:
        """Run the model once with a recording on every cell of its stack: the result, arrays by name, and notes."""
        stack = self._stack()
        cells = [] if stack is None else list(stack.named_cells())
        recordings = [Recording() for _ in cells]
        with ExitStack() as watching, record_dispatch() as dispatch:
            for (_, cell, _), recording in zip(cells, recordings, strict=True):
                watching.enter_context(watch(cell, recording))
            result = run()
        arrays: dict[str, NDArray[np.float32]] = {}
        for (place, _, backward), recording in zip(cells, recordings, strict=True):
            arrays.update(recording.arrays(place, reverse=backward))
        return result, arrays, (f"engine: {dispatch.backend} path",) if cells else ()

    def _stack(self) -> Recurrent | None:
        """The recurrent stack that a trace looks into."""
        stack: Recurrent | None = self.model.encoder
        return stack

    # ---- folders -----------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model folder: settings, weights, vocabularies, model card.

        Raises:
            MachineError: If the disk is full or refuses.
        """
        self._need_model()
        assert self.record is not None
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._save_vocabularies(folder / "vocabulary")
        weight_files.write(folder / WEIGHTS, _untied(self.model), {"task": self.name})
        write_text(folder / "README.md", model_card(self.record, self.summary, folder.name))
        write_record(folder, self.record)

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Open a model folder.

        Args:
            folder: The folder.
            cell: The cell of your own that the model was trained with, as a class or `my_file.py:MyCell`. A folder
                never imports code by itself, so that one from a stranger is safe to open.

        Raises:
            ModelFolderError: If the folder is damaged, newer, of another task, not trained to the end, or needs `cell`.
        """
        folder = Path(folder)
        record = read_record(folder)
        task = cls._from_record(folder, record, cell)
        if not (folder / WEIGHTS).is_file():
            raise ModelFolderError(
                f"{folder} holds no weights yet: its training did not come to an end; "
                f"go on with: unspool train --resume {folder}"
            )
        task._load_vocabularies(folder / "vocabulary")
        tensors, _ = weight_files.read(folder / WEIGHTS)
        task.model = task._fill(folder, tensors)
        task.record = record
        return task

    @classmethod
    def _from_record(cls, folder: Path, record: Record, cell: str | type[Cell[Any]] | None) -> Self:
        if record.task != cls.name:
            raise ModelFolderError(f"{folder} holds a model of the task {record.task!r}, not {cls.name!r}")
        try:
            task = cls(from_record(cls.settings_type, record.settings))
        except SettingError as error:
            raise ModelFolderError(f"{folder}/unspool.json: {error}") from None
        name = task.settings.network.cell
        if name not in CELLS:
            if cell is None:
                raise ModelFolderError(
                    f"{folder} uses a cell of its owner's, {name!r}; opening it would run that code. If you trust it, "
                    f"name it: --cell {name} (in Python: unspool.load(folder, cell={name!r}))"
                )
            task._own_cell = cell_class(cell)
        return task

    def _fill(self, folder: Path, tensors: dict[str, Tensor]) -> nn.Module:
        """Build the network without memory for its weights, check that the file has exactly those, and take them."""
        with torch.device("meta"):
            model = self._make_network()
        expected = _untied(model)
        for name in sorted(expected.keys() ^ tensors.keys()):
            state = "lacks" if name in expected else "has an unknown"
            raise ModelFolderError(f"{folder / WEIGHTS} {state} weight {name!r}: the folder is damaged, or was changed")
        for name, tensor in expected.items():
            if tensor.shape != tensors[name].shape:
                came, wanted = tuple(tensors[name].shape), tuple(tensor.shape)
                raise ModelFolderError(f"{folder / WEIGHTS}: weight {name!r} has shape {came}, settings say {wanted}")
        model = self._make_network()
        model.load_state_dict(tensors, strict=False)
        return model.eval()

    def _new_record(self, splits: Splits[D]) -> Record:
        data = {
            name: {"paths": list(part.paths), **self._size(part.examples), "sha256": _hash_of(part.paths)}
            for name, part in splits._asdict().items()
            if part is not None
        }
        return Record(
            format=FORMAT,
            task=self.name,
            complete=False,
            settings=to_record(self.settings),
            versions=versions(),
            data=data,
        )

    def _take_up(self, folder: Path, splits: Splits[D], reporter: Reporter, allow: Collection[str]) -> None:
        """Take vocabularies and record from a folder, and check that the data are the same."""
        self.record = read_record(folder)
        self._refuse_changed_settings(folder, allow)
        self._load_vocabularies(folder / "vocabulary")
        fresh = self._new_record(splits)
        for name, part in fresh.data.items():
            before = self.record.data.get(name, {}).get("sha256")
            if part["sha256"] != before:
                raise DataError(
                    f"the {name} data are not those that {folder} was trained on (sha256 {str(part['sha256'])[:12]}, "
                    f"was {str(before)[:12]}); resume needs the same files, or train into a new folder"
                )
        changed = {name: new for name, new in fresh.versions.items() if self.record.versions.get(name) != new}
        if changed:
            old = ", ".join(f"{name} {self.record.versions.get(name)} (now {new})" for name, new in changed.items())
            reporter.note(f"note: the run began with {old}; bits may differ from an unbroken run")
        self.record.settings = fresh.settings

    def _refuse_changed_settings(self, folder: Path, allow: Collection[str]) -> None:
        """Refuse to go on with another network, with other data, or on another course, before anything is written."""
        assert self.record is not None
        before = from_record(self.settings_type, self.record.settings)
        names = [name for name in describe(self.settings_type) if not name.startswith("training.")]
        values = {name: (attrgetter(name)(before), attrgetter(name)(self.settings)) for name in names}
        changed = [f"{name} = {new} (was {old})" for name, (old, new) in values.items() if new != old]
        if changed:
            raise SettingError(
                f"{folder} was begun with other settings: {', '.join(changed)}; "
                f"go on with the old values, or train into a new folder"
            )
        refuse_changes(before.training, self.settings.training, frozenset(allow))  # type: ignore[attr-defined]


def _untied(model: nn.Module) -> dict[str, Tensor]:
    """Weights by name, those that stand under two names once."""
    seen: set[int] = set()
    weights = {}
    parameters = dict(model.named_parameters())  # already without repeats
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, nn.Parameter) and name not in parameters:
            continue
        if id(tensor) not in seen:
            seen.add(id(tensor))
            weights[name] = tensor.detach()
    return weights


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def batched_tokens(settings: Any) -> int:
    """Tokens of a batch where no gradients are kept: more than in training."""
    return max(8192, int(settings.training.batch_tokens))


def _listed(paths: Paths) -> tuple[str, ...]:
    return (str(paths),) if isinstance(paths, str | Path) else tuple(str(path) for path in paths)


def _hash_of(paths: tuple[str, ...]) -> str | None:
    return fingerprint([Path(file) for file in find_files(paths)]) if paths else None
