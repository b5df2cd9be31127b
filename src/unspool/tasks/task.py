"""`Task`, the base class of all tasks: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast, overload

from unspool.cells import Cell
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
from unspool.errors import DataError, UsageError
from unspool.inspection.result import Result
from unspool.ship.answers import Answer
from unspool.ship.sheet import Sheet
from unspool.ship.small import Small
from unspool.tasks.contracts import Examples, Fitted, Prediction
from unspool.tasks.disagreements import Disagreements, Questions, disagreements_of
from unspool.tasks.inspectable import Inspectable
from unspool.tasks.parts.pruning import Units, pruned_copy
from unspool.tasks.parts.representation import task_line
from unspool.tasks.running.exporting import Exported, export_task
from unspool.tasks.running.fit import fit_task
from unspool.tasks.running.model_folder import rounded
from unspool.tasks.running.save_and_load import load_task, save_task
from unspool.tasks.running.splits import paths_of
from unspool.training import Reporter
from unspool.training.callbacks import Callback
from unspool.training.folder_lock import refuse_folder_in_training

__all__ = ["DataLike", "Paths", "Task"]

DataLike = str | Path | Iterable[Any]
"""Data for `fit` and `evaluate`: paths, or examples in memory in any form that `Task.fit` lists."""
E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)
P = TypeVar("P")
T = TypeVar("T")


class Task(Inspectable[E, F]):
    """Estimator: built from settings, trained by `fit`, used through `predict`, `evaluate`, `trace` and `save`.

    Args:
        settings: All settings at once; the defaults if omitted.
        values: Single settings by dotted or short name: `cell="gru"`, `hidden=256`, `epochs=10`. `cell` may also be a
            class. `cell_options` holds further arguments of the cell's `__init__`, as in `cell_options={"rate": 0.9}`.

    Raises:
        SettingError: If a setting does not exist, or does not accept the value.
    """

    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("text", TEXT_NAMES)
    """Role of the input column in `record`, and the usual names of this column."""

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
        """Predict for one text, or for each of several texts.

        Raises:
            DataError: If the model can't read a text; `text 3` in the message is the third text.
            UsageError: If the model has not been trained.
        """

    def predict_each(self, texts: Sequence[Any]) -> Sequence[Prediction]:
        """Predict for each of several inputs, of which each may itself be a list, as a history of items."""
        return self.predict(list(texts))

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

        Examples in memory take one of these forms: a list, generator, array or table column of texts, with `labels`;
        a list of tuples or dictionaries; a tuple of lists, as `valid=(texts, labels)`; a pandas, polars or pyarrow
        table. A string or a path object names files, and so does a list with a path object or an existing file.

        Args:
            train: Files, folders or globs; or examples in memory.
            labels: Targets, one per example, if `train` holds inputs alone: labels, lists of tags, translations,
                answers.
            valid: Validation data; their score selects the best weights. If omitted, the share `valid_fraction` of the
                training data is held out; with a share of 0, the model keeps the last weights.
            test: Test data, scored once after training. If omitted, the share `test_fraction` is held out.
            out: Model folder to write, new or empty. If omitted, nothing is written to disk.
            resume: Continue the training in `out`, bit for bit; start a new one if `out` holds none. Data in memory
                must be the same as before.
            overwrite: Replace the model or training in `out`. The new training runs in a folder next to `out` with the
                suffix `.new`, and replaces the old model only when complete. Folders with other files are refused.
            baselines: Whether to score simple baselines too.
            reporter: Progress reporter; a progress bar, or lines, on stderr if omitted.
            callbacks: Further reporters, or functions that receive the `Progress` and the scores after each
                validation. `Reporter.stop`, or a function that returns True, ends the training.
            allow: Names of training settings that may differ from the run being resumed, though results change.

        Returns:
            The task itself, trained; `record.metrics` holds the scores.

        Raises:
            DataError: If the data can't be used.
            TrainingError: If the loss is no longer finite.
            Interrupted: On ctrl-C, after the checkpoint was saved.
            UsageError: If `out` is not empty, or labels are missing.
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
        """Return paths unchanged, and convert examples in memory to rows.

        Args:
            data: Paths or examples, as the caller passed them.
            labels: Targets of the examples, if `data` holds inputs alone.
            part: Name of the data in messages: valid or test; empty for training data.
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
            labels: Targets, one per example, if `data` holds inputs alone.

        Returns:
            The scores by name, rounded.

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

    def compare_with(
        self,
        other: Task[Any, Any],
        data: DataLike,
        labels: Iterable[Any] | None = None,
        *,
        names: tuple[str, str] = ("one", "other"),
    ) -> Disagreements:
        """Compare the predictions of this model and another on labelled data.

        Args:
            other: A model of the same task: another network, or another checkpoint.
            data: Files, folders or globs; or examples in memory, in any form that `fit` takes. This model reads them.
            labels: Targets, one per example, if `data` holds inputs alone.
            names: Names of both models in the result.

        Returns:
            Every example with both predictions, the largest difference first; for language models also the loss of both
            by category of unit.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the models are of different tasks, their predictions can't be compared, or one of them has
                not been trained.
        """
        self._need_model()
        other._need_model()
        if type(other) is not type(self):
            raise UsageError(f"models of one task are compared, and {self.name!r} and {other.name!r} came")
        self.model.eval()
        other.model.eval()
        return self._compare_on(other, self._read(self._data_source(data, labels)), names)

    def _compare_on(self, other: Any, examples: E, names: tuple[str, str]) -> Disagreements:
        questions = self._questions(examples)
        one, two = (task.predict_each(questions.inputs) for task in (self, other))
        return disagreements_of(questions, one, two, names)

    def pruned(self, units: Units, *, test: DataLike | None = None) -> Self:
        """Return a copy of the model without some units of its recurrent layers; this model does not change.

        The weights that form a unit become zero, so that its state and output are zero at every step. All that reads
        the unit, through recurrent weights, the next layer, attention, a residual connection or the output layer, then
        reads what it reads when `layer 1 / h[3] = zero` clamps the unit at every step. A check proves this for the
        cell at hand. A training of the copy can't be resumed.

        Args:
            units: Units, as in an edit, counted from 1: `layer 1 / h[3,7]`; the name of a unit; or pairs of array and
                index, counted from 0: `("layer 1 / h", 2)`. Whichever part of the state is named, the unit goes whole.
            test: Labelled data, in any form that `evaluate` takes: `record.pruned` then holds the scores before and
                after.

        Raises:
            DataError: If the data can't be used.
            UsageError: If there is no such unit, zero weights do not silence the cell, the network has no recurrent
                layers that read the input, or the model has not been trained.
        """
        self._need_model()
        twin = pruned_copy(self, units)
        if test is not None and twin.record is not None:
            source = self._data_source(test)
            data = cast(DataLike, source)
            twin.record.pruned["scores"] = {"before": self.evaluate(data), "after": twin.evaluate(data)}
            twin.record.pruned["test"] = [] if isinstance(source, RowsInMemory) else list(paths_of(source))
        return twin

    def _questions(self, examples: E) -> Questions:
        """Return inputs and correct answers of labelled data.

        Raises:
            UsageError: If the predictions of this task can't be compared.
        """
        raise UsageError(
            f"the predictions of two models of the task {self.name!r} can't be compared example by example; "
            f"score each with evaluate"
        )

    def _for_each(self, texts: Any, answer: Callable[[list[Any]], list[P]]) -> P | list[P]:
        """Return one prediction for one text, or a list for several.

        Raises:
            DataError: If an item is not a text.
            UsageError: If `texts` is neither a text nor an iterable, or the model has not been trained.
        """
        self._need_model()
        if self._is_one(texts):
            return answer([self._checked_text(texts, "text 1")])[0]
        if not isinstance(texts, Iterable) or isinstance(texts, bytes | Mapping):
            raise UsageError(f"predict takes a text or a list of texts, and {type(texts).__name__} came")
        listed = [self._checked_text(text, f"text {number}") for number, text in enumerate(texts, 1)]
        return answer(listed) if listed else []

    def _is_one(self, texts: Any) -> bool:
        """Whether `texts` is one input, not several."""
        return isinstance(texts, str)

    def _checked_text(self, text: Any, where: str) -> str | list[str]:
        if isinstance(text, str):
            return text
        if self._reads_words and isinstance(text, list | tuple) and all(isinstance(word, str) for word in text):
            return list(text)
        expected = "a text or a list of words" if self._reads_words else "a text"
        raise DataError(f"{type(text).__name__} {text!r:.40} came; expected {expected}", where)

    def _one_text(self, text: Any, method: str = "trace") -> None:
        """Raise `UsageError` unless `text` is one text."""
        if self._reads_words and isinstance(text, list) and all(isinstance(word, str) for word in text):
            if not any(any(map(str.isspace, word)) for word in text):
                return
        elif isinstance(text, str):
            return
        raise UsageError(f"{method} takes one text; of several make a list: [model.{method}(text) for text in texts]")

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> DataReader[Unlabelled]:
        """Open files of inputs without labels, in any format that the task can read.

        Args:
            paths: Files, folders, globs or `-`. Files that are not tables hold one input per line.
            format: File format; overrides the file names.

        Raises:
            DataError: If a file is missing, empty or in another format.
        """
        role, usual = self._input_role
        columns = [] if self._read_as is None else self._read_as.columns_of(role)
        return read_unlabelled(paths, format=format, columns=columns, usual=usual)

    def score_notes(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[str]:
        """Return notes that belong beside the scores of `evaluate`, such as labels absent from the training data."""
        return self.fitted.score_notes(self._read(self._data_source(data, labels)))

    def score_types(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Return the scores per answer type, for data as in `evaluate`; empty for tasks without types."""
        return {}

    def score_labels(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Return the scores of each label, for data as in `evaluate`.

        Raises:
            UsageError: If the task has no labels for whole inputs.
        """
        raise UsageError(f"a model of the task {self.name!r} has no scores by label; a classifier has")

    def confusion(self, data: DataLike, labels: Iterable[Any] | None = None, *, most: int = 3) -> Result:
        """Return the confusion matrix on labelled data, with the most confident mistakes.

        Raises:
            UsageError: If the task has no labels for whole inputs.
        """
        raise UsageError(f"a model of the task {self.name!r} has no confusion matrix; a classifier has")

    @property
    def score_titles(self) -> dict[str, str]:
        """Column titles for scores whose names don't tell how they are computed."""
        return {}

    def sheet(self) -> Sheet:
        """Return the model as a closed list of operations, which exporters read.

        Raises:
            UsageError: If the model can't be exported; the message says what stands in the way.
        """
        raise UsageError(f"a model of the task {self.name!r} can't be exported yet")

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        """Return what an export of the model must answer to some texts; see `Answer`."""
        raise UsageError(f"a model of the task {self.name!r} can't be exported yet")

    def _export_questions(self, examples: E) -> Questions:
        """Return texts that an export is run on, with the correct answers, or without any."""
        return self._questions(examples)

    def _export_text(self, text: Any) -> Any:
        """Return a text as an export takes it, such as the list of its words."""
        return text

    def export(
        self,
        path: str | Path,
        *,
        to: str = "onnx",
        small: Small | None = None,
        data: DataLike | None = None,
        limit: float = 1e-4,
        max_loss: float = 0.005,
        overwrite: bool = False,
    ) -> Exported:
        """Write the model as a file that runs without Python and torch.

        The export runs on held-out texts, at most 200, and must give the answers of the model. A report with its
        agreement, score and hashes goes beside it, as `PATH.json`.

        Args:
            path: File to write; a folder for models that write text.
            to: Target: onnx, c or html.
            small: Rounding of the weights: int8, or int4.
            data: Held-out data, labelled or not. If omitted, the test, validation or training files that the model
                folder names, as far as they exist; else texts drawn from the vocabulary.
            limit: Largest difference of a probability from the model, for weights that are not rounded.
            max_loss: Largest loss of score by rounding, between 0 and 1; without labels, of equal answers.
            overwrite: Whether to replace an earlier export.

        Raises:
            UsageError: If the model can't be exported, or differs by more than the limits; then nothing is written.
            DataError: If the data can't be used.
            MachineError: If this machine lacks a program to run the export, or the disk refuses.
        """
        self._need_model()
        return export_task(
            self,
            Path(path),
            to=to,
            small=small,
            data=data,
            limit=limit,
            max_loss=max_loss,
            overwrite=overwrite,
        )

    def save(self, folder: str | Path) -> None:
        """Write the model folder: settings, weights, vocabularies, model card.

        The write is atomic: after a full disk or a kill, the folder holds either the old model or the new one.

        Raises:
            MachineError: If the disk is full or not writable; the folder is unchanged.
            ModelFolderError: If another process changed the folder after this model was loaded from it.
            UsageError: If a training is running in the folder, or the model has not been trained.
        """
        self._need_model()
        refuse_folder_in_training(Path(folder))
        save_task(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Load a trained model from its folder.

        Args:
            folder: The model folder.
            cell: The custom cell that the model was trained with, as a class or `my_file.py:MyCell`. Loading imports
                no code unless this argument names it, so a folder from an untrusted source is safe to open. Without
                it, the model runs the traced step that the folder holds, and does not train.

        Raises:
            ModelFolderError: If the folder is damaged, newer, of another task, without weights, or without a traced
                step of its custom cell.

        Warns:
            UnfinishedTrainingWarning: If training is not complete. The weights are then the best so far.
        """
        task = load_task(cls, Path(folder), cell)
        data = task.record.data.get("train") if task.record else None
        columns = data.get("columns") if isinstance(data, dict) else None
        if isinstance(columns, dict):
            task._read_as = Layout(columns={str(role): str(name) for role, name in columns.items()})
        return task
