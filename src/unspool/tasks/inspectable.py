"""`Inspectable`, the base of tasks for looking inside: traces, forks, gradients, graphs, names and weights of units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.cells import watch
from unspool.engine import any_backend, record_dispatch
from unspool.errors import UsageError
from unspool.inspection import Gradients, Map, Recording, Trace
from unspool.inspection.edits import Edit, Edits, read_edits
from unspool.inspection.fork import Fork, Outcomes
from unspool.inspection.memory import head_maps, heads_of
from unspool.inspection.model_graph import ModelGraph, graph_of_model
from unspool.inspection.progress import Progress
from unspool.inspection.unit_names import UnitName, named_arrays, with_name, write_unit_names
from unspool.layers import Recurrent, TransformerEncoder
from unspool.tasks.contracts import Examples, Fitted
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
from unspool.tasks.parts.output_weights import weights_of_units
from unspool.tasks.parts.text_losses import TextLosses, measure_task
from unspool.tasks.running.model_folder import RECORD
from unspool.tasks.trainable import Trainable
from unspool.writing import new_generation

__all__ = ["Inspectable", "Replay"]

E = TypeVar("E", bound=Examples)
F = TypeVar("F", bound=Fitted)
T = TypeVar("T")


class Replay(NamedTuple):
    """Prediction for one input with edits."""

    prediction: Any
    unused: tuple[Edit, ...]
    """Edits of tokens that the input does not have."""


class Inspectable(Trainable[E, F]):
    """The part of a `Task` that looks inside: values can be recorded, changed, differentiated and drawn."""

    _first_step: ClassVar[int] = 0
    """Steps of the network before the first token."""

    @abstractmethod
    def predict(self, texts: Any) -> Any:
        """Predict for one input, or for each of several; see `Task.predict`."""

    @abstractmethod
    def predict_each(self, texts: Sequence[Any]) -> Sequence[Any]:
        """Predict for each of several inputs; see `Task.predict_each`."""

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
                prediction: Any = self.predict_each([unread])[0]
            unused = [edit for edit in plan if not editors.has_applied(edit, len(tokens))]
            yield Replay(prediction, tuple(unused))

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
            EditableAttention(f"layer {depth}", "self-attention", layer.self_attention, first, causal=part.causal)
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

    def output_weights(self, choice: str) -> dict[str, NDArray[np.float32]]:
        """Return the weight of each unit of the last layer for a choice of the output layer.

        Args:
            choice: A label, a tag, or a unit of the vocabulary.

        Returns:
            Weights, (units,), by array as in a trace: `layer 2 forward / h`. Empty if no single row of weights connects
            the last layer with the choice.

        Raises:
            UsageError: If there is no such choice, or the model has not been trained.
        """
        self._need_model()
        return weights_of_units(self._stack(), self._output_row(choice))

    def _output_row(self, choice: str) -> Tensor | None:
        """Return the row of the output layer for a choice, (width,); None if there is no such row."""
        return None

    def _stack(self) -> Recurrent | None:
        """The recurrent stack whose cells a trace records; None for other networks."""
        encoder = getattr(self.model, "encoder", None)
        return encoder if isinstance(encoder, Recurrent) else None

    def gradients(
        self,
        text: Any,
        *,
        target: Any = None,
        loss_at: int | Sequence[int] | None = None,
        truncation: int | None = None,
        jacobians: bool = True,
        progress: Progress | None = None,
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
            progress: Called with `"gradients"` and numbers of losses, done and total, while a long text is measured.

        Raises:
            DataError: If the model can't read the input.
            UsageError: If the model has no recurrent stack or has not been trained, or there is no loss at a position.
        """
        self._need_model()
        return measure_task(
            self, text, target, loss_at=loss_at, truncation=truncation, jacobians=jacobians, progress=progress
        )

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
            f"a tagger, a command parser, a language model, a translator or an algorithm"
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
