"""What every task can do: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unspool.cells import Cell, cell_class, cell_name, is_built_in, watch
from unspool.data import (
    TEXT_NAMES,
    DataSource,
    Layout,
    Paths,
    RowsInMemory,
    Unlabelled,
    are_files,
    read_unlabelled,
    rows_in_memory,
)
from unspool.data import Reader as DataReader
from unspool.engine import any_backend, explain, record_dispatch
from unspool.errors import DataError, UsageError, option
from unspool.inspection import Recording, Trace
from unspool.layers import Recurrent
from unspool.models import AttentiveDecoder
from unspool.settings import Settings, make
from unspool.tasks.contracts import Examples, Fitted, Prediction
from unspool.tasks.parts.representation import task_line
from unspool.tasks.running.fit import Splits, fit_task
from unspool.tasks.running.model_folder import Record, rounded
from unspool.tasks.running.save_and_load import load_task, save_task
from unspool.training import BatchSource, Reporter
from unspool.training.callbacks import Callback
from unspool.training.folder_lock import refuse_folder_in_training

__all__ = ["DataLike", "Paths", "Task", "batched_tokens", "device_of"]

DataLike = str | Path | Iterable[Any]
"""What `fit` and `evaluate` take: paths, or examples in memory in any of the forms that `Task.fit` lists."""
E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)
P = TypeVar("P")
T = TypeVar("T")


class Task(ABC, Generic[E, F]):
    """An estimator: settings in, `fit` on files or data in memory, then `predict`, `evaluate`, `trace`, `save`.

    Args:
        settings: All settings at once; the defaults if omitted.
        values: Single settings by dotted or short name, as `cell="gru"`, `hidden=256`, `epochs=10`. `cell` may also be
            a class; `cell_options` are arguments of its `__init__` beyond its two sizes, as in
            `cell_options={"rate": 0.9}`.

    Raises:
        SettingError: If there is no such setting, or it can't have that value.
    """

    name: ClassVar[str]
    """How the command line calls the task."""
    settings_type: ClassVar[type[Settings]]
    summary: ClassVar[str]
    """What it does, in a few words."""
    fitted_type: ClassVar[type[Any]]
    """The task's subclass of `Fitted`."""
    _reads_words: ClassVar[bool] = False
    """Whether a text may also come as the list of its words."""

    _validation_titles: ClassVar[Mapping[str, str]] = {}
    """How the log calls scores that validations count in another way than the final ones."""

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        self._own_cell: type[Cell[Any]] | None = None
        cell, cell_options = values.get("cell"), values.pop("cell_options", None)
        if cell is not None and not isinstance(cell, str):
            self._own_cell, values["cell"] = cell_class(cell, cell_options), cell_name(cell)
        self.settings: Any = make(self.settings_type, values, base=settings or self.settings_type())
        self._spell_cell(cell_options)
        self._fitted: F | None = None
        self.model: Any = None
        self.record: Record | None = None
        self._skipped = 0
        self._unfinished: str | None = None
        """What a person should know before using the model: that its training has not come to its end."""
        self._columns: dict[str, str] = {}
        """The columns that training data were read from, by role; other data are read from the same."""
        self._value_columns: tuple[str, ...] = ()
        """The columns of an input of several columns, in the order of the training data."""
        self._layout = Layout()
        """How the files read last were read."""
        self._scratch: Path | None = None
        """Where large things may lie while training runs."""
        self._home: Path | None = None
        """The folder that the task was opened from, trained into or saved into."""

    def _spell_cell(self, options: Mapping[str, object] | None) -> None:
        """Record `LSTM` as `lstm`, and the options of the cell with its name."""
        cell = self.settings.network.cell
        name = cell_name(cell, options)
        if name != cell:
            self.settings = self.settings.replace(**{"network.cell": name})

    def __repr__(self) -> str:
        return task_line(self)

    # ---- what each task gives ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """The score that chooses the best weights, and whether higher is better."""

    @abstractmethod
    def _columns_in_memory(self) -> tuple[str, ...]:
        """Names of what an example in memory consists of, in order, the right answer last."""

    @abstractmethod
    def _read(self, source: DataSource) -> E:
        """Read files, or examples in memory."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Make the network for the vocabularies learned."""

    @abstractmethod
    def _source(self, examples: E) -> BatchSource:
        """Batches to train on."""

    @abstractmethod
    def _score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Scores of a network on held-out data."""

    def _remember(self, reader: DataReader[Any]) -> None:
        """Keep of a reader, after reading, how it read and how many bad examples it left out."""
        self._skipped += reader.skipped
        self._layout = reader.layout

    def _columns_of(self, *roles: str) -> list[str]:
        """The columns that training data were read from; none before training."""
        return [self._columns[role] for role in roles if role in self._columns]

    def _final_score(self, model: nn.Module, examples: E) -> dict[str, float]:
        """Scores that are reported, where they take longer than those that choose the best weights."""
        return self._score(model, examples)

    def _finish(self, splits: Splits[E], score: Callable[[], None]) -> list[str]:
        """Do what comes after training; the network holds the weights to keep.

        Args:
            splits: The data.
            score: Counts the final scores of the task as it stands at this moment; to be called once.

        Returns:
            What a person should know of it, a sentence each.
        """
        score()
        return []

    def _notes(self, train: E, held_out: E | None) -> list[str]:
        """What a person should know of the training data; `held_out` was held out of them."""
        return []

    def _shorter(self) -> list[str]:
        """What would make training shorter, beside fewer epochs, each in a few words."""
        name = "hidden" if hasattr(self.settings.network, "hidden") else "embedding"
        return [f"a smaller network ({option(name, 'N')}, now {getattr(self.settings.network, name)})"]

    @abstractmethod
    def _baselines(self, train: E, held_out: E) -> dict[str, dict[str, float]]:
        """Scores of simple methods, by name."""

    @overload
    @abstractmethod
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    @abstractmethod
    def predict(self, texts: Iterable[str]) -> Sequence[Prediction]: ...
    @abstractmethod
    def predict(self, texts: str | Iterable[str]) -> Prediction | Sequence[Prediction]:
        """Say something of one text, or of each of several.

        Raises:
            DataError: If nothing can be said of a text; its place is `text 3` for the third.
            UsageError: If the model has not been trained.
        """

    @abstractmethod
    def trace(self, text: str) -> Trace:
        """Run one input and return everything the network recorded.

        Raises:
            UsageError: If several texts came at once, or the model has not been trained.
        """

    # ---- training ----------------------------------------------------------------------------------------------

    def fit(
        self,
        train: DataLike,
        labels: Iterable[Any] | None = None,
        *,
        valid: DataLike | None = None,
        test: DataLike | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        baselines: bool = True,
        reporter: Reporter | None = None,
        callbacks: Sequence[Callback] = (),
        allow: Collection[str] = (),
    ) -> Self:
        """Train on files, or on examples in memory.

        Examples in memory are a list (or generator, array, column of a table) of texts with `labels` beside it; a list
        of tuples or of dictionaries; a tuple of lists, as `valid=(texts, labels)`; or a table of pandas, polars or
        pyarrow. A string or a path object names files, and so does a list that holds one path object or existing file.

        Args:
            train: Files, folders or globs; or examples in memory.
            labels: The right answer of each example, where `train` holds inputs alone: labels, lists of tags,
                translations, answers.
            valid: What chooses the best weights; a share of the training data (`valid_fraction`) if omitted. If that
                is 0, the last weights are kept.
            test: What is scored once, at the very end; nothing, or `test_fraction`, if omitted.
            out: Model folder to write, new or empty; without one, nothing is kept on disk.
            resume: Go on with the training that `out` holds, to the same bits; begin where it holds none. Data in
                memory must be the same as before.
            overwrite: Replace the model or training that `out` holds. Training takes place beside it, in a folder whose
                name ends in `.new`, and takes its place at the end: until then the old one is whole. A folder that
                holds anything else is refused.
            baselines: Whether simple methods are scored too.
            reporter: Hears how it goes, and shows it; a bar or lines on stderr if omitted.
            callbacks: What else hears how it goes: reporters, or functions that are called with the `Progress` and the
                scores after each validation. `Reporter.stop`, or a function that returns True, ends the training.
            allow: Training settings that may differ from those a run was begun with, though they change its course.

        Returns:
            The task itself, trained; scores stand in `record.metrics`.

        Raises:
            DataError: If the data can't be used.
            TrainingError: If the loss is no longer a number.
            Interrupted: On ctrl-C, after everything was saved.
            UsageError: If `out` holds something already, or labels are missing.
        """
        fit_task(
            self,
            self._data_source(train, labels),
            None if valid is None else self._data_source(valid, part="valid"),
            None if test is None else self._data_source(test, part="test"),
            out=None if out is None else Path(out),
            resume=resume,
            overwrite=overwrite,
            baselines=baselines,
            reporter=reporter,
            callbacks=callbacks,
            allow=allow,
        )
        return self

    def _data_source(self, data: DataLike, labels: Iterable[Any] | None = None, *, part: str = "") -> DataSource:
        """Tell files from examples in memory, and make rows of these.

        Args:
            data: What the caller passed.
            labels: The right answers beside it.
            part: What messages call the data: valid, test; nothing for training data.
        """
        if labels is None and isinstance(data, RowsInMemory):
            return data
        if labels is None and are_files(data):
            return cast(Paths, data)
        if isinstance(data, Path) or isinstance(labels, str):
            raise UsageError(
                f"{data if isinstance(data, Path) else repr(labels)} is no collection of examples: data files hold "
                f"their own labels, and several files go in one list, as fit(['one.tsv', 'other.tsv'])"
            )
        return rows_in_memory(data, labels, self._columns_in_memory(), part=part)

    @property
    def fitted(self) -> F:
        """What the task learned beside weights: vocabularies, labels.

        Raises:
            UsageError: If the model has not been trained.
        """
        if self._fitted is None:
            raise self._not_trained()
        return self._fitted

    def _learn(self, examples: E) -> None:
        """Learn vocabularies and labels from training data."""
        self._fitted = self.fitted_type.learn(examples, self.settings)

    def _make_network(self) -> nn.Module:
        """Build, with the cell that was given as a class under its name."""
        self._find_cell()
        return self._build()

    def _find_cell(self) -> None:
        """Import a cell of the user's own, once, and check the options of any cell."""
        name = self.settings.network.cell
        if self._own_cell is None:
            kind = cell_class(name)
            self._own_cell = None if is_built_in(name) else kind

    @property
    def _cell(self) -> str | type[Cell[Any]]:
        return self._own_cell if self._own_cell is not None else str(self.settings.network.cell)

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
        if getattr(network, "network", "") == "transformer":
            return f"transformer, {network.layers} {'layer' if network.layers == 1 else 'layers'} of {network.hidden}"
        both = "bidirectional " if getattr(network, "bidirectional", False) else ""
        layers = "layer" if network.layers == 1 else "layers"
        return f"{both}{network.cell}, {network.layers} {layers} of {network.hidden}"

    def _engine_paths(self) -> list[str]:
        """The path of every kind of cell in the network, and why where it is the plain loop."""
        found = {}
        for module in self.model.modules():
            if isinstance(module, Recurrent):
                reports = [explain(cell, backend=module.backend) for _, cell, _ in module.named_cells()]
            elif isinstance(module, AttentiveDecoder):
                like = next(module.cell.parameters())
                context = module.cell.context_of(like.new_zeros(1, 1, module.cell.attention.memory_size))
                reports = [explain(module.cell, batch=1, context=context, backend=module.backend)]
            else:
                continue
            for report in reports:
                found[report.cell] = f"{report.cell} on the {report.backend} path" + (
                    f" ({report.reason})" if report.backend == "reference" else ""
                )
        return list(found.values())

    # ---- use ---------------------------------------------------------------------------------------------------

    def evaluate(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, float]:
        """Score the model on labelled files, or on examples in memory.

        Args:
            data: Files, folders or globs; or examples in memory, in any form that `fit` takes.
            labels: The right answer of each example, where `data` holds inputs alone.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        self._skipped = 0
        examples = self._read(self._data_source(data, labels))
        self.fitted.refuse_strangers(examples)
        self.model.eval()
        return rounded(self._final_score(self.model, examples))

    def _for_each(self, texts: Any, answer: Callable[[list[Any]], list[P]]) -> P | list[P]:
        """Predict: one prediction for one text, a list for several.

        Raises:
            DataError: If one of them is no text.
            UsageError: If what came is neither, or the model has not been trained.
        """
        self._need_model()
        if self._is_one(texts):
            return answer([self._checked_text(texts, "text 1")])[0]
        if not isinstance(texts, Iterable) or isinstance(texts, bytes | Mapping):
            raise UsageError(f"predict takes a text or a list of texts, and {type(texts).__name__} came")
        listed = [self._checked_text(text, f"text {number}") for number, text in enumerate(texts, 1)]
        return answer(listed) if listed else []

    def _is_one(self, texts: Any) -> bool:
        """Whether what came is one input rather than several."""
        return isinstance(texts, str)

    def _checked_text(self, text: Any, where: str) -> str | list[str]:
        if isinstance(text, str):
            return text
        if self._reads_words and isinstance(text, list | tuple) and all(isinstance(word, str) for word in text):
            return list(text)
        expected = "a text or a list of words" if self._reads_words else "a text"
        raise DataError(f"{type(text).__name__} {text!r:.40} came; expected {expected}", where)

    def _one_text(self, text: Any, method: str = "trace") -> None:
        """Refuse what is not one text."""
        if self._reads_words and isinstance(text, list) and all(isinstance(word, str) for word in text):
            if not any(any(map(str.isspace, word)) for word in text):
                return
        elif isinstance(text, str):
            return
        raise UsageError(f"{method} takes one text; of several make a list: [model.{method}(text) for text in texts]")

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> DataReader[Unlabelled]:
        """Open inputs without labels for reading, from files of any form that the task can read.

        Args:
            paths: Files, folders, globs or `-`. Files that are no tables hold an input on each line.
            format: Name of the form, whatever the names of the files say.

        Raises:
            DataError: If a file is missing, empty or of another form.
        """
        role, usual = self._input_role
        return read_unlabelled(paths, format=format, columns=self._columns_of(role), usual=usual)

    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("text", TEXT_NAMES)
    """What the column of inputs is called in `record`, and its usual names."""

    def score_notes(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[str]:
        """What a person should know beside the scores of data, as `evaluate` takes them: labels never seen."""
        return self.fitted.score_notes(self._read(self._data_source(data, labels)))

    def score_types(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Scores of each type of answer on data, as `evaluate` takes them; nothing where there are no types."""
        return {}

    @property
    def score_titles(self) -> dict[str, str]:
        """How a table calls scores whose names don't say how they were counted."""
        return {}

    @property
    def skipped(self) -> int:
        """Bad examples that the last reading of files left out (`skip_bad`)."""
        return self._skipped

    def _need_model(self) -> None:
        self._need_weights()

    def _need_weights(self) -> None:
        if self.model is None:
            raise self._not_trained()
        self.model.eval()

    def _not_trained(self) -> UsageError:
        return UsageError(f"this {type(self).__name__} has not been trained; call fit, or unspool.load a folder")

    @torch.no_grad()
    def _recorded(self, run: Callable[[], T]) -> tuple[T, dict[str, NDArray[np.float32]], tuple[str, ...]]:
        """Run the model once with a recording on every cell of its stack: the result, arrays by name, and notes."""
        stack = self._stack()
        cells = [] if stack is None else list(stack.named_cells())
        recordings = [Recording() for _ in cells]
        with ExitStack() as watching, any_backend(), record_dispatch() as dispatch:
            for (_, cell, _), recording in zip(cells, recordings, strict=True):
                watching.enter_context(watch(cell, recording))
            result = run()
        arrays: dict[str, NDArray[np.float32]] = {}
        for (place, _, backward), recording in zip(cells, recordings, strict=True):
            arrays.update(recording.arrays(place, reverse=backward))
        return result, arrays, (f"engine: {dispatch.backend} path",) if cells else ()

    def _stack(self) -> Recurrent | None:
        """The recurrent stack that a trace looks into."""
        encoder = self.model.encoder
        return encoder if isinstance(encoder, Recurrent) else None

    # ---- folders -----------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model folder: settings, weights, vocabularies, model card.

        All files change at once: after a full disk or a kill the folder holds the old model or the new one.

        Raises:
            MachineError: If the disk is full or refuses; the folder is as it was before.
            ModelFolderError: If another process wrote the folder that this model was opened from since then.
            UsageError: If a training writes into the folder at this time.
        """
        self._need_model()
        refuse_folder_in_training(Path(folder))
        save_task(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Open a model folder.

        Args:
            folder: The folder.
            cell: The cell of your own that the model was trained with, as a class or `my_file.py:MyCell`. A folder
                never imports code by itself, so that one from a stranger is safe to open.

        Raises:
            ModelFolderError: If the folder is damaged, newer, of another task, holds no weights yet, or needs `cell`.

        Warns:
            UnfinishedTrainingWarning: If training has not come to its end. The weights are then the best so far.
        """
        task = load_task(cls, Path(folder), cell)
        data = task.record.data.get("train") if task.record else None
        columns = data.get("columns") if isinstance(data, dict) else None
        task._columns = {str(role): str(name) for role, name in columns.items()} if isinstance(columns, dict) else {}
        return task


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def batched_tokens(settings: Any) -> int:
    """Tokens of a batch where no gradients are kept: more than in training."""
    return max(8192, int(settings.training.batch_tokens))
