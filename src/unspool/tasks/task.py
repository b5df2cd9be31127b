"""What every task can do: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.cells import Cell, watch
from unspool.data import (
    TEXT_NAMES,
    DataSource,
    Paths,
    RowsInMemory,
    Unlabelled,
    are_files,
    read_unlabelled,
    rows_in_memory,
)
from unspool.data import Reader as DataReader
from unspool.engine import any_backend, record_dispatch
from unspool.errors import DataError, UsageError
from unspool.inspection import Recording, Trace
from unspool.layers import Recurrent
from unspool.tasks.contracts import Examples, Fitted, Prediction
from unspool.tasks.parts.representation import task_line
from unspool.tasks.running.fit import fit_task
from unspool.tasks.running.model_folder import rounded
from unspool.tasks.running.save_and_load import load_task, save_task
from unspool.tasks.trainable import Trainable
from unspool.training import Reporter
from unspool.training.callbacks import Callback
from unspool.training.folder_lock import refuse_folder_in_training

__all__ = ["DataLike", "Paths", "Task"]

DataLike = str | Path | Iterable[Any]
"""What `fit` and `evaluate` take: paths, or examples in memory in any of the forms that `Task.fit` lists."""
E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)
P = TypeVar("P")
T = TypeVar("T")


class Task(Trainable[E, F]):
    """An estimator: settings in, `fit` on files or data in memory, then `predict`, `evaluate`, `trace`, `save`.

    Args:
        settings: All settings at once; the defaults if omitted.
        values: Single settings by dotted or short name, as `cell="gru"`, `hidden=256`, `epochs=10`. `cell` may also be
            a class; `cell_options` are arguments of its `__init__` beyond its two sizes, as in
            `cell_options={"rate": 0.9}`.

    Raises:
        SettingError: If there is no such setting, or it can't have that value.
    """

    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("text", TEXT_NAMES)
    """What the column of inputs is called in `record`, and its usual names."""

    def __repr__(self) -> str:
        return task_line(self)

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
