"""`Task`, the base class of all tasks: fit, predict, evaluate, trace, save and load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.cells import Cell, watch
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
from unspool.engine import any_backend, record_dispatch
from unspool.errors import DataError, UsageError
from unspool.inspection import Gradients, Map, Recording, Trace
from unspool.inspection.edits import Edit, Edits, read_edits
from unspool.inspection.fork import Fork, Outcomes
from unspool.inspection.memory import head_maps, heads_of
from unspool.inspection.model_graph import ModelGraph, graph_of_model
from unspool.inspection.unit_names import UnitName, named_arrays, with_name, write_unit_names
from unspool.layers import Recurrent, TransformerEncoder
from unspool.tasks.contracts import Examples, Fitted, Prediction
from unspool.tasks.disagreements import Disagreements, Questions, disagreements_of
from unspool.tasks.parts.editing import (
    EditableAttention,
    EditableCell,
    Parts,
    attached,
    check_applied,
    donors,
    on_plain_loop,
    with_tokens,
)
from unspool.tasks.parts.representation import task_line
from unspool.tasks.parts.text_losses import TextLosses, measure_task
from unspool.tasks.running.fit import fit_task
from unspool.tasks.running.model_folder import RECORD, rounded
from unspool.tasks.running.save_and_load import load_task, save_task
from unspool.tasks.trainable import Trainable
from unspool.training import Reporter
from unspool.training.callbacks import Callback
from unspool.training.folder_lock import refuse_folder_in_training
from unspool.writing import new_generation

__all__ = ["DataLike", "Paths", "Replay", "Task"]

DataLike = str | Path | Iterable[Any]
"""Data for `fit` and `evaluate`: paths, or examples in memory in any form that `Task.fit` lists."""
E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)
P = TypeVar("P")
T = TypeVar("T")


class Replay(NamedTuple):
    """Prediction for one input with edits."""

    prediction: Any
    unused: tuple[Edit, ...]
    """Edits of tokens that the input does not have."""


class Task(Trainable[E, F]):
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
    _first_step: ClassVar[int] = 0
    """Steps of the network before the first token."""

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

    @abstractmethod
    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Run the network on one input and record the intermediate values.

        Args:
            text: The input.
            edits: Changes of gates, states, attention and tokens during the run; see `unspool.inspection.Edit`.

        Raises:
            UsageError: If `text` is not a single input, an edit does not fit it, or the model has not been trained.
        """

    def fork(self, text: Any, edits: Edits = (), *, base: Edits = ()) -> Fork:
        """Run the network on one input without and with edits, and compare both runs.

        Both runs take the same path, so a fork whose edits change no number has two equal traces.

        Args:
            text: The input; or an earlier fork, whose edits then belong to both runs.
            edits: The edits of the fork, each as an `Edit` or a line such as `layer 1 / forget[3,7] = 0 @ 2`.
            base: Edits of both runs.

        Raises:
            UsageError: If `text` is not a single input, an edit does not fit it, or the model has not been trained.
        """
        text, edits, base = self._fork_of(text, edits, base)
        runs = [self._edited_run(text, both, self._traced_outcomes) for both in (base, (*base, *edits))]
        traces, outcomes = zip(*runs, strict=True)
        return Fork.of(text, edits, base, traces, outcomes)

    def replay(self, texts: Iterable[Any], edits: Edits) -> Iterator[Replay]:
        """Predict for each of several inputs with the same edits, one at a time.

        An edit of a token that an input does not have changes nothing there, and stands in `unused`.

        Args:
            texts: The inputs.
            edits: The edits, as for `fork`.

        Raises:
            DataError: If the model can't read an input.
            UsageError: If an edit does not fit the network, or the model has not been trained.
        """
        self._need_model()
        plan, parts = read_edits(edits), self._parts()
        values = donors(parts, plan, self.trace)
        for text in texts:
            tokens = self.trace(text).tokens if any(edit.quantity == "token" for edit in plan) else ()
            unread = with_tokens(text, tokens, plan)
            with attached(parts, plan, values) as editors:
                prediction: Any = self.predict([unread])[0]
            unused = [edit for edit in plan if not editors.has_applied(edit, len(tokens))]
            yield Replay(prediction, tuple(unused))

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
        one, two = (task.predict(list(questions.inputs)) for task in (self, other))
        return disagreements_of(questions, one, two, names)

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

    @property
    def score_titles(self) -> dict[str, str]:
        """Column titles for scores whose names don't tell how they are computed."""
        return {}

    @torch.no_grad()
    def _recorded(self, run: Callable[[], T]) -> tuple[T, dict[str, NDArray[np.float32]], tuple[str, ...]]:
        """Run the model once, with a recording on every cell of its stack; return result, arrays by name, and notes."""
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
        arrays.update(named_arrays(arrays, self._unit_names))
        return result, arrays, (f"engine: {dispatch.backend} path",) if cells else ()

    def _edited_trace(self, text: Any, edits: Edits) -> Trace:
        """Return the trace of a text with edits."""
        return self._edited_run(text, read_edits(edits), lambda unread: (self.trace(unread), None))[0]

    def _traced_outcomes(self, text: Any) -> tuple[Trace, Outcomes | None]:
        return self.trace(text), self._outcomes(text)

    def _edited_run(self, text: Any, edits: Sequence[Edit], run: Callable[[Any], tuple[Trace, T]]) -> tuple[Trace, T]:
        """Run the network on a text with edits; `run` returns a trace and more."""
        self._need_model()
        parts = self._parts()
        values = donors(parts, edits, self.trace)
        tokens = self.trace(text).tokens if any(edit.quantity == "token" for edit in edits) else ()
        with attached(parts, edits, values) as editors:
            result = run(with_tokens(text, tokens, edits))
        check_applied(editors, edits, result[0], tokens)
        return result

    def _fork_of(self, text: Any, edits: Edits, base: Edits) -> tuple[Any, tuple[Edit, ...], tuple[Edit, ...]]:
        """Return the input of a fork, its edits, and those of both runs."""
        common = read_edits(base)
        if isinstance(text, Fork):
            return text.text, read_edits(edits), (*text.all_edits, *common)
        return text, read_edits(edits), common

    def _outcomes(self, text: Any) -> Outcomes | None:
        """Return the distributions that the network predicts for a text, with the edits of the context; None: none."""
        return None

    def _parts(self) -> Parts:
        """The cells and attentions that edits can change."""
        stack, first = self._stack(), self._first_step
        cells = [] if stack is None else [EditableCell(place, cell, first) for place, cell, _ in stack.named_cells()]
        attentions = [
            EditableAttention(f"layer {depth}", "self-attention", layer.self_attention, first)
            for part in self.model.modules()
            if isinstance(part, TransformerEncoder)
            for depth, layer in enumerate(cast(Iterable[Any], part.layers), start=1)
        ]
        return Parts(cells, attentions)

    def _plain_loop(self) -> AbstractContextManager[None]:
        """Run the cells on the plain loop inside the `with` block, as in an edited run."""
        return on_plain_loop(self._parts())

    def _memory_maps(self, arrays: Mapping[str, NDArray[np.float32]], tokens: Sequence[str]) -> dict[str, Map]:
        """Maps of the read and write heads of cells with a memory, (steps, slots), by name."""
        stack = self._stack()
        maps: dict[str, Map] = {}
        for place, cell, _ in () if stack is None else stack.named_cells():
            maps |= head_maps(arrays, place, tokens, heads_of(cell))
        return maps

    def _stack(self) -> Recurrent | None:
        """The recurrent stack whose cells a trace records; None for other networks."""
        encoder = self.model.encoder
        return encoder if isinstance(encoder, Recurrent) else None

    def gradients(
        self,
        text: Any,
        *,
        target: Any = None,
        loss_at: int | Sequence[int] | None = None,
        truncation: int | None = None,
        jacobians: bool = True,
    ) -> Gradients:
        """Measure how far gradients reach back through time on one input: |dL_t/dh_s| for all pairs of steps.

        The losses are -log p of the label (classifiers), of each tag (taggers), of each unit (language models, and
        translators by teacher forcing), or the loss of each counted step (algorithms). A copy of the network computes
        in float64 on the plain loop, so that small norms do not vanish by rounding.

        Args:
            text: The input, as `trace` takes it.
            target: Label, list of tags, or translation that the losses score; the model's own prediction if omitted.
            loss_at: Position of the loss, or positions, from 0: of a tag, a unit, or a step; all if omitted.
            truncation: Length of truncated backpropagation to compare with, in steps; of a language model `steps` if
                omitted.
            jacobians: Whether to compute the largest singular values of the step Jacobians too.

        Raises:
            DataError: If the model can't read the input.
            UsageError: If the model has no recurrent stack or has not been trained, or there is no loss at a position.
        """
        self._need_model()
        return measure_task(self, text, target, loss_at=loss_at, truncation=truncation, jacobians=jacobians)

    def graph(
        self, text: Any = None, *, thickness: Trace | Gradients | None = None, array: str | None = None
    ) -> ModelGraph:
        """Return the graph of the network: its parts, one step of its cell, and the cells over a text.

        Args:
            text: Text over whose first twelve steps the picture unrolls the cells, as `trace` takes it; if omitted,
                the graph is folded only.
            thickness: Trace or gradients of the text; edges between steps become as thick as their values. The trace
                of the text if omitted.
            array: Array of `thickness`, by its name or the part after the slash: `forget`. The state if omitted.

        Raises:
            DataError: If the model can't read the text.
            UsageError: If there is no such array, or the model has not been trained.
        """
        self._need_model()
        if text is None:
            return graph_of_model(self.model, model=self._summary())
        shown = self.trace(text) if thickness is None else thickness
        return graph_of_model(self.model, tokens=shown.tokens, thickness=shown, array=array, model=self._summary())

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return the losses of one input as a function of its embedded tokens."""
        raise UsageError(
            f"{type(self).__name__} has no loss for each step of one text; gradients through time take a classifier, "
            f"a tagger, a language model, a translator or an algorithm"
        )

    def _no_target(self, target: Any, why: str) -> None:
        """Raise `UsageError` if a target was passed."""
        if target is not None:
            raise UsageError(f"target = {target!r}: {why}, so leave it out")

    @property
    def unit_names(self) -> tuple[UnitName, ...]:
        """Units with names, in the order of naming."""
        return self._unit_names

    def name_unit(self, array: str, unit: int, name: str) -> None:
        """Name a unit; traces then hold its values as the array `named units / NAME`.

        If the model was loaded from a folder, trained into one or saved into one, the folder has the name at once.

        Args:
            array: Place and part of the state: `layer 1 / c`.
            unit: Index of the unit, from 0.
            name: A line of text, at most 60 characters.

        Raises:
            UsageError: If there is no such unit, another unit has the name, or the model has not been trained.
            MachineError: If the folder is not writable.
        """
        self._need_model()
        stack = self._stack()
        arrays = {} if stack is None else {
            f"{place} / {part}": value[0].numel()
            for place, cell, _ in stack.named_cells()
            for part, value in cell.initial_state(1)._asdict().items()
        }  # fmt: skip
        self._store_names(with_name(self._unit_names, UnitName(array, unit, name), arrays))

    def remove_unit_name(self, name: str) -> None:
        """Remove the name of a unit, in memory and in the folder.

        Raises:
            UsageError: If no unit has the name.
            MachineError: If the folder is not writable.
        """
        names = [each.name for each in self._unit_names]
        if name not in names:
            raise UsageError(f"no unit is named {name!r}; the names are {', '.join(map(repr, names)) or 'none'}")
        self._store_names(tuple(each for each in self._unit_names if each.name != name))

    def _store_names(self, names: tuple[UnitName, ...]) -> None:
        if self._home is not None and (self._home / RECORD).exists():
            with new_generation(self._home) as staged:
                write_unit_names(staged, names)
        self._unit_names = names

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
                no code unless this argument names it, so a folder from an untrusted source is safe to open.

        Raises:
            ModelFolderError: If the folder is damaged, newer, of another task, without weights, or needs `cell`.

        Warns:
            UnfinishedTrainingWarning: If training is not complete. The weights are then the best so far.
        """
        task = load_task(cls, Path(folder), cell)
        data = task.record.data.get("train") if task.record else None
        columns = data.get("columns") if isinstance(data, dict) else None
        if isinstance(columns, dict):
            task._read_as = Layout(columns={str(role): str(name) for role, name in columns.items()})
        return task
